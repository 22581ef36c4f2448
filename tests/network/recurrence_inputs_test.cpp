// SPDX-License-Identifier: Apache-2.0
#include "detrame/network/recurrence_inputs.hpp"

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/dense.hpp"
#include "detrame/layer/dropout.hpp"
#include "detrame/layer/mixed_blocks.hpp"
#include "detrame/layer/q_metric.hpp"
#include "detrame/network/any.hpp"
#include "detrame/network/initialise.hpp"
#include "detrame/network/residual.hpp"
#include "detrame/network/stack.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

using namespace detrame::test;

TEST_CASE_TEMPLATE("recurrence_inputs: z of each layer with a W~ is what the layers before it return", B,
                   Cpu<double>, archetype::Loops<float>) {
  using Scalar = typename B::Scalar;
  using Before = Stack<Dropout<Rate{.5}>, Dense<4>>;
  using Proximal = QMetricReLU<Full, Unroll<2>>;
  using Net =
      Bind<Stack<Dropout<Rate{.5}>, Dense<4>, Proximal, Residual<Dense<4>, Proximal>, Dense<2>>, Shape{3}, B>;
  B b;
  Net const net;
  auto theta = net.parameters(b);
  initialise(b, theta, RandomStart(), 5);
  Matrix<B> const x = to_device(b, rounded<Scalar>(normal_matrix<double>(3, 6, seed(3))));
  auto const found = recurrence_inputs(b, net, theta, ConstView<B>(x));
  REQUIRE(found.size() == 2);
  CHECK(found[0].place == "2");
  CHECK(found[1].place == "3.branch.1");
  CHECK(found[1].shape == Shape{4});

  Bind<Before, Shape{3}, B> const before;  // predict drops nothing either
  auto first = before.parameters(b);
  initialise(b, first, RandomStart(), 5);
  CHECK(found[0].z == to_host(b, ConstView<B>(predict(b, before, first, x))));
  Bind<Stack<Dropout<Rate{.5}>, Dense<4>, Proximal, Dense<4>>, Shape{3}, B> const further;
  auto second = further.parameters(b);
  initialise(b, second, RandomStart(), 5);
  CHECK(found[1].z == to_host(b, ConstView<B>(predict(b, further, second, x))));

  AnyNetwork<B> const any("any", Net());
  auto const same = recurrence_inputs(b, any, AnyParameters<B>(theta), ConstView<B>(x));
  REQUIRE(same.size() == 2);
  CHECK(same[1].z == found[1].z);
}

TEST_CASE("recurrence_inputs: of a Mixed layer each part reads its channels") {
  using B = Cpu<double>;
  using Parts = QMetricReLU<Mixed<Channels<1, Full>, Channels<4, Convolutional<3, 2>>>, Unroll<2>>;
  constexpr Shape in{5, 2, 3};
  B b;
  auto const x = normal_matrix<double>(5, 4 * 6, seed(8));
  auto const check = [&](auto const& net, std::string const& place) {
    auto const theta = net.parameters(b);
    auto const found = recurrence_inputs(b, net, theta, ConstView<B>(to_device(b, x)));
    REQUIRE(found.size() == 2);
    CHECK(found[0].place == place + "0");
    CHECK(found[1].place == place + "1");
    CHECK(found[0].shape == Shape{1, 2, 3});
    CHECK(found[1].shape == Shape{4, 2, 3});
    CHECK(found[0].z == host_matrix<double>(1, 24, [&](Index, Index j) { return x(0, j); }));
    CHECK(found[1].z == host_matrix<double>(4, 24, [&](Index i, Index j) { return x(1 + i, j); }));
  };
  check(Bind<Parts, in, B>(), "");
  check(Bind<Stack<Parts>, in, B>(), "0.");
}

}  // namespace detrame
