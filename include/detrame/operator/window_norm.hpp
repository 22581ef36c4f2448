// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <numbers>
#include <utility>
#include <vector>

#include "detrame/backend/in_double.hpp"
#include "detrame/core/window.hpp"
#include "detrame/operator/definite.hpp"
#include "detrame/operator/phase_symbol.hpp"

namespace detrame::inline DETRAME_ABI {

namespace detail {

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
  if (ConstView<B> const view = W; view.cols() % window.taps() != 0)
    throw ShapeError(message("window_norm: W has ", view.cols(), " columns, must be a multiple of ",
                             window.taps(), " taps"));
  return detail::window_norm_from_above(backend, detail::doubles_of(backend, W), window.kernel, window.stride,
                                        fineness);
}

}  // namespace detrame::inline DETRAME_ABI
