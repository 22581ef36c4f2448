// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/on_device.hpp"
#include "detrame/layer/convolution.hpp"
#include "detrame/layer/dense.hpp"
#include "detrame/layer/dictionary_exact.hpp"
#include "detrame/layer/dropout.hpp"
#include "detrame/layer/patches.hpp"
#include "detrame/layer/q_metric.hpp"
#include "detrame/layer/relu.hpp"

/// The layers of layer_test.cu and layer_test.cpp.
namespace detrame::laws {

using Affine = Dense<4>;
using Strided = Convolution<3, 5, NoBias, Stride<2>>;
using Patched = Patches<3, Stride<2>>;
using Dropped = Dropout<Rate{.4}>;
using Blockwise = QMetricReLU<Blocks<3>, Unroll<2>, RecomputeStates>;
using Sliding = QMetricReLU<Convolutional<3>, Unroll<3>>;

}  // namespace detrame::laws
