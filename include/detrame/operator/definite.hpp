// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <vector>

#include "detrame/backend/concept.hpp"
#include "detrame/core/limits.hpp"

/// What certificates show of matrices: on the host, in double, by Cholesky factors. Where one exists beyond
/// the rounding of its computation, the matrix is definite, whoever proposed the number that is shown.
namespace detrame::inline DETRAME_ABI::detail {

/// A number of the scalar that is not below (not above) x, NaN for NaN.
template <class Scalar>
Scalar rounded_up(double x) {
  using Limits = std::numeric_limits<Scalar>;
  if (x > static_cast<double>(Limits::max())) return Limits::infinity();
  if (std::isfinite(x) && x < static_cast<double>(Limits::lowest())) return Limits::lowest();
  Scalar const y = static_cast<Scalar>(x);
  return static_cast<double>(y) < x ? std::nextafter(y, std::numeric_limits<Scalar>::infinity()) : y;
}
template <class Scalar>
Scalar rounded_down(double x) {
  return -rounded_up<Scalar>(-x);
}

/// A number of the scalar for an upper bound x >= 0 that a few operations in double have computed: their
/// rounding is covered, and it is never 0 by underflow.
template <class Scalar>
Scalar as_bound(double x) {
  double const y = x * (1 + 8 * std::numeric_limits<double>::epsilon()),
               least = static_cast<double>(std::numeric_limits<Scalar>::min());
  return y < least ? std::numeric_limits<Scalar>::min() : rounded_up<Scalar>(y);
}

/// The larger of both; NaN stays.
inline void raise(double& largest, double x) {
  if (!(x <= largest) && largest == largest) largest = x;
}

/// x -= a conj(b)
inline void subtract_product(double& x, double a, double b) { x -= a * b; }
inline void subtract_product(std::complex<double>& x, std::complex<double> a, std::complex<double> b) {
  x = {x.real() - (a.real() * b.real() + a.imag() * b.imag()),
       x.imag() - (a.imag() * b.real() - a.real() * b.imag())};
}

/// Whether a Hermitian H is shown to be positive definite: H - rho I has a Cholesky factor. H: n x n, column
/// by column; its lower triangle is read, and lost. `rounding` bounds the error in which H was made.
///
/// A factor that is computed is that of a matrix within 4 (n + 2) eps tr(H) of the one given (Demmel 1989,
/// with a factor of 4 for complex numbers): rho is that and `rounding`. NaN shows nothing.
template <class Entry>
bool shown_definite(std::vector<Entry>& H, Index n, double rounding) {
  using Real = decltype(std::abs(Entry()));
  static_assert(limits::kept<Real>, "certificates need IEEE arithmetic: compile without -ffast-math");
  auto const at = [&](Index i, Index j) -> Entry& { return H[static_cast<std::size_t>(i + j * n)]; };
  double trace = 0;
  for (Index i = 0; i < n; ++i) trace += std::abs(at(i, i));
  double const shift =
      rounding + 4 * static_cast<double>(n + 2) * std::numeric_limits<double>::epsilon() * trace;
  for (Index j = 0; j < n; ++j) {
    at(j, j) -= shift;
    for (Index p = 0; p < j; ++p) {
      Entry const factor = at(j, p);
      for (Index i = j; i < n; ++i) subtract_product(at(i, j), at(i, p), factor);
    }
    double const pivot = std::real(at(j, j));
    if (!(pivot > 0) || !std::isfinite(pivot)) return false;
    double const inverse = 1 / std::sqrt(pivot);
    for (Index i = j; i < n; ++i) at(i, j) *= inverse;
  }
  return true;
}

/// The largest magnitude of an entry; NaN where there is one.
inline double largest_magnitude(HostMatrix<double> const& A) {
  double largest = 0;
  for (Index j = 0; j < A.cols(); ++j)
    for (Index i = 0; i < A.rows(); ++i)
      if (double const a = std::abs(A(i, j)); !(a <= largest))
        largest = a > largest ? a : std::numeric_limits<double>::quiet_NaN();
  return largest;
}

/// A and what scales it back: 2^exponent times the matrix, whose largest entry is in [1/2, 1).
struct Scaled {
  HostMatrix<double> matrix;
  int exponent;

  Scaled(HostMatrix<double> const& A, double largest) : matrix(A), exponent(0) {
    std::frexp(largest, &exponent);
    for (Index j = 0; j < A.cols(); ++j)
      for (Index i = 0; i < A.rows(); ++i) matrix(i, j) = std::ldexp(A(i, j), -exponent);
  }
};

/// An upper bound of the largest eigenvalue of a symmetric A that is known up to `rounding` in norm: the one
/// that the backend computes, raised by some k eps |A| until Cholesky shows it; |A|_inf where that does not
/// help. What is not finite comes out.
template <Backend B>
double eigenvalue_from_above(B& backend, HostMatrix<double> const& A, double rounding) {
  using Scalar = typename B::Scalar;
  double const largest = largest_magnitude(A), eps = std::numeric_limits<double>::epsilon();
  if (!(largest > 0) || !std::isfinite(largest)) return largest + rounding;
  Index const n = A.rows();
  Scaled const scaled(A, largest);
  double const error = std::ldexp(rounding, -scaled.exponent);
  auto const at = [&](Index i, Index j) { return scaled.matrix(i, j); };
  auto const values =
      symmetric_eigenvalues(backend, to_device(backend, host_matrix<Scalar>(n, n, [&](Index i, Index j) {
                                                 return static_cast<Scalar>(at(i, j));
                                               })));
  double const found = static_cast<double>(values.back());
  double const size = std::max(std::abs(static_cast<double>(values.front())), std::abs(found));
  double margin = 2 * static_cast<double>(n) * std::numeric_limits<Scalar>::epsilon() * size;
  std::vector<double> rest(static_cast<std::size_t>(n * n));  // n x n, (found + margin) I - A
  for (int tries = 0; tries < 6; ++tries, margin *= 4) {
    for (Index j = 0; j < n; ++j)
      for (Index i = 0; i < n; ++i)
        rest[static_cast<std::size_t>(i + j * n)] = (i == j ? found + margin : 0.) - at(i, j);
    if (shown_definite(rest, n, error)) return std::ldexp(found + margin, scaled.exponent);
  }
  double sums = 0;
  for (Index j = 0; j < n; ++j) {
    double sum = error;
    for (Index i = 0; i < n; ++i) sum += std::abs(at(i, j));
    sums = std::max(sums, sum);
  }
  return std::ldexp(sums * (1 + 2 * static_cast<double>(n) * eps), scaled.exponent);
}

/// An upper bound of |A|_2 that exceeds it by rounding alone, some k eps: the square root of such a bound for
/// the smaller of A^T A and A A^T. What is not finite comes out.
template <Backend B>
double norm_from_above(B& backend, HostMatrix<double> const& A) {
  double const largest = largest_magnitude(A), eps = std::numeric_limits<double>::epsilon();
  if (!(largest > 0) || !std::isfinite(largest)) return largest;
  Scaled const scaled(A, largest);
  bool const wide = A.cols() > A.rows();
  Index const n = std::min(A.rows(), A.cols()), m = std::max(A.rows(), A.cols());
  HostMatrix<double> const tall = host_matrix<double>(
      m, n, [&](Index i, Index j) { return wide ? scaled.matrix(j, i) : scaled.matrix(i, j); });
  HostMatrix<double> gram(n, n);
  double trace = 0;
  for (Index j = 0; j < n; ++j) {
    for (Index i = j; i < n; ++i) {
      double sum = 0;
      for (Index s = 0; s < m; ++s) sum += tall(s, i) * tall(s, j);
      gram(i, j) = gram(j, i) = sum;
    }
    trace += gram(j, j);
  }
  double const square = eigenvalue_from_above(backend, gram, static_cast<double>(m) * eps * trace);
  return std::ldexp(std::sqrt(square) * (1 + 4 * eps), scaled.exponent);
}

}  // namespace detrame::inline DETRAME_ABI::detail
