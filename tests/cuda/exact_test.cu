// SPDX-License-Identifier: Apache-2.0
#include "cuda/exact_test.hpp"
#include "detrame/backend/cuda/backend.hpp"

namespace detrame {

using namespace detrame::test;

TEST_CASE_TEMPLATE("(M3) (A2) (A3) exact solutions and their cotangents on a device are those of the CPU",
                   Scalar, float, double) {
  Cuda<Scalar> b;
  ExactOutcome const there = exact_outcome(b), here = exact_outcome_on_cpu();
  REQUIRE(here.status == ExactStatus::optimal);
  CHECK(there.status == ExactStatus::optimal);
  CHECK(there.synthesis_status == ExactStatus::optimal);
  CHECK((there.prepared_alike && here.prepared_alike));
  // Q and its inverse are of size 1 and 8; data of size 4 are rounded once and solved with.
  double const size = 8 * max_abs(here.u), rounding = static_cast<double>(tolerance<Scalar>(12, size));
  REQUIRE(std::min(here.least_margin, there.least_margin) > 2 * rounding);  // one support, so one derivative
  CHECK(max_abs_difference(there.u, here.u) <= there.bound + here.bound + rounding);  // (C4)
  CHECK(max_abs_difference(there.a, here.a) <= rounding);
  for (auto const& [got, expected] :
       {std::pair(&there.z_bar, &here.z_bar), std::pair(&there.Q_bar, &here.Q_bar),
        std::pair(&there.lambda_bar, &here.lambda_bar), std::pair(&there.D_bar, &here.D_bar)})
    CHECK(relative_difference(*got, *expected) <= static_cast<double>(tolerance<Scalar>(12 + 33, 8)));
}

TEST_CASE("an exact solution has the same bits in two runs") {
  Cuda<float> b;
  ExactOutcome const first = exact_outcome(b), second = exact_outcome(b);
  CHECK((first.u == second.u && first.Q_bar == second.Q_bar && first.D_bar == second.D_bar));
}

}  // namespace detrame
