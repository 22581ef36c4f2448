// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <string>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/loss/softmax_cross_entropy.hpp"
#include "detrame/network/initialise.hpp"
#include "detrame/network/zoo/plain_net.hpp"
#include "detrame/network/zoo/res_net.hpp"
#include "detrame/train/algorithm2.hpp"
#include "support.hpp"

namespace detrame {
namespace {

using B = Cpu<float>;

struct Trained {
  double loss;
  std::map<std::string, HostMatrix<float>> theta;
};

/// `steps` steps on 4 small images from ReluStart.
template <Recipe R>
Trained trained(int steps) {
  constexpr Shape small{3, 8, 8};
  using Net = Bind<R, small, B>;
  B b(1);
  Net const net;
  auto theta = net.parameters(b);
  initialise(b, theta, ReluStart(), 3);
  auto state = training_state(b, net);
  auto const x = to_device(b, test::normal_matrix<float>(3, 4 * 64, test::seed(1)));
  auto const t = one_hot(b, std::vector<int>{0, 3, 9, 3}, 10);
  Trained result{};
  for (int step = 0; step < steps; ++step)
    result.loss = static_cast<double>(train_step(b, net, SoftmaxCrossEntropy(), Sgd(), 0.1, theta, state,
                                                 B::ConstView(x), t, Draw{.seed = 4})
                                          .loss);
  visit([&](std::string_view path, Role const&,
            auto const& p) { result.theta[std::string(path)] = to_host(b, p); },
        theta);
  return result;
}

/// After one step from ReluStart the twin's W are those of the plain network, and its W~ has begun to move.
template <Recipe PlainNet, Recipe Twin>
void twins_part_after_a_step() {
  auto const start = trained<PlainNet>(0), plain = trained<PlainNet>(1);
  auto const twin = trained<Twin>(1);
  CHECK(plain.loss == twin.loss);
  Index moved = 0, own = 0;
  for (auto const& parameter : twin.theta) {
    auto const& path = parameter.first;
    auto const& value = parameter.second;
    CAPTURE(path);
    if (plain.theta.count(path) > 0) {
      CHECK(plain.theta.at(path) == value);
      moved += !(start.theta.at(path) == value);
    } else {
      own += path.ends_with("W_tilde") && test::max_abs(value) > 0;
    }
  }
  REQUIRE(moved ==
          static_cast<Index>(plain.theta.size()));  // not vacuous: all has been trained, or measured,
  REQUIRE(own > 0);                                 // and from here on they differ
}

TEST_CASE(
    "(F4) a PlainNet and its twin have the same W from one seed, and after a step from ReluStart; the same "
    "bits") {
  twins_part_after_a_step<PlainNet3<Plain>, PlainNet3<DeTraMe<3>>>();
}

TEST_CASE(
    "(F4) a ResNet and its twin have the same W from one seed, and after a step from ReluStart; the same "
    "bits") {
  twins_part_after_a_step<ResNet<Plain, 8>, ResNet<DeTraMe<3>, 8>>();
}

TEST_CASE("a ResNet fits four images: the loss falls, its running statistics follow") {
  using Net = ResNet<DeTraMe<3>, 8>;
  auto const first = trained<Net>(1), last = trained<Net>(12);
  CHECK(last.loss < first.loss / 2);
  CHECK_FALSE(first.theta.at("1.running_mean") == last.theta.at("1.running_mean"));
}

}  // namespace
}  // namespace detrame
