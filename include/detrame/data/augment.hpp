// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>

#include "detrame/core/matrix_view.hpp"
#include "detrame/core/random.hpp"
#include "detrame/core/shape.hpp"

namespace detrame::inline DETRAME_ABI {

/// What is done to a sample on its way from the data set x into a batch y, both channels x sites and
/// contiguous: a function of (epoch, sample) alone, so that batches depend neither on threads nor on the
/// order of the samples.
template <class P, class Scalar>
concept Preparation = requires(P const& prepare, Shape shape, std::uint64_t epoch, Index sample,
                               Scalar const* x, Scalar* y) { prepare(shape, epoch, sample, x, y); };

/// y = x.
struct Unchanged {
  template <class Scalar>
  void operator()(Shape const& shape, std::uint64_t, Index, Scalar const* x, Scalar* y) const {
    std::copy_n(x, shape.size(), y);
  }
};

/// A window of the size of the image, in the image with a border of zeros, perhaps flipped left to right.
struct Crop {
  Index top, left;  ///< in 0 ... 2 padding
  bool flipped;

  friend bool operator==(Crop const&, Crop const&) = default;
};

/// A random window, and a flip left to right with probability 1/2 (where `flip` is set).
///
///   y(c, row, col) = x(c, row + top - padding, column + left - padding), 0 outside
///   column = width - 1 - col where flipped, else col      top, left uniform in {0, ..., 2 padding}
///
/// The border is 0, which is the mean where data are normalised before.
///
/// Requires  padding in 0 ... 2^30, else DomainError.
/// Ensures   a function of (seed, epoch, sample) alone.
/// Tested    tests/data/augment_test.cpp
class RandomCrop {
 public:
  explicit RandomCrop(std::uint64_t seed, Index padding = 4, bool flip = true)
      : seed_(seed), padding_(padding), flip_(flip) {
    require_at_least("RandomCrop", "padding", padding, Index{0});
    if (padding > Index{1} << 30)
      throw DomainError(message("RandomCrop: padding = ", padding, ", must be <= 2^30"));
  }

  Crop crop(std::uint64_t epoch, Index sample) const {
    Random const random(seed_, epoch);
    std::uint64_t const place = 4 * static_cast<std::uint64_t>(sample);
    return {random.below(2 * padding_ + 1, place), random.below(2 * padding_ + 1, place + 1),
            flip_ && random.below(2, place + 2) == 1};
  }

  template <class Scalar>
  void operator()(Shape const& shape, std::uint64_t epoch, Index sample, Scalar const* x, Scalar* y) const {
    auto const [top, left, flipped] = crop(epoch, sample);
    Index const width = shape.width;
    for (Index row = 0; row < shape.height; ++row)
      for (Index col = 0; col < width; ++col, y += shape.channels) {
        Index const from_row = row + top - padding_;
        Index const from_col = (flipped ? width - 1 - col : col) + left - padding_;
        bool const inside = from_row >= 0 && from_row < shape.height && from_col >= 0 && from_col < width;
        if (inside)
          std::copy_n(x + shape.channels * (from_row * width + from_col), shape.channels, y);
        else
          std::fill_n(y, shape.channels, Scalar(0));
      }
  }

 private:
  std::uint64_t seed_;
  Index padding_;
  bool flip_;
};

static_assert(Preparation<Unchanged, float> && Preparation<RandomCrop, double>);

}  // namespace detrame::inline DETRAME_ABI
