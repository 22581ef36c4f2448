// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <span>
#include <unordered_set>
#include <vector>

#include "detrame/backend/concept.hpp"
#include "detrame/core/random.hpp"
#include "detrame/core/shape.hpp"

namespace detrame::inline DETRAME_ABI {

namespace learn {

/// Images of one shape, and the squares in them.
struct PatchGrid {
  Shape image;
  Index size, images;

  Index across() const { return image.width - size + 1; }
  Index each() const { return (image.height - size + 1) * across(); }  ///< patches of an image
  Index rows() const { return image.channels * size * size; }

  PatchGrid(char const* who, Shape image_, Index size_, Index columns)
      : image(image_), size(size_), images(0) {
    if (size < 1 || size > std::min(image.height, image.width) || image.channels < 1)
      throw DomainError(
          message(who, ": patches of size ", size, " in images of ", image, ", must be >= 1 and fit"));
    if (columns % image.sites() != 0)
      throw ShapeError(message(who, ": ", columns, " columns, an image of ", image, " has ", image.sites()));
    images = columns / image.sites();
  }
};

/// The pixels of image patches that cover one site, averaged; one task a site of a batch of images.
template <class Scalar>
struct OverlapAverage {
  Index channels, height, width, size;

  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index q, Scalar*, MatrixView<Scalar const> P,
                                      MatrixView<Scalar> out) const {
    Index const C = channels, s = size, across = width - s + 1, down = height - s + 1;
    Index const site = q % (height * width), row = site / width, col = site % width;
    Index const top = row < s ? 0 : row - s + 1, bottom = row < down ? row : down - 1;
    Index const left = col < s ? 0 : col - s + 1, right = col < across ? col : across - 1;
    Index const first = q / (height * width) * (down * across);
    team.each(C, [=](Index c) {
      Scalar sum = 0;
      for (Index y = top; y <= bottom; ++y)
        for (Index x = left; x <= right; ++x)
          sum += P(c + C * ((row - y) * s + (col - x)), first + y * across + x);
      out(c, q) = sum / static_cast<Scalar>((bottom - top + 1) * (right - left + 1));
    });
  }
};

/// x <- x - mean of its column, which is kept; one task a column.
template <class Scalar>
struct RemoveMean {
  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar*, MatrixView<Scalar> x,
                                      MatrixView<Scalar> mean) const {
    Index const m = x.rows();
    Scalar const value = team.sum(m, [=](Index i) { return x(i, j); }) / static_cast<Scalar>(m);
    team.each(m, [=](Index i) { x(i, j) -= value; });
    team.once([=] { mean(0, j) = value; });
  }
};

/// Patches by their number: image after image, in an image row after row.
template <Backend B>
Matrix<B> gather_patches(B& backend, PatchGrid const& grid, ConstView<B> x, std::span<Index const> which) {
  Matrix<B> out;
  Index const area = grid.size * grid.size, count = static_cast<Index>(which.size());
  resize(backend, out, grid.rows(), count);
  std::vector<Index> sites(static_cast<std::size_t>(area * count));
  auto site = sites.begin();
  for (Index const patch : which) {
    Index const at = patch % grid.each(), top = at / grid.across(), left = at % grid.across();
    Index const corner = patch / grid.each() * grid.image.sites() + top * grid.image.width + left;
    for (Index row = 0; row < grid.size; ++row)
      for (Index col = 0; col < grid.size; ++col) *site++ = corner + row * grid.image.width + col;
  }
  View<B> const pixels = View<B>(out).reshaped(grid.image.channels, area * count);
  each_chunk(backend, Batch{.columns = area * count, .unit = area}, grid.image.channels,
             [&](typename B::Lane& lane, Columns c) {
               gather_columns(lane, x, {sites.data() + c.first, static_cast<std::size_t>(c.count)},
                              columns(pixels, c));
             });
  return out;
}

}  // namespace learn

/// Some of all patches, chosen without replacement.
struct RandomPatches {
  Index count;
  std::uint64_t seed = 0;
};

/// All size x size squares of images, a column each: image after image, in an image row after row.
///
/// Shapes    images: channels x (sites images), as a batch of them.  Result: (channels size^2) x count; of a
///           column, the pixels row after row, the channels of a pixel together: a batch of small images.
/// Requires  1 <= size <= height, width, else DomainError; whole images of image.channels rows, else
///           ShapeError.
/// Adjoint   none; `unpatch` is its left inverse.
/// Tested    tests/learn/patches_test.cpp
template <Backend B>
Matrix<B> patches(B& backend, Shape image, Index size, Input<B> images) {
  ConstView<B> const x = images;
  learn::PatchGrid const grid("patches", image, size, x.cols());
  require_shape("patches", "images", x, image.channels, x.cols());
  std::vector<Index> which(static_cast<std::size_t>(grid.images * grid.each()));
  for (std::size_t n = 0; n < which.size(); ++n) which[n] = static_cast<Index>(n);
  return learn::gather_patches<B>(backend, grid, x, which);
}

/// `count` distinct ones of them, in the order in which they stand there: every choice is as likely.
///
/// Requires  besides: 0 <= count <= all of them, which are at most 2^32, else DomainError.
/// Ensures   a function of the sizes and of chosen alone.
/// Source    Floyd's algorithm: Bentley, Floyd, "A sample of brilliance", CACM 1987.
template <Backend B>
Matrix<B> patches(B& backend, Shape image, Index size, Input<B> images, RandomPatches chosen) {
  ConstView<B> const x = images;
  learn::PatchGrid const grid("patches", image, size, x.cols());
  require_shape("patches", "images", x, image.channels, x.cols());
  Index const all = grid.images * grid.each();
  if (chosen.count < 0 || chosen.count > all || all > Index{1} << 32)
    throw DomainError(message("patches: ", chosen.count, " of ", all, " patches, must be in 0 ... ",
                              std::min(all, Index{1} << 32), ", and all of them at most 2^32"));
  Random const random(chosen.seed, 0);
  std::unordered_set<Index> drawn;
  for (Index n = all - chosen.count; n < all; ++n)
    if (!drawn.insert(random.below(n + 1, static_cast<std::uint64_t>(n))).second) drawn.insert(n);
  std::vector<Index> which(drawn.begin(), drawn.end());
  std::sort(which.begin(), which.end());
  return learn::gather_patches<B>(backend, grid, x, which);
}

/// Images from all their patches: at each pixel the average of the patches that cover it.
///
/// Shapes    P: as `patches` of whole images has it, else ShapeError.  Result: channels x (sites images).
/// Ensures   unpatch(patches(x)) = x up to the rounding of an average of at most size^2 terms.
/// Cost      size^2 additions an entry.
/// Tested    tests/learn/patches_test.cpp
template <Backend B>
Matrix<B> unpatch(B& backend, Shape image, Index size, Input<B> P) {
  using Scalar = typename B::Scalar;
  ConstView<B> const p = P;
  learn::PatchGrid const grid("unpatch", image, size, 0);
  if (p.rows() != grid.rows() || p.cols() % grid.each() != 0)
    throw ShapeError(message("unpatch: P is ", p.rows(), " x ", p.cols(), ", an image of ", image, " has ",
                             grid.each(), " patches of ", grid.rows(), " rows"));
  Matrix<B> out;
  resize(backend, out, image.channels, p.cols() / grid.each() * image.sites());
  Tasks const tasks(out.cols(), static_cast<double>(grid.rows()));
  each_column(backend, tasks, 0,
              learn::OverlapAverage<Scalar>{image.channels, image.height, image.width, size}, p,
              View<B>(out));
  return out;
}

/// X <- X less the mean of each column, which is returned: 1 x N.
///
/// Requires  a row, else ShapeError.
/// Tested    tests/learn/patches_test.cpp
template <Backend B>
Matrix<B> remove_means(B& backend, Matrix<B>& X) {
  if (X.rows() < 1) throw ShapeError(message("remove_means: X is ", X.rows(), " x ", X.cols()));
  Matrix<B> means;
  resize(backend, means, 1, X.cols());
  each_column(backend, X.cols(), 0, learn::RemoveMean<typename B::Scalar>{}, View<B>(X), View<B>(means));
  return means;
}

/// X <- X plus a number for each column.
/// Shapes    means: 1 x N, else ShapeError.
template <Backend B>
void add_means(B& backend, Matrix<B>& X, Input<B> means) {
  ConstView<B> const add = means;
  require_shape("add_means", "means", add, 1, X.cols());
  View<B> const x = X;
  each_chunk(backend, Batch{x.cols()}, x.rows(), [&](typename B::Lane& lane, Columns c) {
    each(lane, formula::Add{}, columns(x, c), PerColumn{columns(add, c)});
  });
}

}  // namespace detrame::inline DETRAME_ABI
