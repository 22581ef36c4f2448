// expect: Recipe
// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/relu.hpp"
#include "detrame/network/stack.hpp"

using namespace detrame;

struct Nothing {};
Bind<Stack<ReLU, Nothing>, Shape{5}, Cpu<float>> layer;
