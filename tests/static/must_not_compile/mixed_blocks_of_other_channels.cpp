// expect: Mixed: its parts must have the channels of the input
// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/mixed_blocks.hpp"

using namespace detrame;

using Mixture = QMetricReLU<Mixed<Channels<2, Full>, Channels<4, Convolutional<3>>>, Unroll<2>>;
Bind<Mixture, Shape{7, 3, 3}, Cpu<float>> layer;
