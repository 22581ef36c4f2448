// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/on_device.hpp"
#include "detrame/layer/batch_norm.hpp"
#include "detrame/layer/convolution.hpp"
#include "detrame/layer/global_average_pool.hpp"
#include "detrame/layer/pad_channels.hpp"
#include "detrame/layer/relu.hpp"
#include "detrame/network/residual.hpp"
#include "detrame/network/stack.hpp"

/// The layers of network_test.cu and network_test.cpp.
namespace detrame::laws {

using Shortened =
    Residual<Shortcut<PadChannels<5, Stride<2>>>, Convolution<5, 3, Stride<2>, NoBias>, BatchNorm, ReLU>;

}  // namespace detrame::laws
