// SPDX-License-Identifier: Apache-2.0
#pragma once

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

/// A reflected layer of one update with k atoms on windows of 2 x 2 side by side, which tile the image from
/// its corner, or, with p = 1, from one site before it.
template <Index k, Index p>
using Tiling =
    ReflectedConvolutionalDictionary<k, 2, Unrolled<SpectralNorm, Unroll<1>>, Stride<2>, Padding<p>>;

/// One after the other, so that each site meets its neighbours on all sides.
template <Index k>
using Tilings = Stack<Tiling<k, 0>, Tiling<k, 1>>;

}  // namespace detail

/// Networks that are 1-Lipschitz by construction, whatever their parameters, up to a head of unit rows. (L6)
/// What one answers at x it answers at every x' with |x - x'| < min_j (y_i - y_j) / |w_i - w_j|. Images are
/// halved by PixelUnshuffle, which loses nothing, between reflected layers, which keep the shape; their
/// windows do not overlap, so that |D|^2 is the step, from which D^T D of orthogonal atoms is not away.
///
///   CertifiedNet2<16>        for 8 x 8, .2 M parameters, and 28 x 28
///   CertifiedNet3<32>        for 32 x 32: .9 M parameters
///
/// Images should be centred, and not be divided by their deviation, which divides distances too.
///
/// Tested    tests/network/certified_net_test.cpp
template <Index n, Index classes = 10>
using CertifiedNet2 =
    Stack<PixelUnshuffle<2>, PadChannels<n, Stride<1>>, Repeat<2, detail::Tilings<4 * n>>,  //
          PixelUnshuffle<2>, Repeat<2, detail::Tilings<8 * n>>,                             //
          Flatten, NormalisedDense<classes>>;

template <Index n, Index classes = 10>
using CertifiedNet3 =
    Stack<PixelUnshuffle<2>, PadChannels<n, Stride<1>>, Repeat<2, detail::Tilings<4 * n>>,              //
          PixelUnshuffle<2>, Repeat<2, detail::Tilings<8 * n>>,                                         //
          PixelUnshuffle<2>, Repeat<2, ReflectedDictionary<8 * n, Unrolled<SpectralNorm, Unroll<1>>>>,  //
          Flatten, NormalisedDense<classes>>;

}  // namespace detrame::inline DETRAME_ABI
