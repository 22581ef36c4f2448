// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "detrame/operator/definite.hpp"

namespace detrame::inline DETRAME_ABI::detail {

/// Block g of a block-diagonal matrix, kg x kg, as f makes it of its entries: f(row, column, entry), rows and
/// columns counted in the whole matrix.
template <class Scalar, class F>
HostMatrix<double> block_of(HostMatrix<Scalar> const& blocks, Index g, F const& f) {
  Index const kg = blocks.rows(), first = g * kg;
  return host_matrix<double>(kg, kg, [&](Index i, Index j) {
    return f(first + i, first + j, static_cast<double>(blocks(i, first + j)));
  });
}

/// The sums of |W| over the taps of a kernel, block beside block: kg x k.
template <class Scalar>
HostMatrix<double> tap_magnitudes(HostMatrix<Scalar> const& W, Index taps) {
  Index const kg = W.rows();
  return host_matrix<double>(kg, W.cols() / taps, [&](Index i, Index j) {
    double sum = 0;
    for (Index tap = 0; tap < taps; ++tap)
      sum += std::abs(static_cast<double>(W(i, (j / kg * taps + tap) * kg + j % kg)));
    return sum;
  });
}

/// s_i = l_i / r_i from right and left Perron vectors r, l of M + delta 1 1^T, M >= 0 a matrix of size k; the
/// least s_i is 1. All s_i are 1 where M = 0 or M is not finite.                                         (C7)
///
/// Power iteration on M + c I + delta 1 1^T, which is positive, so neither reducible nor periodic, until its
/// ratios agree to 1e-6 of the root, or 2000 times: a worse scaling is still one.
inline std::vector<double> perron_scaling(HostMatrix<double> const& M) {
  Index const k = M.rows();
  auto const n = static_cast<std::size_t>(k);
  std::vector<double> r(n, 1.), l = r, s = r, next(n);
  double const largest = largest_magnitude(M);
  if (!(largest > 0) || !std::isfinite(largest)) return s;
  Scaled const scaled(M, largest);
  double sum = 0;
  for (Index j = 0; j < k; ++j)
    for (Index i = 0; i < k; ++i) sum += scaled.matrix(i, j);
  double const c = sum / static_cast<double>(2 * k), delta = std::ldexp(1., -20) / static_cast<double>(k);
  /// v <- (M + c I + delta 1 1^T) v, or its transpose, to largest entry 1; whether v has settled.
  auto const advance = [&](std::vector<double>& v, bool transposed) {
    double total = 0, low = std::numeric_limits<double>::infinity(), high = 0, size = 0;
    for (double const x : v) total += x;
    for (std::size_t i = 0; i < n; ++i) next[i] = c * v[i] + delta * total;
    for (Index j = 0; j < k; ++j)
      for (Index i = 0; i < k; ++i) {
        auto const row = static_cast<std::size_t>(i), column = static_cast<std::size_t>(j);
        if (transposed)
          next[column] += scaled.matrix(i, j) * v[row];
        else
          next[row] += scaled.matrix(i, j) * v[column];
      }
    for (std::size_t i = 0; i < n; ++i) {
      low = std::min(low, next[i] / v[i]);
      high = std::max(high, next[i] / v[i]);
      size = std::max(size, next[i]);
    }
    for (std::size_t i = 0; i < n; ++i) v[i] = next[i] / size;
    return high - low <= 1e-6 * (high - c);
  };
  for (bool const transposed : {false, true})
    for (int t = 0; t < 2000 && !advance(transposed ? l : r, transposed); ++t) {
    }
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < n; ++i) least = std::min(least, l[i] / r[i]);
  for (std::size_t i = 0; i < n; ++i) s[i] = l[i] / r[i] / least;
  return s;
}

}  // namespace detrame::inline DETRAME_ABI::detail
