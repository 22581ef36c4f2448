// SPDX-License-Identifier: Apache-2.0
#include "detrame/network/stack.hpp"
#include "detrame/network/zoo/certified_net.hpp"
#include "detrame/network/zoo/deep_dictionary.hpp"
#include "detrame/network/zoo/plain_net.hpp"
#include "detrame/network/zoo/res_net.hpp"
#include "detrame/robust/certify.hpp"
#include "detrame/robust/double_twin.hpp"
#include "detrame/robust/network_scores.hpp"
#include "detrame/robust/pgd.hpp"
#include "layer_checks.hpp"

using namespace detrame;
using namespace detrame::test;

namespace {

template <Index k, Index K, class... Choices>
using OneUpdate = ReflectedConvolutionalDictionary<k, K, Unrolled<Gershgorin, Unroll<1>>, Choices...>;

/// Whether each layer of a network has a Guarantee, which a merge of branches could lose in silence.
template <class L>
consteval bool guaranteed() {
  if constexpr (requires { L::shapes.size(); })
    return []<std::size_t... i>(std::index_sequence<i...>) {
      return (guaranteed<std::remove_cvref_t<decltype(leaf<i>(std::declval<L>().layers))>>() && ...);
    }(std::make_index_sequence<L::shapes.size() - 1>());
  else if constexpr (requires(L layer) { layer.branch; })
    return guaranteed<decltype(L::branch)>();
  else if constexpr (requires(L layer) { layer.layer; })
    return guaranteed<decltype(L::layer)>();
  else
    return requires { sizeof(typename detail::GuaranteeOf<L>::type); };
}
struct Nobodys {
  static constexpr Shape output(Shape in) { return in; }
  template <Shape in, Backend B>
  struct Layer : Bind<ReLU, in, B> {
    using FromRecipe = Nobodys;
  };
};

static_assert(guaranteed<Narrow<CertifiedNet2<4>, Shape{1, 8, 8}>>());
static_assert(guaranteed<Narrow<CertifiedNet3<12>, Shape{3, 16, 16}>>());
static_assert(guaranteed<Narrow<PlainNet3<DeTraMe<3>>, Shape{3, 32, 32}>>());
static_assert(guaranteed<Narrow<ResNet<DeTraMe<3>, 8>, Shape{3, 32, 32}>>());
static_assert(guaranteed<Narrow<DeepDictionary3<ExactCodes>, Shape{1, 8, 8}>>());
static_assert(guaranteed<Narrow<DeepDictionary3<FreedCodes<3>>, Shape{1, 8, 8}>>());
static_assert(guaranteed<Narrow<DeepDictionary3<ConvolutionalCodes>, Shape{1, 8, 8}>>());
static_assert(!guaranteed<Narrow<Stack<Dense<3>, Repeat<2, Residual<Nobodys>>>, Shape{3}>>());

}  // namespace

TEST_CASE(
    "(L6) (R1) reflected layers: a constant of 1, to what rounding of the step leaves, and their deviation") {
  check_layer<OneUpdate<6, 3>, Shape{3, 5, 5}>(3000);
  check_layer<OneUpdate<6, 3, Stride<2>>, Shape{3, 6, 6}>(3010);
  check_layer<OneUpdate<8, 3>, Shape{8, 6, 6}>(3020);  // Winograd's in float
  check_layer<ReflectedDictionary<5, Unrolled<SpectralNorm, Unroll<1>>>, Shape{4, 2, 2}>(3030);
  check_layer<
      ReflectedConvolutionalDictionary<5, 2, Unrolled<SpectralNorm, Unroll<1>>, Stride<2>, Padding<0>>,
      Shape{2, 4, 4}>(3040);
  check_layer<ReflectedDictionary<6, Exact>, Shape{4, 2, 1}>(3050);
  check_layer<ReflectedConvolutionalDictionary<4, 3, Exact>, Shape{2, 4, 4}>(3060, .3);
  check_layer<Paired<Dictionary<6, Exact>>, Shape{4}>(3070);
  check_layer<Paired<ConvolutionalDictionary<4, 3, Exact, Stride<2>>>, Shape{2, 5, 5}>(3080, .3);
  check_layer<NormalisedDense<4>, Shape{6}>(3090);
  check_layer<PixelUnshuffle<2>, Shape{2, 4, 4}>(3100);

  Cpu<float> cpu;
  auto const constant = [&]<class R, Shape in>(Narrow<R, in> const& layer) {
    return lipschitz(cpu, layer, random_parameters(cpu, layer, seed(3110))).value();
  };
  auto const few = 1 + 1e-6;  // the rounding of 2 / (theta + alpha + beta)
  CHECK(constant.template operator()<OneUpdate<6, 3>, Shape{3, 5, 5}>({}) >= 1);
  CHECK(constant.template operator()<OneUpdate<6, 3>, Shape{3, 5, 5}>({}) <= few);
  CHECK(constant.template operator()<ReflectedDictionary<6, Exact>, Shape{4}>({}) == 1);
  CHECK(constant.template operator()<PixelUnshuffle<2>, Shape{2, 4, 4}>({}) == 1);
}

TEST_CASE("(L6) a step that is too long is seen by the share that the certificate computes itself") {
  Cpu<double> cpu;
  auto const D_T = normal_matrix<double>(4, 9 * 3, seed(3120));
  Window const overlapping{6, 6, 3, 1, 1};
  HostMatrix<double> one(4, 1, 1.);
  double const share = detail::share_of_step(cpu, D_T, one, overlapping);
  // r = 2 / S with S_i = share / 2 for r = 1: the largest row sum
  CHECK(detail::share_of_step(cpu, D_T, mapped([&](double r) { return r / share; }, one), overlapping) <=
        1 + 1e-9);
  CHECK(detail::share_of_step(cpu, D_T, mapped([&](double r) { return 1.5 * r / share; }, one), overlapping) >
        1.4);
  HostMatrix<double> three(1, 9);  // an atom of one pixel: 9 <= S = 2 / r
  three(0, 4) = 3;
  CHECK(detail::share_of_step(cpu, three, HostMatrix<double>(1, 1, 1.), overlapping) == doctest::Approx(4.5));
  // a bound of the norm of D, which on large images is near that of its symbol
  CHECK(window_norm(cpu, in_memory_of(cpu, D_T), overlapping, 64) <= std::sqrt(2 * share) * 1.01);
  Window const apart{6, 6, 3, 3, 0};
  double const norm = window_norm(cpu, in_memory_of(cpu, D_T), apart);
  CHECK(detail::share_of_step(cpu, D_T, one, apart) == doctest::Approx(norm * norm / 2));
}

TEST_CASE("(R3) exact reflected codes are charged what the judge of their layer lets pass") {
  Cpu<double> cpu;
  auto const relative = [&]<class R>(R) {
    Wide<R, Shape{64, 2, 2}> const layer;
    auto theta = layer.parameters(cpu);
    theta.D = in_memory_of(cpu, HostMatrix<double>(64, 64, 1.5));  // tr D^T D = |D|^2, so that judges compare
    theta.alpha = in_memory_of(cpu, HostMatrix<double>(1, 1, 1.));
    return deviation(cpu, layer, theta).value().relative;
  };
  double const columns = relative(ReflectedDictionary<64, Exact>()),
               images = relative(ReflectedConvolutionalDictionary<64, 1, Exact, Stride<1>>());
  INFO(columns, " ", images);
  CHECK(images > 1.5 * columns);  // 233 roundings for 136
}

TEST_CASE(
    "(L6) (R5) (R6) a certified network: margins over row distances, by the rows as they are normalised") {
  using B = Cpu<double>;
  B b;
  using Net = Bind<CertifiedNet2<4, 3>, Shape{1, 8, 8}, B>;
  Net const net;
  auto theta = random_parameters(b, net, seed(3200));
  Certifier<Net> const certifier(b, net, theta);
  CHECK(certifier.claim() == Claim::same_label);
  CHECK(certifier.bound().parts[5].lipschitz.value() == 1);
  auto const unit = std::remove_reference_t<decltype(leaf<6>(net.layers))>::normalised(b, leaf<6>(theta));
  auto const W = in_double(b, ConstView<B>(unit.W));
  for (std::uint64_t n = 0; n < 3; ++n) {
    auto const x = normal_matrix<double>(1, 64, seed(3210 + n));
    Certificate const c = certifier(b, in_memory_of(b, x), 10.);
    auto const y = mapped_by(b, net, theta, x);
    double least = 10;
    for (Index j = 0; j < 3; ++j) {
      if (j == c.label[0]) continue;
      double square = 0;
      for (Index l = 0; l < W.cols(); ++l)
        square += (W(c.label[0], l) - W(j, l)) * (W(c.label[0], l) - W(j, l));
      least = std::min(least, (y(c.label[0], 0) - y(j, 0)) / std::sqrt(square));
    }
    CHECK(least > 0);
    CHECK(c.radius[0] <= least);
    CHECK(c.radius[0] >= least * (1 - 1e-6));  // in double rounding costs nothing

    // PGD never succeeds within the radius, and does beyond it
    std::vector<int> const label{static_cast<int>(c.label[0])};
    NetworkScores map(b, net, theta);
    auto const fooled = [&](double epsilon) {
      auto const found = pgd(map, in_memory_of(b, x), label,
                             {.region = {.norm = AttackNorm::l2, .epsilon = epsilon, .range = std::nullopt},
                              .step = epsilon / 4,
                              .steps = 20});
      auto const z = in_double(b, ConstView<B>(found.x));
      double const far = norm(mapped([](double p, double q) { return p - q; }, z, x));
      CHECK(far <= epsilon * (1 + 1e-12));
      auto const scores = mapped_by(b, net, theta, z);
      for (Index j = 0; j < 3; ++j)
        if (scores(j, 0) > scores(c.label[0], 0)) return true;
      return false;
    };
    CHECK(!fooled(.999 * c.radius[0]));
    CHECK(fooled(6 * c.radius[0]));
  }
  using Narrower = Bind<CertifiedNet2<4, 3>, Shape{1, 8, 8}, Cpu<float>>;
  Cpu<float> narrow;
  auto const again = certify(narrow, Narrower(), random_parameters(narrow, Narrower(), seed(3200)),
                             to_device(narrow, normal_matrix<float>(1, 64, seed(3210))), 10.);
  CHECK(again.claim == Claim::same_label);
  CHECK(again.radius[0] < again.in_real_arithmetic[0]);
  // the parameters are float's, so that the twin in double is the network above
  DoubleTwin<Narrower> const twin(narrow, random_parameters(narrow, Narrower(), seed(3200)));
  auto const x = normal_matrix<double>(1, 64, seed(3210));
  CHECK(certify(b, twin.net, twin.theta, in_memory_of(b, x), 10.).radius ==
        certifier(b, in_memory_of(b, x), 10.).radius);
}
