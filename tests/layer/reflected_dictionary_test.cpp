// SPDX-License-Identifier: Apache-2.0
#include "detrame/layer/reflected_dictionary.hpp"

#include "laws/everywhere.hpp"

namespace detrame {

using laws::LayerAt;
using laws::LayerModel;
using Host = HostMatrix<double>;

TEST_CASE("(L6) (A3) the reflected layer of exact codes obeys the laws of a layer") {
  laws::everywhere<ReflectedDictionary<7, Exact>, Shape{5, 1, 2}>(
      {.conditioning = 60, .predict_allocates = true});
  laws::everywhere<ReflectedConvolutionalDictionary<3, 3, Exact, Stride<2>>, Shape{2, 4, 4}>(
      {.conditioning = 60, .predict_allocates = true});
}

TEST_CASE("(L6) the reflected layer is x - 2 D M_D(x), M_D the code layer's") {
  LayerModel<Bind<ReflectedDictionary<7, Exact>, Shape{5}, Cpu<double>>> reflected;
  LayerModel<Bind<Dictionary<7, Exact>, Shape{5}, Cpu<double>>> code;
  LayerAt<double> const at(reflected, 6, 1), codes(code, 6, 1);
  Host const u = codes.outcome(at.x, codes.y_bar, at.draw).y;
  Host const D_u = test::product(at.theta[0], u);
  REQUIRE(test::max_abs(D_u) > .1);
  Host const y = test::mapped([](double x, double v) { return x - 2 * v; }, at.x, D_u);
  CHECK(test::max_abs_difference(at.outcome().y, y) <= test::tolerance<double>(12, 4));
}

}  // namespace detrame
