// expect: Residual: branch and shortcut must return the same shape
// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/pad_channels.hpp"
#include "detrame/network/residual.hpp"

using namespace detrame;

Bind<Residual<Shortcut<PadChannels<8, Stride<2>>>, Convolution<8, 3>>, Shape{4, 6, 6}, Cpu<float>> layer;
