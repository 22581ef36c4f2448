// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "detrame/backend/cpu/each.hpp"
#include "detrame/backend/cpu/gemm.hpp"
#include "detrame/core/window.hpp"

namespace detrame {

namespace detail {

/// One image with zeros around it, in which a row of the window is a matrix product: the taps of row dy at all
/// positions are the columns of one matrix with `kernel channels` rows, which overlap in memory.
///
///   memory   [phase][slot][site][channel]: padded row r lies in phase r mod stride, slot r / stride
///   pitch    sites from one row to the next, a multiple of the stride. The zeros to the right of a row are those to
///            the left of the next, so positions(): (rows - 1) pitch / stride + out_width, those between two rows
///            being computed in vain.
template <class Scalar>
class PaddedImage {
 public:
  PaddedImage(CpuLane<Scalar>& lane, Window const& window, Index channels)
      : window_(window),
        channels_(channels),
        pitch_(whole(window.width + window.padding) * window.stride),
        slots_(whole(window.height + 2 * window.padding)),
        phase_size_((slots_ * pitch_ + window.kernel) * channels) {
    memory_ = lane.scratch(phase_size_, window.stride);
    clear();
  }

  /// Columns of the product from one row of positions to the next, and in all.
  Index row_step() const { return pitch_ / window_.stride; }
  Index positions() const { return (window_.out_height() - 1) * row_step() + window_.out_width(); }

  void clear() const { std::fill_n(memory_.data(), phase_size_ * window_.stride, Scalar(0)); }

  /// Row y of the image: channels x width.
  MatrixView<Scalar> row(Index y) const {
    Index const r = y + window_.padding;
    return {memory_.data() + (r % window_.stride) * phase_size_ +
                (r / window_.stride * pitch_ + window_.padding) * channels_,
            channels_, window_.width, channels_};
  }

  /// What row dy of the window reads at each position: (kernel channels) x positions().
  MatrixView<Scalar> taps(Index dy) const {
    return {memory_.data() + (dy % window_.stride) * phase_size_ + dy / window_.stride * pitch_ * channels_,
            window_.kernel * channels_, positions(), window_.stride * channels_};
  }

  /// Takes an image: channels x sites.
  void read(CpuLane<Scalar>& lane, MatrixView<Scalar const> image) const {
    for (Index y = 0; y < window_.height; ++y)
      each(lane, formula::Assign{}, row(y), image.middle_cols(y * window_.width, window_.width));
  }

 private:
  Index whole(Index sites) const { return (sites + window_.stride - 1) / window_.stride; }

  Window window_;
  Index channels_, pitch_, slots_, phase_size_;
  MatrixView<Scalar> memory_;
};

/// The columns [first, first + count) of what stands beside V.
template <class View>
View beside(View const& v, Index first, Index count) {
  return v.middle_cols(first, count);
}
template <class View>
PerRow<View> beside(PerRow<View> const& v, Index, Index) {
  return v;
}
template <class View>
PerColumn<View> beside(PerColumn<View> const& v, Index first, Index count) {
  return {v.vector.middle_cols(first, count)};
}

template <class V>
auto as_view(V&& v) {
  if constexpr (requires { v.vector; })
    return v;
  else
    return reader(v).view;
}

/// The weights of the adjoint of a window of stride 1, which is a window too: W'_{dy, dx} = W_{K-1-dy, K-1-dx}^T.
template <class Scalar>
MatrixView<Scalar> flipped(CpuLane<Scalar>& lane, Window const& window, MatrixView<Scalar const> W) {
  Index const k = W.rows(), channels = W.cols() / window.taps();
  MatrixView<Scalar> const out = lane.scratch(channels, window.taps() * k);
  for (Index tap = 0; tap < window.taps(); ++tap) {
    auto const to = out.middle_cols((window.taps() - 1 - tap) * k, k);
    auto const from = W.middle_cols(tap * channels, channels);  // k x channels
    for (Index o = 0; o < k; ++o)
      for (Index c = 0; c < channels; ++c) to(c, o) = from(o, c);
  }
  return out;
}

/// The number of images in a batch.
inline Index images(Index columns, Index sites) {
  DETRAME_ASSERT(columns % sites == 0);
  return columns / sites;
}

/// Rows of positions that are computed at once: as many as make about 400 columns, so that their sums stay in cache.
inline Index strip_rows(Index row_step, Index rows) {
  return std::clamp<Index>((400 + row_step / 2) / row_step, 1, rows);
}

template <class Scalar, class F, class... Args>
void convolve_views(CpuLane<Scalar>& lane, Window const& window, MatrixView<Scalar const> W,
                    MatrixView<Scalar const> U, F const& f, Args const&... args) {
  if (window.pointwise()) return gemm_each(lane, W, Op::none, U, f, args...);
  auto const frame = lane.frame();
  Index const depth = window.kernel * U.rows(), out_sites = window.out_sites(),
              out_width = window.out_width();
  PaddedImage<Scalar> const padded(lane, window, U.rows());
  Index const strip = strip_rows(padded.row_step(), window.out_height());
  MatrixView<Scalar> const memory = lane.scratch(W.rows(), strip * padded.row_step());
  for (Index n = 0; n < images(U.cols(), window.sites()); ++n) {
    padded.read(lane, U.middle_cols(n * window.sites(), window.sites()));
    for (Index y = 0; y < window.out_height(); y += strip) {
      Index const rows = std::min(strip, window.out_height() - y), first = y * padded.row_step();
      Index const count = (rows - 1) * padded.row_step() + out_width;
      MatrixView<Scalar> const V = memory.middle_cols(0, count);
      for (Index dy = 0; dy < window.kernel; ++dy)
        gemm(lane, 1, W.middle_cols(dy * depth, depth), Op::none, padded.taps(dy).middle_cols(first, count),
             Op::none, dy == 0 ? 0 : 1, V);
      for (Index r = 0; r < rows; ++r) {
        Index const site = n * out_sites + (y + r) * out_width;
        each(lane, f, MatrixView<Scalar const>(V.middle_cols(r * padded.row_step(), out_width)),
             beside(args, site, out_width)...);
      }
    }
  }
}

}  // namespace detail

/// f(v_ij, args_ij...) for every entry of V = K U, which is not kept: the cross-correlation of each image of U with
/// the weights W of the window.
///
/// W: k x (taps channels). U: channels x (sites images). V and the args beside it: k x (out_sites images). f as in
/// gemm_each; what it writes must not be read by the product. Columns of one image depend on no other image.
template <class Scalar, class F, class... Args>
void convolve_each(CpuLane<Scalar>& lane, Window const& window,
                   std::type_identity_t<MatrixView<Scalar const>> W,
                   std::type_identity_t<MatrixView<Scalar const>> U, F const& f, Args&&... args) {
  DETRAME_ASSERT(window.fits() && W.cols() == window.taps() * U.rows());
  detail::convolve_views(lane, window, W, U, f, detail::as_view(args)...);
}

/// f(v_ij, args_ij...) for every entry of V = K^T P, the adjoint of the cross-correlation.
///
/// W: k x (taps channels). P: k x (out_sites images). V and the args beside it: channels x (sites images).
template <class Scalar, class F, class... Args>
void convolve_adjoint_each(CpuLane<Scalar>& lane, Window const& window,
                           std::type_identity_t<MatrixView<Scalar const>> W,
                           std::type_identity_t<MatrixView<Scalar const>> P, F const& f, Args&&... args) {
  DETRAME_ASSERT(window.fits() && W.rows() == P.rows());
  if (window.pointwise()) return gemm_each(lane, W, Op::transposed, P, f, args...);
  auto const frame = lane.frame();
  if (window.stride == 1)
    return detail::convolve_views(
        lane,
        Window{window.out_height(), window.out_width(), window.kernel, 1, window.kernel - 1 - window.padding},
        MatrixView<Scalar const>(detail::flipped(lane, window, W)), P, f, detail::as_view(args)...);
  Index const channels = W.cols() / window.taps(), depth = window.kernel * channels;
  detail::PaddedImage<Scalar> const padded(lane, window, channels);
  MatrixView<Scalar> const parts = lane.scratch(depth, window.out_sites());  // of one row of the window
  for (Index n = 0; n < detail::images(P.cols(), window.out_sites()); ++n) {
    if (n > 0) padded.clear();
    for (Index dy = 0; dy < window.kernel; ++dy) {
      gemm(lane, 1, W.middle_cols(dy * depth, depth), Op::transposed,
           P.middle_cols(n * window.out_sites(), window.out_sites()), Op::none, 0, parts);
      for (Index y = 0; y < window.out_height(); ++y)
        for (Index x = 0; x < window.out_width(); ++x) {
          auto const sums = padded.taps(dy).middle_cols(y * padded.row_step() + x, 1);
          each(lane, formula::Add{}, sums, parts.middle_cols(y * window.out_width() + x, 1));
        }
    }
    for (Index y = 0; y < window.height; ++y) {
      Index const first = n * window.sites() + y * window.width;
      each(lane, f, MatrixView<Scalar const>(padded.row(y)),
           detail::beside(detail::as_view(args), first, window.width)...);
    }
  }
}

/// W_bar += sign d<K U, P> / dW.
///
/// P: k x (out_sites images). U: channels x (sites images). W_bar: k x (taps channels). Images are added in order.
template <class Scalar>
void add_convolution_gradient(CpuLane<Scalar>& lane, Window const& window,
                              std::type_identity_t<MatrixView<Scalar const>> P,
                              std::type_identity_t<MatrixView<Scalar const>> U,
                              std::type_identity_t<Scalar> sign,
                              std::type_identity_t<MatrixView<Scalar>> W_bar) {
  DETRAME_ASSERT(window.fits() && W_bar.rows() == P.rows() && W_bar.cols() == window.taps() * U.rows());
  if (window.pointwise()) return gemm(lane, sign, P, Op::none, U, Op::transposed, 1, W_bar);
  auto const frame = lane.frame();
  Index const depth = window.kernel * U.rows(), out_width = window.out_width();
  detail::PaddedImage<Scalar> const padded(lane, window, U.rows());
  MatrixView<Scalar> const spread = lane.scratch(P.rows(), padded.positions());  // P, zero between two rows
  each(lane, formula::Fill<Scalar>{Scalar(0)}, spread);
  for (Index n = 0; n < detail::images(U.cols(), window.sites()); ++n) {
    padded.read(lane, U.middle_cols(n * window.sites(), window.sites()));
    for (Index y = 0; y < window.out_height(); ++y)
      each(lane, formula::Assign{}, spread.middle_cols(y * padded.row_step(), out_width),
           P.middle_cols(n * window.out_sites() + y * out_width, out_width));
    for (Index dy = 0; dy < window.kernel; ++dy)
      gemm(lane, sign, spread, Op::none, padded.taps(dy), Op::transposed, 1,
           W_bar.middle_cols(dy * depth, depth));
  }
}

}  // namespace detrame
