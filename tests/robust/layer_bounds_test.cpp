// SPDX-License-Identifier: Apache-2.0
#include "detrame/robust/dictionary_bounds.hpp"
#include "detrame/robust/linear_bounds.hpp"
#include "detrame/robust/q_metric_bounds.hpp"
#include "layer_checks.hpp"

using namespace detrame;
using namespace detrame::test;

TEST_CASE("(L3) constants of affine layers: never below the norm, and how near") {
  check_affine<Dense<5>, Shape{7}>(1, 1 + 1e-9);
  check_affine<Dense<5>, Shape{3, 2, 2}>(2, 1 + 1e-9);
  check_affine<Convolution<4, 3>, Shape{3, 9, 8}>(3,
                                                  1.3);  // the image is small, the symbol is not an image's
  check_affine<Convolution<6, 1>, Shape{3, 4, 4}>(4, 1 + 1e-9);
  check_affine<Convolution<6, 3, Stride<2>, NoBias>, Shape{3, 9, 8}>(5, 1.3);
  check_affine<Convolution<6, 2, Stride<2>, Padding<0>>, Shape{3, 4, 4}>(6, 1 + 1e-9);
  check_affine<BatchNorm, Shape{5, 2, 2}>(7, 1 + 1e-9);
  check_affine<GlobalAveragePool, Shape{3, 4, 4}>(8, 1 + 1e-9);
  check_affine<PadChannels<5, Stride<2>>, Shape{3, 4, 4}>(9, 1 + 1e-9);
  check_affine<Patches<3>, Shape{2, 8, 8}>(10, 1 + 1e-9);
  check_affine<Patches<3, Stride<2>>, Shape{2, 9, 9}>(11, 1.01);
  check_affine<Flatten, Shape{2, 3, 3}>(12, 1 + 1e-9);
  check_affine<Dropout<Rate{.5}>, Shape{4}>(13, 1 + 1e-9);
  check_affine<ReLU, Shape{4}>(14, 1 + 1e-9);  // on the positive unit vectors
}

TEST_CASE("(L4) constants of T updates: tight for one, and no map of theirs exceeds them") {
  // b = -1000 keeps every entry active: an affine map, with a norm
  check_affine<QMetricReLU<Full, Unroll<1>>, Shape{6}>(20, 1 + 1e-9, -1000);
  check_affine<QMetricReLU<Blocks<2>, Unroll<1>, StoreStates, FreeDiagonal>, Shape{6}>(21, 1 + 1e-9, -1000);
  check_affine<QMetricReLU<Convolutional<3>, Unroll<1>>, Shape{3, 8, 8}>(22, 1.3, -1000);
  check_affine<QMetricReLU<Full, Unroll<3>>, Shape{6}>(23, 40, -1000);
  check_affine<QMetricReLU<Mixed<Channels<2, Full>, Channels<3, Convolutional<3>>>, Unroll<1>>,
               Shape{5, 8, 8}>(24, 1.5, -1000);
}

TEST_CASE("(L3) (L4) (R1) (R2) no two samples beat the constant, and float stays within its deviation") {
  check_layer<Dense<5>, Shape{7, 2, 1}>(1000);
  check_layer<Convolution<4, 3, Stride<2>>, Shape{3, 9, 8}>(1010);
  check_layer<Convolution<8, 3, By<Winograd<4>>>, Shape{16, 8, 8}>(1020);
  check_layer<Convolution<8, 3, By<Winograd<2>>>, Shape{16, 8, 8}>(1030);
  check_layer<BatchNorm, Shape{5, 2, 2}>(1040);
  check_layer<GlobalAveragePool, Shape{3, 4, 4}>(1050);
  check_layer<Patches<3>, Shape{2, 5, 5}>(1060);
  check_layer<ReLU, Shape{5, 2, 2}>(1070);
  check_layer<QMetricReLU<Full, Unroll<4>>, Shape{6, 2, 1}>(1080, .2);
  check_layer<QMetricReLU<Convolutional<3>, Unroll<3>>, Shape{8, 5, 5}>(1090, .05);
  check_layer<QMetricSoftThreshold<Blocks<2>, Unroll<2>>, Shape{6}>(1100);
  check_layer<QMetric<Clipped<Bounds{-.5, 1}>, Full, Unroll<3>>, Shape{6}>(1110, .2);
  check_layer<QMetric<Smooth<Delta{.5}>, Full, Unroll<3>>, Shape{6}>(1120, .2);
  check_layer<QMetricReLU<Mixed<Channels<2, Full>, Channels<3, Convolutional<3>>>, Unroll<2>>,
              Shape{5, 4, 4}>(1130, .2);
  check_layer<Dictionary<6, Unrolled<Gershgorin, Unroll<5>>>, Shape{4, 2, 1}>(1140);
  check_layer<Dictionary<6, Unrolled<Jacobi, Unroll<2>>>, Shape{4}>(1150);
}

TEST_CASE("(L2) (R3) exact codes: their constant, and what their judge may let pass") {
  check_layer<Dictionary<8, Exact>, Shape{5, 2, 1}>(1200);
  check_layer<ConvolutionalDictionary<4, 3, Exact, Stride<2>>, Shape{2, 5, 5}>(1210, .3);
  Cpu<float> cpu;
  Narrow<Dictionary<8, Exact>, Shape{5}> const layer;
  auto theta = random_parameters(cpu, layer, seed(1220));
  CHECK(deviation(cpu, layer, theta).value().may_refuse);
  double const sharp = 1 / (2 * std::sqrt(static_cast<double>(.3f) + static_cast<double>(.05f)));
  CHECK(lipschitz(cpu, layer, theta).value() >= sharp);
  CHECK(lipschitz(cpu, layer, theta).value() <= sharp * (1 + 1e-12));
  theta.alpha = to_device(cpu, HostMatrix<float>(1, 1, 1e-6f));
  theta.beta = to_device(cpu, HostMatrix<float>(1, 1, 0.f));
  CHECK(deviation(cpu, layer, theta).reason().find("take double, or a larger alpha") != std::string::npos);
}

namespace {

/// A layer of somebody's, of which nothing is said.
struct Square {
  static constexpr Shape output(Shape in) { return in; }
  template <Shape in, Backend B>
  struct Layer : Bind<ReLU, in, B> {
    using FromRecipe = Square;
    static std::string name() { return "Square"; }
  };
};

}  // namespace

TEST_CASE("no certificate is said with its reason, and asked for all the same it throws that") {
  Cpu<double> cpu;
  Wide<Square, Shape{3}> const square;
  auto const none = lipschitz(cpu, square, {});
  CHECK(!none);
  CHECK(none.reason().find("Square: no Lipschitz constant of this layer is known") == 0);
  CHECK(deviation(cpu, square, {}).reason().find("Square: no bound of this layer's rounding is known") == 0);
  check_throws_with<NotCertified>([&] { none.value(); }, "Square: no Lipschitz constant");

  Wide<Dense<2>, Shape{2}> const dense;
  auto theta = dense.parameters(cpu);
  theta.W = to_device(cpu, HostMatrix<double>(2, 2, std::numeric_limits<double>::quiet_NaN()));
  CHECK(lipschitz(cpu, dense, theta).reason() == "Dense: its parameters give no finite bound");
  Wide<BatchNorm, Shape{2}> const norm;
  auto moments = norm.parameters(cpu);
  moments.gain = to_device(cpu, HostMatrix<double>(2, 1, 1.));
  moments.running_variance = to_device(cpu, HostMatrix<double>(2, 1, -1.));
  CHECK(!lipschitz(cpu, norm, moments));

  Wide<QMetricSoftThreshold<Full, Unroll<2>>, Shape{2}> const soft;
  auto rule = soft.parameters(cpu);
  rule.b = to_device(cpu, HostMatrix<double>(2, 1, -.1));
  CHECK(lipschitz(cpu, soft, rule).reason().find("is no proximity operator where b < 0") !=
        std::string::npos);
  Wide<ConvolutionalDictionary<2, 3, ImplicitUnroll<3>>, Shape{1, 4, 4}> const steps;
  CHECK(!lipschitz(cpu, steps, steps.parameters(cpu)));
}
