// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "detrame/backend/cuda/cuda.hpp"
#include "detrame/core/limits.hpp"

namespace detrame::inline DETRAME_ABI {

namespace device {

/// The lower triangle becomes L with A = L L^T, column after column. False where A is not positive definite
/// to working precision, or not finite. On the host.
template <class Scalar>
bool factor_on_host(HostMatrix<Scalar>& A) {
  Index const k = A.rows();
  for (Index j = 0; j < k; ++j) {
    Scalar* const L_j = &A(0, j);
    if (!(L_j[j] > Scalar(0) && L_j[j] < limits::infinity<Scalar>)) return false;
    Scalar const pivot = std::sqrt(L_j[j]);
    for (Index i = j; i < k; ++i) L_j[i] /= pivot;
    for (Index l = j + 1; l < k; ++l) {
      Scalar const factor = L_j[l];
      Scalar* const A_l = &A(0, l);
      for (Index i = l; i < k; ++i) A_l[i] -= factor * L_j[i];
    }
  }
  return true;
}

/// x <- (L L^T)^{-1} x
template <class Scalar>
void solve_on_host(HostMatrix<Scalar> const& L, Scalar* x) {
  Index const k = L.rows();
  for (Index j = 0; j < k; ++j) {
    x[j] /= L(j, j);
    for (Index i = j + 1; i < k; ++i) x[i] -= L(i, j) * x[j];
  }
  for (Index j = k - 1; j >= 0; --j) {
    for (Index i = j + 1; i < k; ++i) x[j] -= L(i, j) * x[i];
    x[j] /= L(j, j);
  }
}

/// Householder: the lower triangle of A becomes tridiagonal, with diagonal d and, from place 1 on,
/// subdiagonal e.
template <class Scalar>
void tridiagonalise_on_host(HostMatrix<Scalar>& A, std::vector<Scalar>& d, std::vector<Scalar>& e) {
  Index const k = A.rows();
  std::vector<Scalar> p(static_cast<std::size_t>(k));
  auto const at = [](std::vector<Scalar>& v, Index i) -> Scalar& { return v[static_cast<std::size_t>(i)]; };
  for (Index j = 0; j < k; ++j) {
    at(d, j) = A(j, j);
    if (j + 1 == k) break;
    Scalar* const v = &A(0, j);  // v_i, i > j: the vector of the reflection I - 2 v v^T / |v|^2
    Scalar square(0);
    for (Index i = j + 1; i < k; ++i) square += v[i] * v[i];
    Scalar const alpha = v[j + 1] > Scalar(0) ? -std::sqrt(square) : std::sqrt(square);
    at(e, j + 1) = alpha;
    Scalar const half = square - alpha * v[j + 1];  // |v|^2 / 2
    if (!(half > Scalar(0))) continue;              // nothing below the subdiagonal
    v[j + 1] -= alpha;
    for (Index i = j + 1; i < k; ++i) at(p, i) = Scalar(0);
    for (Index l = j + 1; l < k; ++l) {  // p = A v / half, from the lower triangle
      at(p, l) += A(l, l) * v[l];
      for (Index i = l + 1; i < k; ++i) {
        at(p, i) += A(i, l) * v[l];
        at(p, l) += A(i, l) * v[i];
      }
    }
    Scalar product(0);
    for (Index i = j + 1; i < k; ++i) product += (at(p, i) /= half) * v[i];
    Scalar const share = product / (Scalar(2) * half);
    for (Index i = j + 1; i < k; ++i) at(p, i) -= share * v[i];
    for (Index l = j + 1; l < k; ++l)
      for (Index i = l; i < k; ++i) A(i, l) -= v[i] * at(p, l) + at(p, i) * v[l];
  }
}

/// The eigenvalues of a tridiagonal matrix, into d, by QL with implicit shifts; e is lost. False where they
/// do not converge.
template <class Scalar>
bool tridiagonal_eigenvalues_on_host(std::vector<Scalar>& d, std::vector<Scalar>& e) {
  std::size_t const k = d.size();
  for (std::size_t i = 1; i < k; ++i) e[i - 1] = e[i];
  if (k > 0) e[k - 1] = Scalar(0);
  for (std::size_t l = 0; l < k; ++l)
    for (int sweep = 0;; ++sweep) {
      std::size_t m = l;
      for (; m + 1 < k; ++m)
        if (std::abs(e[m]) <= limits::epsilon<Scalar> * (std::abs(d[m]) + std::abs(d[m + 1]))) break;
      if (m == l) break;
      if (sweep == 50) return false;
      Scalar g = (d[l + 1] - d[l]) / (Scalar(2) * e[l]), r = std::hypot(g, Scalar(1));
      g = d[m] - d[l] + e[l] / (g + std::copysign(r, g));
      Scalar s(1), c(1), shift(0);
      bool split = false;
      for (std::size_t i = m; i-- > l;) {
        Scalar const f = s * e[i], b = c * e[i];
        r = std::hypot(f, g);
        e[i + 1] = r;
        if (r == Scalar(0)) {
          d[i + 1] -= shift;
          e[m] = Scalar(0);
          split = true;
          break;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1] - shift;
        r = (d[i] - g) * s + Scalar(2) * c * b;
        shift = s * r;
        d[i + 1] = g + shift;
        g = c * r - b;
      }
      if (split) continue;
      d[l] -= shift;
      e[l] = g;
      e[m] = Scalar(0);
    }
  return true;
}

}  // namespace device

/// Here on the host, to and fro: metrics are set up with it, once, and what kernels factor must share no
/// arithmetic with it.
template <class Scalar>
bool definite_solve(Cuda<Scalar>& backend, std::type_identity_t<DeviceView<Scalar const>> A,
                    std::type_identity_t<DeviceView<Scalar const>> rhs,
                    std::type_identity_t<DeviceView<Scalar>> out) {
  DETRAME_ASSERT(A.rows() == A.cols() && rhs.rows() == A.rows());
  DETRAME_ASSERT(out.rows() == rhs.rows() && out.cols() == rhs.cols());
  HostMatrix<Scalar> L = to_host(backend, A), X = to_host(backend, rhs);
  if (!device::factor_on_host(L)) return false;
  for (Index j = 0; j < X.cols() && X.rows() > 0; ++j) device::solve_on_host(L, &X(0, j));
  copy_to_device(backend, X, out);
  return true;
}

/// Here by Householder, then QL, on the host.
template <class Scalar>
std::vector<Scalar> symmetric_eigenvalues(Cuda<Scalar>& backend,
                                          std::type_identity_t<DeviceView<Scalar const>> A) {
  HostMatrix<Scalar> lower = to_host(backend, A);
  auto const k = static_cast<std::size_t>(A.rows());
  std::vector<Scalar> d(k), e(k), none(k, limits::nan<Scalar>);
  Scalar largest(0);
  for (Index j = 0; j < A.rows(); ++j)
    for (Index i = j; i < A.rows(); ++i) {
      if (!std::isfinite(lower(i, j))) return none;
      largest = std::max(largest, std::abs(lower(i, j)));
    }
  Scalar const scale = largest > Scalar(0) ? largest : Scalar(1);
  for (Index j = 0; j < A.rows(); ++j)
    for (Index i = j; i < A.rows(); ++i) lower(i, j) /= scale;  // squares do not overflow
  device::tridiagonalise_on_host(lower, d, e);
  if (!device::tridiagonal_eigenvalues_on_host(d, e)) return none;
  for (Scalar& value : d) value *= scale;
  std::sort(d.begin(), d.end());
  return d;
}

}  // namespace detrame::inline DETRAME_ABI
