// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/layer/patches.hpp"

namespace detrame::inline DETRAME_ABI {

/// An image of s x s times fewer sites, each with the channels of an s x s block: what halves an image and
/// loses nothing.
///
///   y(i + channels (s dy + dx); y, x) = x(i; s y + dy, s x + dx)
///
/// Shapes    x: channels x (sites samples), height and width multiples of s.
///           y: (s^2 channels) x (sites / s^2 samples).
/// Ensures   an isometry: the same numbers in another place, |y| = |x|, without rounding.
/// Adjoint   its inverse.  Lending and cost as Patches<s, Stride<s>, Padding<0>>, which it is.
/// Tested    tests/layer/patches_test.cpp
template <Index s>
struct PixelUnshuffle : Patches<s, Stride<s>, Padding<0>> {
  static_assert(s >= 1, "PixelUnshuffle: the side of a block must be positive");

  template <Shape in, Backend B>
  struct Layer : Patches<s, Stride<s>, Padding<0>>::template Layer<in, B> {
    static_assert(in.height % s == 0 && in.width % s == 0,
                  "PixelUnshuffle: height and width must be multiples of the side of a block");
    using FromRecipe = PixelUnshuffle;
    static std::string name() { return message("Pixel unshuffle, ", s, " x ", s); }
  };
};

}  // namespace detrame::inline DETRAME_ABI
