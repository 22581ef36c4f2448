// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/on_device.hpp"
#include "detrame/layer/dictionary_exact.hpp"
#include "detrame/layer/normalised_dense.hpp"
#include "detrame/layer/paired.hpp"
#include "detrame/layer/reflected_update.hpp"

/// The layers of reflected_test.cu and reflected_test.cpp.
namespace detrame::laws {

using ByRows = ReflectedConvolutionalDictionary<5, 3, Unrolled<Gershgorin, Unroll<1>>>;
using ByNorm =
    ReflectedConvolutionalDictionary<6, 2, Unrolled<SpectralNorm, Unroll<1>>, Stride<2>, Padding<1>>;
using Exactly = ReflectedDictionary<7, Exact>;
using InPairs = Paired<Dictionary<6, Exact>>;
using UnitRows = NormalisedDense<4>;

}  // namespace detrame::laws
