// SPDX-License-Identifier: Apache-2.0
#include <map>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/network/zoo/plain_net.hpp"
#include "detrame/network/zoo/res_net.hpp"
#include "support.hpp"

namespace detrame {
namespace {

using B = Cpu<float>;
constexpr Shape image{3, 32, 32};

/// Scalars by kind.
template <Recipe R>
std::map<std::string_view, Index> counts() {
  B b(1);
  auto const theta = Bind<R, image, B>().parameters(b);
  std::map<std::string_view, Index> count;
  Index trained = 0;
  visit(
      [&](std::string_view, Role const& role, auto const& p) {
        count[role.name] += p.rows() * p.cols();
        trained += role.trained ? p.rows() * p.cols() : 0;
      },
      theta);
  CHECK(parameter_count(theta) == trained);
  return count;
}

/// What the kinds of a twin add up to, and that its plain network has all but W~, h and b.
template <Recipe PlainNet, Recipe Twin>
void check_twins(Index weights, Index W_tilde, Index h) {
  static_assert(PlainNet::output(image) == Shape{10} && Twin::output(image) == Shape{10});
  auto const plain = counts<PlainNet>();
  auto twin = counts<Twin>();
  CHECK(plain.at("weight") == weights);
  CHECK(twin.at("W_tilde") == W_tilde);
  CHECK((twin.at("h") == h && twin.at("b") == h));
  for (std::string_view const name : {"W_tilde", "h", "b"}) twin.erase(name);
  CHECK(twin == plain);
}

TEST_CASE(
    "PlainNets have the numbers of parameters that the paper's tables give, rounded, and their twins too") {
  check_twins<PlainNet3<Plain>, PlainNet3<DeTraMe<2>>>(94'176, 166'788, 202);
  check_twins<PlainNet6<Plain>, PlainNet6<DeTraMe<2>>>(683'424, 913'284, 682);
  check_twins<PlainNet9<Plain>, PlainNet9<DeTraMe<2>>>(1'368'480, 1'612'900, 1258);
  check_twins<PlainNet12<Plain>, PlainNet12<DeTraMe<2>>>(2'363'808, 2'608'228, 1834);
  CHECK(counts<PlainNet3<Plain>>().at("bias") == 202);
}

TEST_CASE("the number of updates changes no count") {
  CHECK(counts<PlainNet3<DeTraMe<1>>>() == counts<PlainNet3<DeTraMe<7>>>());
}

TEST_CASE("PlainNet: 32 x 32 sites become 8 x 8, 4 x 4 in the one of 12") {
  static_assert(PlainNet3<Plain>::shapes(image)[PlainNet3<Plain>::depth - 1] == Shape{10, 8, 8});
  static_assert(PlainNet6<Plain>::shapes(image)[PlainNet6<Plain>::depth - 1] == Shape{10, 8, 8});
  static_assert(PlainNet9<Plain>::shapes(image)[PlainNet9<Plain>::depth - 1] == Shape{10, 8, 8});
  static_assert(PlainNet12<Plain>::shapes(image)[PlainNet12<Plain>::depth - 1] == Shape{10, 4, 4});
  static_assert(PlainNet9<Plain, 7>::output(image) == Shape{7});
  CHECK(PlainNet9<Plain>::depth == PlainNet9<DeTraMe<3>>::depth);
}

/// The weights of a ResNet 6 n + 2, block by block.
Index res_net_weights(Index n) {
  Index sum = 9 * 3 * 16, channels = 16;
  for (Index const k : {16, 32, 64})
    for (Index block = 0; block < n; ++block) {
      sum += 9 * channels * k + 9 * k * k;
      channels = k;
    }
  return sum + 10 * channels;
}

template <int n>
void check_res_net() {
  using PlainNet = ResNet<Plain, 6 * n + 2>;
  check_twins<PlainNet, ResNet<DeTraMe<3>, 6 * n + 2>>(res_net_weights(n), n * 9 * (256 + 1024 + 4096),
                                                       n * (16 + 32 + 64));
  auto const plain = counts<PlainNet>();
  Index const norms = 16 + 2 * n * (16 + 32 + 64);
  for (std::string_view const name : {"gain", "offset", "running_mean", "running_variance"})
    CHECK(plain.at(name) == norms);
  CHECK(plain.at("bias") == 10);  // of the linear layer alone
}

TEST_CASE("ResNets 8, 20, 56, 110 and 164: counts, block by block; 269,722 for the one of 20") {
  check_res_net<1>();
  check_res_net<3>();
  check_res_net<9>();
  check_res_net<18>();
  check_res_net<27>();
  B b(1);
  CHECK(parameter_count(Bind<ResNet<Plain, 20>, image, B>().parameters(b)) == 269'722);
  CHECK(counts<ResNet<Plain, 8, 10, ProjectedShortcut>>().at("weight") ==
        res_net_weights(1) + 16 * 32 + 32 * 64);
}

template <Index q>
void check_wide() {
  Index const n = 2, a = 16 * q, b = 32 * q, c = 64 * q;
  Index const blocks = 9 * (16 * a + a * a + a * b + b * b + b * c + c * c) + 9 * 2 * (a * a + b * b + c * c);
  Index const shortcuts = 16 * a + a * b + b * c;
  using PlainNet = WideResNet<Plain, 16, q>;
  check_twins<PlainNet, WideResNet<DeTraMe<3>, 16, q>>(9 * 3 * 16 + blocks + shortcuts + 10 * c,
                                                       n * 9 * (a * a + b * b + c * c), n * (a + b + c));
  CHECK(counts<PlainNet>().at("gain") == (16 + a) + 2 * a + (a + b) + 2 * b + (b + c) + 2 * c + c);
}

TEST_CASE("WideResNets 16-4 and 16-8: counts, block by block") {
  check_wide<4>();
  check_wide<8>();
}

TEST_CASE(
    "multiply-adds are those of the products: by hand for PlainNet3, T times W~'s for its twin, blocks for "
    "ResNet8") {
  constexpr auto cost = []<class R>(R) { return multiply_adds<Bind<R, image, B>>(); };
  constexpr Index weights = 27 * 96 * 1024 + 864 * 96 * 256 + 864 * 10 * 64;
  constexpr Index recurrent = 864 * 96 * 1024 + 864 * 96 * 256 + 90 * 10 * 64;
  static_assert(cost(PlainNet3<Plain>()) == weights);
  static_assert(cost(PlainNet3<DeTraMe<1>>()) == weights + recurrent);
  static_assert(cost(PlainNet3<DeTraMe<5>>()) == weights + 5 * recurrent);
  constexpr Index stages =
      9 * 1024 * (3 * 16 + 2 * 16 * 16) + 9 * 256 * (16 * 32 + 32 * 32) + 9 * 64 * (32 * 64 + 64 * 64);
  static_assert(cost(ResNet<Plain, 8>()) == stages + 640);
  static_assert(cost(ResNet<Plain, 8, 10, ProjectedShortcut>()) ==
                stages + 640 + 256 * 16 * 32 + 64 * 32 * 64);
  static_assert(cost(ResNet<Plain, 20>()) ==
                stages + 640 + 2 * 2 * 9 * (1024 * 16 * 16 + 256 * 32 * 32 + 64 * 64 * 64));
}

TEST_CASE("a deepened network has as many convolutions, weights and multiply-adds as the twin with T = 1") {
  auto const check = []<class Twin, class Deep>(Twin, Deep) {
    auto twin = counts<Twin>(), deep = counts<Deep>();
    CHECK(deep.at("weight") == twin.at("weight") + twin.at("W_tilde"));
    CHECK(deep.at("bias") == twin.at("bias") + twin.at("b"));
    CHECK(deep.count("W_tilde") == 0);
    CHECK(multiply_adds<Bind<Deep, image, B>>() == multiply_adds<Bind<Twin, image, B>>());
  };
  check(PlainNet9<DeTraMe<1>>(), PlainNet9<Deepened>());
  check(ResNet<DeTraMe<1>, 8>(), ResNet<Deepened, 8>());
}

}  // namespace
}  // namespace detrame
