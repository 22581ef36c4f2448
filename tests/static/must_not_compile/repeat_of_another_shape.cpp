// expect: Repeat: the block must return the shape that it reads
// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/dense.hpp"
#include "detrame/network/repeat.hpp"

using namespace detrame;

Bind<Repeat<2, Dense<4>>, Shape{5}, Cpu<float>> layer;
