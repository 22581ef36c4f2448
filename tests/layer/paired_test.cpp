// SPDX-License-Identifier: Apache-2.0
#include "detrame/layer/paired.hpp"

#include "detrame/layer/convolutional_dictionary.hpp"
#include "detrame/layer/dictionary_exact.hpp"
#include "laws/everywhere.hpp"
#include "layer/nonexpansive.hpp"

namespace detrame {

using laws::LayerAt;
using laws::LayerModel;
using Host = HostMatrix<double>;

TEST_CASE("Paired obeys the laws of a layer") {
  laws::everywhere<Paired<Dictionary<6, Exact>>, Shape{5, 1, 2}>(
      {.conditioning = 60, .predict_allocates = true});
  laws::everywhere<Paired<ConvolutionalDictionary<4, 3, Exact, Stride<2>>>, Shape{2, 4, 4}>(
      {.conditioning = 60, .predict_allocates = true});
}

TEST_CASE("(L2) pairs of an orthogonal A with A^T A = I/4, alpha = 1/4 and no shift keep norms") {
  LayerModel<Bind<Paired<Dictionary<10, Exact>>, Shape{5}, Cpu<double>>> layer;
  LayerAt<double> at(layer, 4, 1);
  at.theta[0] = test::mapped([](double q) { return q / 2; }, test::orthogonal_matrix(5, test::seed(2)));
  at.theta[1] = Host(10, 1), at.theta[2] = Host(1, 1), at.theta[3] = Host(1, 1, .25),
  at.theta[4] = Host(1, 1);
  Host const u = at.outcome().y;
  for (Index n = 0; n < 4; ++n) {
    double of_u = 0, of_x = 0;
    for (Index i = 0; i < 10; ++i) of_u += u(i, n) * u(i, n);
    for (Index i = 0; i < 5; ++i) of_x += at.x(i, n) * at.x(i, n);
    CHECK(std::abs(of_u - of_x) <= test::tolerance<double>(20, of_x));
    for (Index i = 0; i < 5; ++i) CHECK((u(i, n) == 0 || u(5 + i, n) == 0));  // one sign each
  }
}

TEST_CASE("(L2) pairs with alpha = 1/4 are 1-Lipschitz for every A, and with less they are not") {
  LayerModel<Bind<Paired<Dictionary<6, Exact>>, Shape{4}, Cpu<double>>> layer;
  LayerAt<double> at(layer, 1, 3);
  at.theta[3](0, 0) = .25, at.theta[4](0, 0) = 0, at.theta[2](0, 0) = 0;
  for (double const size : {.25, .5, 2.}) {
    auto theta = at.theta;
    theta[0] = test::mapped([&](double a) { return size * a; }, at.theta[0]);
    CHECK(test::largest_expansion(layer, theta, 1, 20) <= 1 + 1e-9);
    theta[3](0, 0) = .04;
    if (size == .25) CHECK(test::largest_expansion(layer, theta, 1, 20) > 1.5);
  }
}

TEST_CASE("alpha of pairs is kept at 1/4 or more, and starts know the window of their atoms") {
  using Layer = Bind<Paired<ConvolutionalDictionary<4, 3, Exact>>, Shape{2, 4, 4}, Cpu<double>>;
  Cpu<double> cpu;
  int seen = 0;
  visit(
      [&](std::string_view, Role const& role, auto const& p) {
        if (role.name == "alpha") CHECK((role.low == .25 && !role.open && ++seen));
        if (role.name == "dictionary") CHECK((role.window == 9 && p.rows() == 18 && p.cols() == 2 && ++seen));
      },
      Layer().parameters(cpu));
  CHECK(seen == 2);
}

}  // namespace detrame
