// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/convolution_arithmetic.hpp"
#include "detrame/backend/cpu/product.hpp"
#include "detrame/core/window.hpp"

/// Cross-correlations as products with what a window reads, which lies in overlapping columns of a padded
/// image: no copy of it is made.
namespace detrame::inline DETRAME_ABI::detail {

/// The number of images in a batch.
inline Index images(Index columns, Index sites) {
  DETRAME_ASSERT(columns % sites == 0);
  return columns / sites;
}

/// One image with zeros around it: [row][site][channel], `low` rows and sites of zeros before it, `high`
/// after it.
template <class Scalar>
class PaddedImage {
 public:
  PaddedImage(CpuLane<Scalar>& lane, Index height, Index width, Index channels, Index low, Index high)
      : height_(height), width_(width), channels_(channels), low_(low), pitch_(low + width + high) {
    Index const size = (low + height + high) * pitch_ * channels;
    data_ = lane.scratch(size, 1).data();
    std::fill_n(data_, size, Scalar(0));
  }

  /// Takes an image: channels x sites.
  void read(MatrixView<Scalar const> image) const {
    for (Index y = 0; y < height_; ++y) {
      Scalar* to = data_ + ((low_ + y) * pitch_ + low_) * channels_;
      for (Index x = 0; x < width_; ++x, to += channels_)
        std::copy_n(image.data() + (y * width_ + x) * image.stride(), channels_, to);
    }
  }

  /// Padded row y and site x, counted from the corner of the zeros.
  Scalar const* at(Index y, Index x) const { return data_ + (y * pitch_ + x) * channels_; }
  /// From a row to the next.
  Index row_step() const { return pitch_ * channels_; }

 private:
  Index height_, width_, channels_, low_, pitch_;
  Scalar* data_;
};

/// Positions of an output that share their taps: those in rows y + i step and sites x + j step of the output.
struct Pass {
  Index y, x, rows, cols;          ///< where they are
  Index taps_y, taps_x;            ///< how many taps each has
  Index from_y, from_x;            ///< the padded site of its first tap for i = j = 0
  Index first_tap_y, first_tap_x;  ///< that tap in the window
};

/// What a window, or its adjoint, does for every position: a sum over taps of weights and neighbouring sites.
///
/// The adjoint of stride s writes the sites of each residue modulo s in a pass of its own, for which it is a
/// window of stride 1 whose taps, s apart, run backwards.
struct Passes {
  Window window;
  bool adjoint;

  Index count() const { return adjoint ? window.stride * window.stride : 1; }
  /// Zeros before and after the image that is read.
  Index low() const { return adjoint ? (window.kernel - 1) / window.stride : window.padding; }
  Index high() const { return adjoint ? (window.kernel + window.stride) / window.stride : window.padding; }
  /// From a position to the next: in the output, and in the padded image.
  Index out_step() const { return adjoint ? window.stride : 1; }
  Index in_step() const { return adjoint ? 1 : window.stride; }

  Pass operator[](Index i) const {
    Window const& w = window;
    if (!adjoint) return {0, 0, w.out_height(), w.out_width(), w.kernel, w.kernel, 0, 0, 0, 0};
    Index const s = w.stride, r_y = i / s, r_x = i % s;
    // y + padding = s q + r reads row q - t through tap r + s t: forwards in memory, t = taps - 1, ..., 0.
    auto const taps = [&](Index r) { return (w.kernel - r + s - 1) / s; };
    auto const first = [&](Index r) { return (w.padding - r + s - 1) / s; };  // the least q
    auto const at = [&](Index r) { return s * first(r) + r - w.padding; };
    auto const positions = [&](Index r, Index size) { return at(r) < size ? (size - 1 - at(r)) / s + 1 : 0; };
    Index const n_y = taps(r_y), n_x = taps(r_x);
    return {at(r_y),
            at(r_x),
            positions(r_y, w.height),
            positions(r_x, w.width),
            n_y,
            n_x,
            first(r_y) - (n_y - 1) + low(),
            first(r_x) - (n_x - 1) + low(),
            r_y + s * (n_y - 1),
            r_x + s * (n_x - 1)};
  }
  /// The tap of the window that is the t-th of a pass in one direction.
  Index tap(Index first, Index t) const { return adjoint ? first - window.stride * t : t; }
};

/// The weights of a window or its adjoint, packed pass by pass.
template <class Scalar>
struct DirectKernel {
  Passes passes;
  Index out_channels, channels;  ///< written and read
  Scalar* data = nullptr;

  DirectKernel(Window const& window, Index k, Index c, Op op)
      : passes{window, op == Op::transposed},
        out_channels(passes.adjoint ? c : k),
        channels(passes.adjoint ? k : c) {}

  Index depth(Pass const& p) const { return p.taps_y * p.taps_x * channels; }
  Index size() const {
    Index total = 0;
    for (Index i = 0; i < passes.count(); ++i)
      total += PackedMatrix<Scalar>::size(out_channels, depth(passes[i]));
    return total;
  }
  /// The image that is read, and that which is written.
  Index in_sites() const { return passes.adjoint ? passes.window.out_sites() : passes.window.sites(); }
  Index out_sites() const { return passes.adjoint ? passes.window.sites() : passes.window.out_sites(); }
  PaddedImage<Scalar> padded(CpuLane<Scalar>& lane) const {
    Window const& w = passes.window;
    return {lane,
            passes.adjoint ? w.out_height() : w.height,
            passes.adjoint ? w.out_width() : w.width,
            channels,
            passes.low(),
            passes.high()};
  }
};

/// Packs the weights W: k x (taps channels), on a backend's threads or on a lane.
template <class Where, class Scalar>
void pack_weights(Where& where, DirectKernel<Scalar> const& kernel, MatrixView<Scalar const> W) {
  bool const adjoint = kernel.passes.adjoint;
  Index const K = kernel.passes.window.kernel, c = W.cols() / (K * K);
  Scalar* to = kernel.data;
  for (Index i = 0; i < kernel.passes.count(); ++i) {
    Pass const p = kernel.passes[i];
    PackedMatrix<Scalar> const packed{kernel.out_channels, kernel.depth(p), to};
    pack(where, packed, [&](Index o, Index l) {
      Index const t = l / kernel.channels, in = l % kernel.channels;
      Index const dy = kernel.passes.tap(p.first_tap_y, t / p.taps_x),
                  dx = kernel.passes.tap(p.first_tap_x, t % p.taps_x);
      return adjoint ? W(in, (dy * K + dx) * c + o) : W(o, (dy * K + dx) * c + in);
    });
    to += packed.size(packed.rows, packed.depth);
  }
}

/// emit(v, channel, site, n) for the entries of V = K U.
template <class Scalar, class Emit>
void direct_each(CpuLane<Scalar>& lane, DirectKernel<Scalar> const& kernel, MatrixView<Scalar const> U,
                 Emit const& emit) {
  constexpr Index L = lanes<Scalar>;
  auto const frame = lane.frame();
  Passes const& passes = kernel.passes;
  Index const out_width = passes.adjoint ? passes.window.width : passes.window.out_width();
  PaddedImage<Scalar> const padded = kernel.padded(lane);
  for (Index n = 0; n < images(U.cols(), kernel.in_sites()); ++n) {
    padded.read(U.middle_cols(n * kernel.in_sites(), kernel.in_sites()));
    Scalar const* weights = kernel.data;
    for (Index i = 0; i < passes.count(); ++i) {
      Pass const p = passes[i];
      Strides const at{p.taps_y, p.taps_x * kernel.channels, padded.row_step(), 1,
                       passes.in_step() * kernel.channels};
      PackedMatrix<Scalar> const A{kernel.out_channels, kernel.depth(p), nullptr};
      for_each_panel(A.packets(A.rows), [&](Index panel, Index rows) {
        for (Index y = 0; y < p.rows; ++y) {
          Index const site = n * kernel.out_sites() + (p.y + passes.out_step() * y) * out_width + p.x;
          multiply_panel(rows, weights + panel * L * A.depth,
                         padded.at(p.from_y + passes.in_step() * y, p.from_x), at, p.cols,
                         [&](Scalar const* tile, Index x, Index width) {
                           Index const size = std::min(rows * L, A.rows - panel * L);
                           for (Index c = 0; c < width; ++c)
                             emit(tile + c * rows * L, panel * L, site + (x + c) * passes.out_step(), size);
                         });
        }
      });
      weights += A.size(A.rows, A.depth);
    }
  }
}

/// W_bar += sign d<K U, P> / dW for the window itself. Images are added in order.
template <class Scalar>
void add_direct_gradient(CpuLane<Scalar>& lane, Window const& window, MatrixView<Scalar const> P,
                         MatrixView<Scalar const> U, Scalar sign, MatrixView<Scalar> W_bar) {
  auto const frame = lane.frame();
  Passes const passes{window, false};
  Index const out_width = window.out_width(), depth = window.kernel * U.rows();
  // As many rows of positions at a time as leave what is read of them in the nearest cache.
  Index const strip = std::clamp<Index>(256 / out_width, 1, window.out_height());
  PaddedImage<Scalar> const padded(lane, window.height, window.width, U.rows(), passes.low(), passes.high());
  for (Index n = 0; n < images(U.cols(), window.sites()); ++n) {
    padded.read(U.middle_cols(n * window.sites(), window.sites()));
    for (Index y = 0; y < window.out_height(); y += strip) {
      Index const rows = std::min(strip, window.out_height() - y);
      auto const strip_frame = lane.frame();
      PackedMatrix<Scalar> const P_rows =
          packed(lane, P.middle_cols(n * window.out_sites() + y * out_width, rows * out_width), sign);
      for (Index dy = 0; dy < window.kernel; ++dy)
        add_outer(P_rows, padded.at(window.stride * y + dy, 0),
                  {rows, out_width, window.stride * padded.row_step(), window.stride * U.rows(), 1}, depth,
                  W_bar.data() + dy * depth * W_bar.stride(), W_bar.stride());
    }
  }
}

}  // namespace detrame::inline DETRAME_ABI::detail
