// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/on_device.hpp"
#include "detrame/layer/convolutional_dictionary.hpp"
#include "detrame/layer/dictionary_exact.hpp"
#include "detrame/layer/dictionary_unrolled.hpp"

/// The layers of dictionary_test.cu and dictionary_test.cpp.
namespace detrame::laws {

using Coded = Dictionary<6, Exact>;
using Unrolled2 = Dictionary<4, Unrolled<Gershgorin, Unroll<2>>>;
using CodedImage = ConvolutionalDictionary<3, 3, Exact, Stride<2>>;

}  // namespace detrame::laws
