// SPDX-License-Identifier: Apache-2.0
#include "detrame/cuda.hpp"
#include "support.hpp"

/// Both backends in one unit: the header that includes everything,
/// and a network that only its backend tells apart.
namespace detrame {

using namespace detrame::test;

using Recipes =
    Stack<Convolution<4, 3>, QMetricReLU<Convolutional<3>, Unroll<2>>, GlobalAveragePool, Dense<3>>;
inline constexpr Shape image{2, 4, 5};

template <Backend B>
using Net = Bind<Recipes, image, B>;

/// Parameters drawn on the CPU.
template <class Scalar>
HostParameters<Scalar> parameters() {
  Cpu<Scalar> b;
  auto theta = Net<Cpu<Scalar>>().parameters(b);
  initialise(b, theta, RandomStart{.spread = 0.8}, 1);
  return to_host(b, theta);
}

template <Backend B>
HostMatrix<double> scores(B& b) {
  Net<B> const net;
  auto const theta = to_device(b, net, parameters<typename B::Scalar>());
  return in_double(b, ConstView<B>(predict(b, net, theta, random_matrix(b, 2, 20 * 6, seed(1)))));
}

TEST_CASE("parameters go to a device and come back as they are") {
  Cuda<float> b;
  auto const host = parameters<float>();
  REQUIRE(host.size() > 0);
  CHECK(to_host(b, to_device(b, Net<Cuda<float>>(), host)) == host);
}

TEST_CASE("Cpu and Cuda in one unit give a network's scores, in float and double") {
  Cpu<float> cpu_float;
  Cpu<double> cpu_double;
  Cuda<float> cuda_float;
  Cuda<double> cuda_double;
  auto const expected = scores(cpu_double);
  REQUIRE(max_abs(expected) > 0);
  // 2 * 9 + 3 * 4 * 9 terms a score
  CHECK(relative_difference(scores(cuda_double), expected) <= static_cast<double>(tolerance<double>(126, 1)));
  CHECK(relative_difference(scores(cpu_float), expected) <= static_cast<double>(tolerance<float>(126, 1)));
  CHECK(relative_difference(scores(cuda_float), expected) <= static_cast<double>(tolerance<float>(126, 1)));
}

}  // namespace detrame
