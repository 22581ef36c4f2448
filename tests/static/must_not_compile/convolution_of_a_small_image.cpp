// expect: Convolution: the kernel must fit the padded image
// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/convolution.hpp"

using namespace detrame;

Bind<Convolution<4, 5, Padding<1>>, Shape{3, 2, 2}, Cpu<float>> layer;
