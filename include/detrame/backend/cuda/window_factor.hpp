// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/cuda/tiled_product.hpp"
#include "detrame/core/window.hpp"

/// What windows read, as right factors of products: a cross-correlation, its adjoint and its gradient are
/// products with them, and no im2col matrix is formed.
namespace detrame::inline DETRAME_ABI::device {

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

/// Along one side of an image: the sites of a phase, those y with (y + padding) modulo stride = phase. Only
/// taps dy = phase + stride t reach them, from position (y + padding - dy) / stride.
struct Phase {
  int first, sites;  ///< site q is y = first + stride q
  int start, taps;   ///< and reads positions q + start - t, 0 <= t < taps

  Phase(int phase, int side, Geometry const& at)
      : first(((phase - at.padding) % at.stride + at.stride) % at.stride),
        sites(first < side ? (side - first + at.stride - 1) / at.stride : 0),
        start((first + at.padding - phase) / at.stride),
        taps(taps_before(phase + 1, at) - taps_before(phase, at)) {}

  /// How many of the taps 0, ..., kernel - 1 belong to the phases before this one.
  static DETRAME_HOST_DEVICE int taps_before(int phase, Geometry const& at) {
    int const rest = at.kernel % at.stride;
    return at.kernel / at.stride * phase + (rest < phase ? rest : phase);
  }
};

/// The place of a tap of a window among all taps, phase by phase; stride 1 leaves their order as it is.
DETRAME_HOST_DEVICE inline int tap_by_phase(int tap, Geometry const& at) {
  int const dy = tap / at.kernel, dx = tap % at.kernel, py = dy % at.stride, px = dx % at.stride;
  int const above = Phase::taps_before(py, at), left = Phase::taps_before(px, at);
  int const rows = Phase::taps_before(py + 1, at) - above, cols = Phase::taps_before(px + 1, at) - left;
  return at.kernel * above + rows * left + dy / at.stride * cols + dx / at.stride;
}

/// B_(tap, c),n = the entry of channel c that position n of a grid reads through a tap, 0 where there is
/// none. Products with it are not cut into parts.
///
///   of the window   position (y, x) of the output reads (stride y + dy - padding, ...)
///   of its adjoint  site (y, x) of a phase of the image reads position (y + start - dy, ...), dy counting
///                   its own taps
template <class Scalar, bool adjoint>
class WindowFactor {
 public:
  WindowFactor(Geometry const& at, MatrixView<Scalar const> U)
    requires(!adjoint)
      : WindowFactor(U, {at.height, at.width}, {at.out_height, at.out_width}, {at.kernel, at.kernel},
                     {-at.padding, -at.padding}, at.stride) {}
  WindowFactor(Geometry const& at, MatrixView<Scalar const> U, Phase const& y, Phase const& x)
    requires(adjoint)
      : WindowFactor(U, {at.out_height, at.out_width}, {y.sites, x.sites}, {x.taps > 0 ? y.taps : 0, x.taps},
                     {y.start, x.start}, 1) {}

  Index cols() const { return cols_; }
  /// The column of the result that column n belongs to.
  __device__ Index place(Index n) const { return n; }

  class Loader : public AlongDepth {
   public:
    __device__ Loader(WindowFactor const& factor, Index first, Index k, int thread)
        : f_(factor), c_(static_cast<int>(k) + row(thread, 0)) {
      reach_channel();
      for (int r = 0; r < ProductTile::of_B; ++r) {
        Index const n = first + col(thread, r);
        int const sites = f_.grid_.y * f_.grid_.x, site = static_cast<int>(n % sites);
        image_[r] = n < f_.cols_ ? n / sites * (f_.read_.y * f_.read_.x) : -1;
        y_[r] = f_.step_ * (site / f_.grid_.x) + f_.start_.y;
        x_[r] = f_.step_ * (site % f_.grid_.x) + f_.start_.x;
      }
    }

    __device__ void load(Index, Scalar (&out)[ProductTile::of_B]) {
#pragma unroll
      for (int r = 0; r < ProductTile::of_B; ++r) {
        int const y = adjoint ? y_[r] - dy_ : y_[r] + dy_, x = adjoint ? x_[r] - dx_ : x_[r] + dx_;
        bool const there =
            dy_ < f_.taps_.y && image_[r] >= 0 && y >= 0 && y < f_.read_.y && x >= 0 && x < f_.read_.x;
        out[r] = there ? f_.U_(c_, image_[r] + y * f_.read_.x + x) : Scalar(0);
      }
      c_ += ProductTile::depth;
      reach_channel();
    }

   private:
    /// c_ counts from the tap that it was in.
    __device__ void reach_channel() {
      while (c_ >= f_.channels_ && dy_ < f_.taps_.y) {
        c_ -= f_.channels_;
        if (++dx_ == f_.taps_.x) {
          dx_ = 0;
          ++dy_;
        }
      }
    }

    WindowFactor f_;
    int c_, dy_ = 0, dx_ = 0;
    Index image_[ProductTile::of_B];
    int y_[ProductTile::of_B], x_[ProductTile::of_B];
  };

 private:
  struct Pair {
    int y, x;
  };
  WindowFactor(MatrixView<Scalar const> U, Pair read, Pair grid, Pair taps, Pair start, int step)
      : U_(U),
        read_(read),
        grid_(grid),
        taps_(taps),
        start_(start),
        step_(step),
        channels_(static_cast<int>(U.rows())),
        cols_(U.cols() / (read.y * read.x) * (grid.y * grid.x)) {}

  MatrixView<Scalar const> U_;
  Pair read_, grid_;   ///< the sizes of an image that is read, and of a grid
  Pair taps_, start_;  ///< how many, and what position 0 reads through the first
  int step_, channels_;
  Index cols_;
};

/// The factor of the sites of one phase in y and x, of an adjoint with a stride.
template <class Scalar>
class PhaseFactor : public WindowFactor<Scalar, true> {
 public:
  PhaseFactor(Geometry const& at, MatrixView<Scalar const> U, Phase const& y, Phase const& x)
      : WindowFactor<Scalar, true>(at, U, y, x), at_(at), y_(y), x_(x) {}

  __device__ Index place(Index n) const {
    int const of_phase = y_.sites * x_.sites, site = static_cast<int>(n % of_phase);
    int const y = y_.first + at_.stride * (site / x_.sites), x = x_.first + at_.stride * (site % x_.sites);
    return n / of_phase * (at_.height * at_.width) + y * at_.width + x;
  }

 private:
  Geometry at_;
  Phase y_, x_;
};

/// B_q,(tap, c) = the entry of channel c that position q reads through a tap: for the gradient of the
/// weights, P B.
template <class Scalar>
class GradientFactor {
 public:
  GradientFactor(Window const& window, MatrixView<Scalar const> U)
      : U_(U), at_(window), channels_(static_cast<int>(U.rows())) {}

  Index cols() const { return Index(at_.kernel) * at_.kernel * channels_; }
  __device__ Index place(Index n) const { return n; }

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

}  // namespace detrame::inline DETRAME_ABI::device
