// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "laws/archetype.hpp"
#include "laws/prox_laws.hpp"

namespace detrame {

using namespace detrame::test;
using formula::SoftShrinkage;

// The other scalars and the other penalty: tests/prox/metric_prox_test.cpp.
#define MODELS Problem<Cpu<float>, SoftShrinkage>, Problem<archetype::Loops<double>, SoftShrinkage>

TEST_CASE_TEMPLATE("(M3) <Q (z - u), y - u> + psi(u) <= psi(y) for every y in the domain", P, MODELS) {
  typename P::Backend b;
  laws::variational_inequality(medium_problem<P>(b));
}

TEST_CASE_TEMPLATE("(C4) |u - u*| <= residual / (lambda_min + beta), wherever a run is stopped", P, MODELS) {
  typename P::Backend b;
  laws::residual_bounds_the_distance(medium_problem<P>(b));
}

TEST_CASE_TEMPLATE("(M5) T updates of metric_prox are T updates of eq. (20) with the tied parameters", P,
                   MODELS) {
  typename P::Backend b;
  laws::updates_are_eq_20(medium_problem<P>(b, 40));
}

}  // namespace detrame
