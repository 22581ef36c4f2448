// SPDX-License-Identifier: Apache-2.0
#include "cuda/training_test.hpp"

#include "detrame/backend/cpu/backend.hpp"

namespace detrame::test {

Steps some_steps_on_cpu() {
  Cpu<double> b;
  return some_steps(b);
}
Steps nesterov_steps_on_cpu(std::optional<Clip> const& clip) {
  Cpu<double> b;
  return nesterov_steps(b, clip);
}
Steps adam_w_steps_on_cpu(std::optional<Clip> const& clip) {
  Cpu<double> b;
  return adam_w_steps(b, clip);
}

}  // namespace detrame::test
