// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/concept.hpp"

/// How batches of images, and single numbers, are given to kernels whose column is an image.
namespace detrame::inline DETRAME_ABI::exact {

/// k times one number; a view of the lane's scratch.
template <Backend B>
ConstView<B> constant(typename B::Lane& lane, Index k, typename B::Scalar value) {
  View<B> const out = lane.scratch(k, 1);
  each(lane, formula::Fill<typename B::Scalar>{value}, out);
  return out;
}

/// A batch as a matrix with a column an image: itself, read differently, or a copy in scratch.
template <Backend B>
ConstView<B> by_image(typename B::Lane& lane, ConstView<B> Z, Index sites, Matrix<B>& copy, B& backend) {
  Index const n = Z.rows() * sites, images = Z.cols() / sites;
  if (Z.contiguous()) return Z.reshaped(n, images);
  resize(backend, copy, n, images);
  copy_entries(lane, Z, copy);
  return copy;
}

}  // namespace detrame::inline DETRAME_ABI::exact
