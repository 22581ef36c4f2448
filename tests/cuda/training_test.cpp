// SPDX-License-Identifier: Apache-2.0
#include "cuda/training_test.hpp"

#include "detrame/backend/cpu/backend.hpp"

namespace detrame::test {

Steps some_steps_on_cpu() {
  Cpu<double> b;
  return some_steps(b);
}

}  // namespace detrame::test
