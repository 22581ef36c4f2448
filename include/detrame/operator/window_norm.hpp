// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <numbers>
#include <utility>
#include <vector>

#include "detrame/core/window.hpp"
#include "detrame/operator/definite.hpp"

namespace detrame::inline DETRAME_ABI {

namespace detail {

/// The phases of a window of stride s: as a map of the s^2 images that x is dealt to, one for each remainder
/// of a site, it is a window of stride 1 with ceil(K / s)^2 taps P_j.                                    (K5)
class PhaseSymbol {
 public:
  /// W: k x (K^2 channels), the taps side by side.
  PhaseSymbol(HostMatrix<double> const& W, Index kernel, Index stride)
      : side_((kernel + stride - 1) / stride),
        rows_(W.rows()),
        cols_(stride * stride * (W.cols() / (kernel * kernel))),
        taps_(static_cast<std::size_t>(side_ * side_), HostMatrix<double>(rows_, cols_)) {
    Index const channels = W.cols() / (kernel * kernel);
    for (Index dy = 0; dy < kernel; ++dy)
      for (Index dx = 0; dx < kernel; ++dx) {
        auto& P = taps_[static_cast<std::size_t>(dy / stride * side_ + dx / stride)];
        Index const phase = dy % stride * stride + dx % stride;
        for (Index i = 0; i < channels; ++i)
          for (Index o = 0; o < rows_; ++o)
            P(o, phase * channels + i) = W(o, (dy * kernel + dx) * channels + i);
      }
  }

  Index side() const { return side_; }
  HostMatrix<double> const& only() const { return taps_.front(); }

  /// sum_j |P_j|, entry by entry: no value of the symbol has a larger norm.
  HostMatrix<double> magnitudes() const {
    return host_matrix<double>(rows_, cols_, [&](Index o, Index i) {
      double sum = 0;
      for (auto const& P : taps_) sum += std::abs(P(o, i));
      return sum;
    });
  }

  /// The smaller of A A^* and A^* A, column by column, of A = sum_j P_j e^{2 pi i <(y, x), j> / n}; its size
  /// and trace.
  Index gram(Index y, Index x, Index n, std::vector<std::complex<double>>& H, double& trace) const {
    bool const wide = cols_ > rows_;
    Index const size = wide ? rows_ : cols_, length = wide ? cols_ : rows_;
    std::vector<double> re(static_cast<std::size_t>(size * length)), im = re;  // size x length
    for (Index jy = 0; jy < side_; ++jy)
      for (Index jx = 0; jx < side_; ++jx) {
        Index const turn = (y * jy + x * jx) % n;  // exact, so that no phase is large
        double const angle = 2 * std::numbers::pi * static_cast<double>(turn) / static_cast<double>(n),
                     c = std::cos(angle), s = std::sin(angle);
        auto const& P = taps_[static_cast<std::size_t>(jy * side_ + jx)];
        for (Index i = 0; i < cols_; ++i)
          for (Index o = 0; o < rows_; ++o) {
            auto const at = static_cast<std::size_t>(wide ? o + i * size : i + o * size);
            re[at] += c * P(o, i);
            im[at] += (wide ? s : -s) * P(o, i);
          }
      }
    H.assign(static_cast<std::size_t>(size * size), 0.);
    std::vector<double> h_re(static_cast<std::size_t>(size)), h_im = h_re;
    trace = 0;
    for (Index j = 0; j < size; ++j) {  // sum_l a_l conj(a_jl): vectors, so that compilers use packets
      std::fill(h_re.begin(), h_re.end(), 0.);
      std::fill(h_im.begin(), h_im.end(), 0.);
      for (Index l = 0; l < length; ++l) {
        double const *a = re.data() + l * size, *b = im.data() + l * size, a_j = a[j], b_j = b[j];
        for (Index i = j; i < size; ++i) {
          h_re[static_cast<std::size_t>(i)] += a[i] * a_j + b[i] * b_j;
          h_im[static_cast<std::size_t>(i)] += b[i] * a_j - a[i] * b_j;
        }
      }
      for (Index i = j; i < size; ++i) {
        std::complex<double> const h{h_re[static_cast<std::size_t>(i)], h_im[static_cast<std::size_t>(i)]};
        H[static_cast<std::size_t>(i + j * size)] = h;
        H[static_cast<std::size_t>(j + i * size)] = std::conj(h);
      }
      H[static_cast<std::size_t>(j + j * size)] = h_re[static_cast<std::size_t>(j)];
      trace += h_re[static_cast<std::size_t>(j)];
    }
    return size;
  }

 private:
  Index side_, rows_, cols_;
  std::vector<HostMatrix<double>> taps_;
};

/// The largest eigenvalue of a Hermitian H >= 0 from below, by some steps of power iteration from v, where
/// the next one may begin.
inline double eigenvalue_from_below(std::vector<std::complex<double>> const& H, Index n,
                                    std::vector<std::complex<double>>& v) {
  if (v.size() != static_cast<std::size_t>(n)) {
    v.resize(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < v.size(); ++i)  // on no axis and in no plane of symmetry
      v[i] = {std::cos(1.7 * static_cast<double>(i)), std::sin(2.3 * static_cast<double>(i) + 1)};
  }
  std::vector<std::complex<double>> w(v.size());
  double value = 0;
  for (int step = 0; step < 40; ++step) {
    std::fill(w.begin(), w.end(), 0.);
    for (Index j = 0; j < n; ++j)
      for (Index i = 0; i < n; ++i) {
        auto const h = H[static_cast<std::size_t>(i + j * n)], x = v[static_cast<std::size_t>(j)];
        w[static_cast<std::size_t>(i)] += std::complex<double>(h.real() * x.real() - h.imag() * x.imag(),
                                                               h.real() * x.imag() + h.imag() * x.real());
      }
    double size = 0, before = 0;
    for (std::size_t i = 0; i < w.size(); ++i) {
      size += std::norm(w[i]);
      before += std::norm(v[i]);
    }
    value = std::sqrt(size / before);
    if (!(size > 0) || !std::isfinite(size)) return value;
    for (std::size_t i = 0; i < w.size(); ++i) v[i] = w[i] / std::sqrt(size);
  }
  return value;
}

/// The bound of `window_norm` for weights on the host, in double, each known up to a few of its roundings.
template <Backend B>
double window_norm_from_above(B& backend, HostMatrix<double> const& W, Index kernel, Index stride,
                              Index fineness) {
  double const largest = largest_magnitude(W), eps = std::numeric_limits<double>::epsilon();
  if (!(largest > 0) || !std::isfinite(largest)) return largest;
  Scaled const scaled(W, largest);
  PhaseSymbol const symbol(scaled.matrix, kernel, stride);
  auto const M = symbol.magnitudes();
  double square = 0;
  for (Index j = 0; j < M.cols(); ++j)
    for (Index i = 0; i < M.rows(); ++i) square += M(i, j) * M(i, j);
  double const taps = static_cast<double>(symbol.side() * symbol.side());
  double const rounding = (taps + 48) * eps * std::sqrt(square) * (1 + 1e-6);  // of a symbol, in norm
  double const magnitudes = norm_from_above(backend, M) * (1 + (taps + 8) * eps);
  if (symbol.side() == 1)
    return std::ldexp(norm_from_above(backend, symbol.only()) + rounding, scaled.exponent);

  Index const n = fineness * (symbol.side() - 1) / 2;
  double const terms = static_cast<double>(M.rows() + M.cols());
  double limit = 0;  // shown at every frequency so far to bound |A|_2^2
  std::vector<std::complex<double>> H, rest, v;
  for (Index y = 0; y <= n / 2; ++y)
    for (Index x = 0; x < n; ++x) {
      double trace = 0;
      Index const size = symbol.gram(y, x, n, H, trace);
      if (!std::isfinite(trace)) return std::numeric_limits<double>::quiet_NaN();
      auto const shown = [&] {
        rest.resize(H.size());
        for (std::size_t i = 0; i < H.size(); ++i) rest[i] = -H[i];
        for (Index i = 0; i < size; ++i) rest[static_cast<std::size_t>(i + i * size)] += limit;
        return shown_definite(rest, size, (2 * terms + 8) * eps * trace);
      };
      for (double margin = 1.001; !shown(); margin *= margin)
        limit =
            std::max(limit, eigenvalue_from_below(H, size, v)) * margin + std::numeric_limits<double>::min();
    }
  double const c = std::cos(std::numbers::pi / static_cast<double>(fineness));
  double const bound = (std::sqrt(limit) + rounding) / (c * c) * (1 + 16 * eps);
  return std::ldexp(std::min(bound, magnitudes), scaled.exponent);
}

}  // namespace detail

/// An upper bound of |W|_2 for the linear map of a window, of any stride and padding, whatever the size of
/// the image.                                                                                            (K5)
///
///   |W|_2 <= sup |P^(omega)|_2 <= max over a grid |P^|_2 / cos(pi / fineness)^2,   |W|_2 <= |sum_j |P_j||_2
///
/// the smaller of both, P^ the symbol of the window's phases; on the grid it is shown by Cholesky factors.
///
/// Shapes    W: k x (taps channels), as Window says; its height, width and padding are not read.
/// Requires  fineness even, >= 4, else DomainError.
/// Ensures   never below |W|_2 on any image; above the supremum of the symbol by the cosine (4 % for 16, 1 %
///           for 32), .1 % and rounding, by rounding alone where K <= stride. NaN gives NaN.
/// Cost      (fineness (ceil(K / stride) - 1))^2 / 8 Cholesky factors and products of matrices of the smaller
///           of k and stride^2 channels, complex, on the host.
/// Tested    tests/robust/linear_bounds_test.cpp
template <Backend B>
double window_norm(B& backend, Input<B> W, Window const& window, Index fineness = 16) {
  if (fineness < 4 || fineness % 2 != 0)
    throw DomainError(message("window_norm: fineness = ", fineness, ", must be even and >= 4"));
  auto const host = to_host(backend, ConstView<B>(W));
  if (host.cols() % window.taps() != 0)
    throw ShapeError(message("window_norm: W has ", host.cols(), " columns, must be a multiple of ",
                             window.taps(), " taps"));
  return detail::window_norm_from_above(
      backend,
      host_matrix<double>(host.rows(), host.cols(),
                          [&](Index i, Index j) { return static_cast<double>(host(i, j)); }),
      window.kernel, window.stride, fineness);
}

}  // namespace detrame::inline DETRAME_ABI
