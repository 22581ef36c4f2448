// SPDX-License-Identifier: Apache-2.0
#include "cuda/exact_test.hpp"

#include "detrame/backend/cpu/backend.hpp"

namespace detrame::test {

ExactOutcome exact_outcome_on_cpu() {
  Cpu<double> b;
  return exact_outcome(b);
}

}  // namespace detrame::test
