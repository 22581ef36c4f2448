// SPDX-License-Identifier: Apache-2.0
#include "detrame/layer/dictionary_unrolled.hpp"

#include "laws/everywhere.hpp"

namespace detrame {

using laws::everywhere;

/// The condition of dictionary_test.cpp; predict makes a tape of its own.
constexpr laws::LayerFacts tied{.conditioning = 15, .predict_allocates = true};

TEST_CASE("(M6) (A1) Dictionary unrolled obeys the laws of a layer, with both steps") {
  everywhere<Dictionary<6, Unrolled<Jacobi, Unroll<3>>>, Shape{5}>(tied);
  everywhere<Dictionary<4, Unrolled<Gershgorin, Unroll<2>>>, Shape{5, 2, 3}>(tied);
  everywhere<Dictionary<4, Unrolled<Gershgorin, Unroll<1>>>, Shape{5}>(tied);
}

}  // namespace detrame
