// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/cuda/tiled_product.hpp"
#include "detrame/core/window.hpp"

/// What windows read, as right factors of products: a cross-correlation, its adjoint and its gradient are
/// products with them, and no im2col matrix is formed.
namespace detrame::device {

/// The geometry of a window in the integers that a device counts fastest in.
struct Geometry {
  int height, width, out_height, out_width, kernel, stride, padding;

  explicit Geometry(Window const& w)
      : height(static_cast<int>(w.height)),
        width(static_cast<int>(w.width)),
        out_height(static_cast<int>(w.out_height())),
        out_width(static_cast<int>(w.out_width())),
        kernel(static_cast<int>(w.kernel)),
        stride(static_cast<int>(w.stride)),
        padding(static_cast<int>(w.padding)) {}
};

/// B_(tap, c),n = the entry of channel c that position n reads through a tap, 0 where there is none. Products with it
/// are not cut into parts.
///
///   of the window   position (y, x) of the output reads (stride y + dy - padding, ...)
///   of its adjoint  site (y, x) of the image reads the positions that read it,
///                   ((y + padding - dy) / stride, ...) where that is whole
template <class Scalar, bool adjoint>
class WindowFactor {
 public:
  WindowFactor(Window const& window, MatrixView<Scalar const> U)
      : U_(U),
        at_(window),
        channels_(static_cast<int>(U.rows())),
        cols_(U.cols() / in_sites() * out_sites()) {}

  Index cols() const { return cols_; }

  class Loader : public AlongDepth {
   public:
    __device__ Loader(WindowFactor const& factor, Index first, Index k, int thread)
        : f_(factor), c_(static_cast<int>(k) + row(thread, 0)) {
      reach_channel();
      for (int r = 0; r < ProductTile::of_B; ++r) {
        Index const n = first + col(thread, r);
        int const site = static_cast<int>(n % f_.out_sites()),
                  width = adjoint ? f_.at_.width : f_.at_.out_width;
        image_[r] = n < f_.cols_ ? n / f_.out_sites() * f_.in_sites() : -1;
        y_[r] = site / width;
        x_[r] = site % width;
      }
    }

    __device__ void load(Index, Scalar (&out)[ProductTile::of_B]) {
#pragma unroll
      for (int r = 0; r < ProductTile::of_B; ++r) {
        int const y = read(y_[r], dy_), x = read(x_[r], dx_);
        int const height = adjoint ? f_.at_.out_height : f_.at_.height;
        int const width = adjoint ? f_.at_.out_width : f_.at_.width;
        bool const there =
            dy_ < f_.at_.kernel && image_[r] >= 0 && y >= 0 && y < height && x >= 0 && x < width;
        out[r] = there ? f_.U_(c_, image_[r] + y * width + x) : Scalar(0);
      }
      c_ += ProductTile::depth;
      reach_channel();
    }

   private:
    /// c_ counts from the tap that it was in.
    __device__ void reach_channel() {
      while (c_ >= f_.channels_ && dy_ < f_.at_.kernel) {
        c_ -= f_.channels_;
        if (++dx_ == f_.at_.kernel) {
          dx_ = 0;
          ++dy_;
        }
      }
    }
    /// The row, or site of a row, that is read; -1 where there is none.
    __device__ int read(int y, int d) const {
      if constexpr (!adjoint) return f_.at_.stride * y + d - f_.at_.padding;
      int const from = y + f_.at_.padding - d;
      return from % f_.at_.stride == 0 ? from / f_.at_.stride : -1;
    }

    WindowFactor f_;
    int c_, dy_ = 0, dx_ = 0;
    Index image_[ProductTile::of_B];
    int y_[ProductTile::of_B], x_[ProductTile::of_B];
  };

 private:
  DETRAME_HOST_DEVICE int in_sites() const {
    return adjoint ? at_.out_height * at_.out_width : at_.height * at_.width;
  }
  DETRAME_HOST_DEVICE int out_sites() const {
    return adjoint ? at_.height * at_.width : at_.out_height * at_.out_width;
  }

  MatrixView<Scalar const> U_;
  Geometry at_;
  int channels_;
  Index cols_;
};

/// B_q,(tap, c) = the entry of channel c that position q reads through a tap: for the gradient of the
/// weights, P B.
template <class Scalar>
class GradientFactor {
 public:
  GradientFactor(Window const& window, MatrixView<Scalar const> U)
      : U_(U), at_(window), channels_(static_cast<int>(U.rows())) {}

  Index cols() const { return Index(at_.kernel) * at_.kernel * channels_; }

  class Loader : public AlongColumns {
   public:
    __device__ Loader(GradientFactor const& factor, Index first, Index k, int thread) : f_(factor), q_(k) {
      Geometry const& at = f_.at_;
      int const n = static_cast<int>(first) + col(thread, 0), tap = n / f_.channels_;
      int const site = static_cast<int>(k % (at.out_height * at.out_width));
      c_ = n % f_.channels_;
      dy_ = tap / at.kernel - at.padding;
      dx_ = tap % at.kernel - at.padding;
      there_ = tap < at.kernel * at.kernel;
      image_ = k / (at.out_height * at.out_width) * (at.height * at.width);
      y_ = site / at.out_width;
      x_ = site % at.out_width;
    }

    __device__ void load(Index end, Scalar (&out)[ProductTile::of_B]) {
      Geometry const& at = f_.at_;
#pragma unroll
      for (int r = 0; r < ProductTile::of_B; ++r) {
        int const y = at.stride * y_ + dy_, x = at.stride * x_ + dx_;
        bool const there = there_ && q_ < end && y >= 0 && y < at.height && x >= 0 && x < at.width;
        out[r] = there ? f_.U_(c_, image_ + y * at.width + x) : Scalar(0);
        ++q_;
        if (++x_ == at.out_width) {
          x_ = 0;
          if (++y_ == at.out_height) {
            y_ = 0;
            image_ += at.height * at.width;
          }
        }
      }
    }

   private:
    GradientFactor f_;
    Index q_, image_;
    int c_, dy_, dx_, y_, x_;
    bool there_;
  };

 private:
  MatrixView<Scalar const> U_;
  Geometry at_;
  int channels_;
};

}  // namespace detrame::device
