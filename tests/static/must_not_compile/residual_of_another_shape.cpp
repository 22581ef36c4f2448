// expect: Residual: the branch must return the shape that it reads
// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/dense.hpp"
#include "detrame/layer/relu.hpp"
#include "detrame/network/residual.hpp"

using namespace detrame;

Bind<Residual<Dense<4>, ReLU>, Shape{5}, Cpu<float>> layer;
