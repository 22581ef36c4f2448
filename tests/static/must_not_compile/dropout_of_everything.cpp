// expect: Dropout: the rate must be in [0, 1)
// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/dropout.hpp"

using namespace detrame;

Bind<Dropout<Rate{1}>, Shape{5}, Cpu<float>> layer;
