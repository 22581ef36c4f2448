// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/cuda/tiled_product.hpp"

namespace detrame::inline DETRAME_ABI::device {

/// A matrix as the right factor of a product.
template <class Scalar>
class MatrixFactor {
 public:
  explicit MatrixFactor(MatrixView<Scalar const> B) : B_(B) {}

  Index cols() const { return B_.cols(); }
  /// The column of the result that column n belongs to.
  __device__ Index place(Index n) const { return n; }

  class Loader : public AlongDepth {
   public:
    __device__ Loader(MatrixFactor const& factor, Index first, Index k, int thread)
        : B_(factor.B_), l_(k + row(thread, 0)), first_(first), thread_(thread) {}

    __device__ void load(Index end, Scalar (&out)[ProductTile::of_B]) {
#pragma unroll
      for (int r = 0; r < ProductTile::of_B; ++r) {
        Index const n = first_ + col(thread_, r);
        out[r] = l_ < end && n < B_.cols() ? B_(l_, n) : Scalar(0);
      }
      l_ += ProductTile::depth;
    }

   private:
    MatrixView<Scalar const> B_;
    Index l_, first_;
    int thread_;
  };

 private:
  MatrixView<Scalar const> B_;
};

}  // namespace detrame::inline DETRAME_ABI::device
