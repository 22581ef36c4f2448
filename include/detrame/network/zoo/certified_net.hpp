// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/layer/normalised_dense.hpp"
#include "detrame/layer/orthogonal_start.hpp"
#include "detrame/layer/pad_channels.hpp"
#include "detrame/layer/pixel_unshuffle.hpp"
#include "detrame/layer/reflected_update.hpp"
#include "detrame/layer/reshape.hpp"
#include "detrame/network/repeat.hpp"
#include "detrame/network/stack.hpp"

namespace detrame::inline DETRAME_ABI {

/// What certified networks start with: nothing that draws codes to 0, since alpha and beta move a reflected
/// layer away from an isometry; alpha is > 0 for the sake of exact layers.
inline constexpr TiedValues certified_values{.alpha = 1e-3, .beta = 0, .lambda = 0, .atoms = 1};

namespace detail {

/// n reflected layers of one update, with k atoms on windows of K x K.
template <int n, Index k, Index K, class Arithmetic = Automatic>
using Reflected =
    Repeat<n, ReflectedConvolutionalDictionary<k, K, Unrolled<Gershgorin, Unroll<1>>, By<Arithmetic>>>;

}  // namespace detail

/// Networks that are 1-Lipschitz by construction, whatever their parameters, up to a linear head of unit rows:
/// what it answers at x it answers at every x' with |x - x'| < min_j (y_i - y_j) / |w_i - w_j|.        (L6)
/// Images are halved by PixelUnshuffle, which loses nothing, between reflected layers, which keep the shape.
///
///   CertifiedNet2<16>        for 8 x 8 and 28 x 28:  4 n channels behind the second halving
///   CertifiedNet3<32>        for 32 x 32:            16 n behind the third
///
/// Images should be centred, and not be divided by their deviation, which divides distances too.
///
/// Tested    tests/network/certified_net_test.cpp
template <Index n, Index classes = 10>
using CertifiedNet2 = Stack<PixelUnshuffle<2>, PadChannels<n, Stride<1>>, detail::Reflected<3, n, 3>,  //
                            PixelUnshuffle<2>, detail::Reflected<3, 4 * n, 3>,                         //
                            Flatten, NormalisedDense<classes>>;

template <Index n, Index classes = 10>
using CertifiedNet3 = Stack<PixelUnshuffle<2>, PadChannels<n, Stride<1>>, detail::Reflected<2, n, 3>,  //
                            PixelUnshuffle<2>, detail::Reflected<3, 2 * n, 3>,                         //
                            PixelUnshuffle<2>, detail::Reflected<3, 4 * n, 1>,                         //
                            Flatten, NormalisedDense<classes>>;

}  // namespace detrame::inline DETRAME_ABI
