// SPDX-License-Identifier: Apache-2.0
#include "detrame/network/zoo/certified_net.hpp"

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/check_pullback.hpp"
#include "detrame/network/initialise.hpp"
#include "layer/nonexpansive.hpp"

namespace detrame {

using B = Cpu<double>;
using Host = HostMatrix<double>;

/// What stands before the head.
template <Index n>
using Features = Stack<PixelUnshuffle<2>, PadChannels<n, Stride<1>>, Repeat<2, detail::Tilings<4 * n>>,
                       PixelUnshuffle<2>, Repeat<2, detail::Tilings<8 * n>>, Flatten>;

template <class Start>
std::vector<Host> started(laws::AnyLayer<double>&, Start const& start) {
  B cpu;
  auto theta = Bind<Features<4>, Shape{1, 8, 8}, B>().parameters(cpu);
  initialise(cpu, theta, start, 3);
  std::vector<Host> values;
  visit(
      [&](std::string_view, Role const&, auto const& p) { values.push_back(to_host(cpu, ConstView<B>(p))); },
      theta);
  return values;
}

TEST_CASE("certified networks have fewer than a million parameters") {
  B cpu;
  auto const count = [&]<class Net>(std::type_identity<Net>) {
    return parameter_count(Net().parameters(cpu));
  };
  CHECK(count(std::type_identity<Bind<CertifiedNet2<16>, Shape{1, 8, 8}, B>>()) < 200'000);
  CHECK(count(std::type_identity<Bind<CertifiedNet2<16>, Shape{1, 28, 28}, B>>()) < 200'000);
  CHECK(count(std::type_identity<Bind<CertifiedNet3<32>, Shape{3, 32, 32}, B>>()) < 1'000'000);
}

TEST_CASE(
    "(L6) what stands before the head is 1-Lipschitz, and starts with a largest singular value near 1") {
  laws::LayerModel<Bind<Features<4>, Shape{1, 8, 8}, B>> features;
  auto const near_1 = [&](auto const& start) {
    double const found = test::largest_expansion(features, started(features, start), 1, 4);
    CHECK(found <= 1 + 1e-10);
    return found;
  };
  CHECK(near_1(OrthogonalStart{.tied = certified_values}) > .98);
  CHECK(near_1(DiracStart{.tied = certified_values}) > .98);
  near_1(ReluStart{.tied = certified_values});
}

TEST_CASE("a certified network's pullback is its gradient") {
  B cpu;
  using Net = Bind<CertifiedNet2<4>, Shape{1, 8, 8}, B>;
  Net const net;
  auto theta = net.parameters(cpu);
  initialise(cpu, theta, ReluStart{.tied = {.alpha = .1, .beta = .1, .lambda = .1}}, 1);
  auto const x = test::random_matrix(cpu, 1, 128, test::seed(5));
  int compared = 0;
  for (auto const& check : check_pullback(cpu, net, theta, x, {.seed = test::seed(6)})) {
    if (!check.same_support) continue;
    CHECK_MESSAGE(check.error <= 1e-6, check);
    ++compared;
  }
  CHECK(compared > 60);
}

}  // namespace detrame
