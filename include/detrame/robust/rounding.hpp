// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "detrame/backend/convolution_arithmetic.hpp"
#include "detrame/operator/phase_symbol.hpp"

/// Bounds of what rounding does to sums and products, on the host, in double, from above.                (R1)
namespace detrame::inline DETRAME_ABI::detail {

/// A number that is not below what an expression of numbers >= 0 is, given what double makes of it: sums,
/// products, quotients and roots of which no path takes more than so many roundings.
inline double above(double x, double roundings = 16) {
  return x * (1 + (2 * roundings + 8) * std::numeric_limits<double>::epsilon());
}
inline double below(double x, double roundings = 16) {
  return x * (1 - (2 * roundings + 8) * std::numeric_limits<double>::epsilon());
}

/// a b of numbers >= 0 from above: 0 only where one of them is.
inline double product_from_above(double a, double b) {
  return a == 0 || b == 0 ? 0 : above(a * b, 1) + std::numeric_limits<double>::min();
}

/// gamma_n = n u / (1 - n u), u half of the scalar's epsilon, from above: a sum of terms none of which passes
/// more than n roundings is off by at most that share of its terms' magnitudes. Infinite where n u >= 1.
template <class Scalar>
double gamma(double n) {
  double const nu = n * static_cast<double>(std::numeric_limits<Scalar>::epsilon()) / 2;
  return nu < 1 ? above(nu / (1 - nu)) : std::numeric_limits<double>::infinity();
}

/// What an operation may lose where its result is subnormal.
template <class Scalar>
double lost() {
  return static_cast<double>(std::numeric_limits<Scalar>::min());
}

/// |v|_2 of n numbers f(i), from above.
template <class F>
double length_from_above(Index n, F const& f) {
  double largest = 0, square = 0;
  for (Index i = 0; i < n; ++i) {
    double const a = std::abs(f(i));
    if (!(a <= largest)) largest = a > largest ? a : std::numeric_limits<double>::quiet_NaN();
  }
  if (!(largest > 0) || !std::isfinite(largest)) return largest;
  for (Index i = 0; i < n; ++i) square += (f(i) / largest) * (f(i) / largest);
  return above(largest * std::sqrt(square), static_cast<double>(n)) + std::numeric_limits<double>::min();
}

/// A bound of | |A| |_2, |A| the magnitudes of A: the smaller of its Frobenius norm and the root of the
/// largest row sum times the largest column sum.
inline double magnitude_norm(HostMatrix<double> const& A) {
  double const length = length_from_above(A.rows() * A.cols(), [&](Index i) { return A.data()[i]; });
  if (!std::isfinite(length)) return length;
  std::vector<double> rows(static_cast<std::size_t>(A.rows()));
  double row = 0, column = 0;
  for (Index j = 0; j < A.cols(); ++j) {
    double sum = 0;
    for (Index i = 0; i < A.rows(); ++i) {
      sum += std::abs(A(i, j));
      rows[static_cast<std::size_t>(i)] += std::abs(A(i, j));
    }
    column = std::max(column, sum);
  }
  for (double const sum : rows) row = std::max(row, sum);
  return std::min(length,
                  above(std::sqrt(row) * std::sqrt(column), static_cast<double>(A.rows() + A.cols())));
}

/// That of the magnitudes of a window, at every frequency; W: k x (taps channels).
inline double window_magnitude_norm(HostMatrix<double> const& W, Index kernel, Index stride) {
  return magnitude_norm(PhaseSymbol(W, kernel, stride).magnitudes());
}

/// slope R + offset, both >= 0: how bounds depend on the length R of a sample.
struct Affine {
  double slope = 0, offset = 0;
  friend Affine operator+(Affine a, Affine b) { return {a.slope + b.slope, a.offset + b.offset}; }
  friend Affine operator*(double c, Affine a) { return {c * a.slope, c * a.offset}; }
};

/// Whether products of a backend round nothing but their results: not where factors go to TF32.
template <class B>
bool rounds_in_scalar(B const& backend) {
  if constexpr (requires { backend.tf32(); })
    return !backend.tf32();
  else
    return true;
}

/// The share of |x|_2 by which a window's W x, summed directly, is off in |.|_2; W: k x (taps channels).
template <class Scalar>
double rounding_of_product(Direct, HostMatrix<double> const& W, Index kernel, Index stride) {
  return above(gamma<Scalar>(static_cast<double>(W.cols()) + 8) * window_magnitude_norm(W, kernel, stride));
}

/// No number that is made of an image alone on the way exceeds this times its largest: of Winograd's B^T d B,
/// twice the square of the largest row sum of |B^T|.
constexpr double growth_of_image(Direct) { return 1; }
template <int m>
constexpr double growth_of_image(Winograd<m>) {
  double largest = 0;
  for (auto const& row : Winograd<m>::B_T) {
    double sum = 0;
    for (double const b : row) sum += b < 0 ? -b : b;
    largest = sum > largest ? sum : largest;
  }
  return 2 * largest * largest;
}

/// The same by Winograd's algorithm, or directly where a backend does that: no term of an output passes more
/// than 84 roundings in the transforms (2 n + 4 in each of their six halves, n <= 6, and two of a
/// coefficient), and those of the sum over channels.                                                     (W3)
template <class Scalar, int m>
double rounding_of_product(Winograd<m>, HostMatrix<double> const& W, Index kernel, Index stride) {
  constexpr int points = Winograd<m>::points;
  Index const k = W.rows(), channels = W.cols() / 9;
  auto const A = [](int p, int i) {
    return std::abs(Winograd<m>::A[static_cast<std::size_t>(p)][static_cast<std::size_t>(i)]);
  };
  auto const B_T = [](int p, int j) {
    return std::abs(Winograd<m>::B_T[static_cast<std::size_t>(p)][static_cast<std::size_t>(j)]);
  };
  auto const G = [](int p, Index t) {
    return std::abs(winograd_G<m>[static_cast<std::size_t>(p)][static_cast<std::size_t>(t)]);
  };
  HostMatrix<double> E(m * m, points * points);  // of a tile: |error at i| <= gamma sum_j E_ij |d_j|
  for (int py = 0; py < points; ++py)
    for (int px = 0; px < points; ++px) {
      double const g = magnitude_norm(host_matrix<double>(k, channels, [&](Index o, Index c) {
        double sum = 0;
        for (Index t = 0; t < 9; ++t) sum += G(py, t / 3) * G(px, t % 3) * std::abs(W(o, t * channels + c));
        return sum;
      }));
      for (int j = 0; j < points * points; ++j)
        for (int i = 0; i < m * m; ++i)
          E(i, j) += A(py, i / m) * A(px, i % m) * g * B_T(py, j / points) * B_T(px, j % points);
    }
  // a site is read by at most two tiles in each direction
  double const tiles = above(2 * gamma<Scalar>(static_cast<double>(channels) + 104) * magnitude_norm(E), 64);
  return std::max(tiles, rounding_of_product<Scalar>(Direct(), W, kernel, stride));
}

}  // namespace detrame::inline DETRAME_ABI::detail
