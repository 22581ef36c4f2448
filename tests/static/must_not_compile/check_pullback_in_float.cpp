// expect: check_pullback: differences need double
// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/check_pullback.hpp"
#include "detrame/layer/relu.hpp"

using namespace detrame;

bool check(Cpu<float>& cpu, Cpu<float>::Matrix const& x) {
  return check_pullback(cpu, Bind<ReLU, Shape{5}, Cpu<float>>(), {}, x).front().agrees();
}
