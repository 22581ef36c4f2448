// SPDX-License-Identifier: Apache-2.0
#include "cuda/penalty_test.hpp"
#include "detrame/backend/cuda/backend.hpp"

namespace detrame {

using namespace detrame::test;

TEST_CASE_TEMPLATE("(M9) (M3) (A1) (A2) a box and Huber's penalty on a device are those of the CPU", Scalar,
                   float, double) {
  Cuda<Scalar> there;
  auto const check = [&](auto const& of) {
    auto const got = found(there, of);
    auto const expected = found_on_cpu(of);
    REQUIRE(max_abs(expected.exact) > .25);
    // solutions within a residual of 1e-5 of their terms, and 33 columns of sums
    double const near = sizeof(Scalar) == 8 ? 1e-9 : 1e-3,
                 rounding = static_cast<double>(tolerance<Scalar>(33, 8));
    CHECK(max_abs_difference(got.exact, expected.exact) <= rounding);
    CHECK(max_abs_difference(got.swept, expected.exact) <= near);
    CHECK(max_abs_difference(got.accelerated, expected.exact) <= near);
    CHECK(max_abs_difference(got.unrolled, expected.unrolled) <= rounding);
    CHECK(relative_difference(got.bar, expected.bar) <= rounding);
    CHECK(relative_difference(got.unrolled_bar, expected.unrolled_bar) <= rounding);
  };
  check(OfBox{-.25, .5});
  check(OfHuber{.125, .5});
}

}  // namespace detrame
