// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "detrame/metric/symmetriser.hpp"
#include "detrame/metric/tie.hpp"

namespace detrame::inline DETRAME_ABI {

/// The symmetric matrix nearest to A in the Frobenius norm among those with eigenvalues >= low.
///
///   A = sum_j lambda_j v_j v_j^T,   result = sum_j max(lambda_j, low) v_j v_j^T
///
/// One-sided Jacobi: the columns of H = A + shift I, definite by Gershgorin, are rotated until they are
/// orthogonal to working precision; then column j is (lambda_j + shift) v_j.
///
/// Shapes    A: k x k, symmetric, finite. basis: k x k, orthogonal, or empty.
/// Ensures   eigenvalues to about k eps |A|; `basis`, where it is given, becomes that of the v_j.
/// Cost      about 40 k^3 flops, a fraction of it where `basis` nearly is that of the v_j.
/// Tested    tests/metric/untie_test.cpp
inline HostMatrix<double> with_eigenvalues_at_least(HostMatrix<double> const& A, double low,
                                                    HostMatrix<double>* basis = nullptr) {
  Index const k = A.rows();
  double shift = 0;
  for (Index j = 0; j < k; ++j) {
    double sum = 0;
    for (Index i = 0; i < k; ++i) sum += std::abs(A(i, j));
    shift = std::max(shift, 2 * sum);
  }
  if (shift == 0) shift = 1;
  HostMatrix<double> H = A;  // k x k, A + shift I, times the basis from the right
  for (Index i = 0; i < k; ++i) H(i, i) += shift;
  if (basis != nullptr && basis->rows() == k) {
    HostMatrix<double> product(k, k);
    for (Index j = 0; j < k; ++j)
      for (Index l = 0; l < k; ++l)
        for (Index i = 0; i < k; ++i) product(i, j) += H(i, l) * (*basis)(l, j);
    H = std::move(product);
  }
  auto const length = [&](Index l) {
    double sum = 0;
    for (Index i = 0; i < k; ++i) sum += H(i, l) * H(i, l);
    return std::sqrt(sum);
  };
  double const small = std::numeric_limits<double>::epsilon();
  bool rotated = true;
  for (int sweep = 0; rotated && sweep < 60; ++sweep) {
    rotated = false;
    for (Index p = 0; p < k; ++p)
      for (Index q = p + 1; q < k; ++q) {
        double pp = 0, qq = 0, pq = 0;
        for (Index i = 0; i < k; ++i) {
          double const x = H(i, p), y = H(i, q);
          pp += x * x, qq += y * y, pq += x * y;
        }
        if (std::abs(pq) <= small * std::sqrt(static_cast<double>(k) * pp * qq)) continue;
        rotated = true;
        double const zeta = (qq - pp) / (2 * pq);
        double const t = (zeta < 0 ? -1.0 : 1.0) / (std::abs(zeta) + std::hypot(1.0, zeta));
        double const c = 1 / std::hypot(1.0, t), s = c * t;
        for (Index i = 0; i < k; ++i) {
          double const x = H(i, p), y = H(i, q);
          H(i, p) = c * x - s * y;
          H(i, q) = s * x + c * y;
        }
      }
  }
  HostMatrix<double> out(k, k);
  for (Index l = 0; l < k; ++l) {
    double const size = length(l), raised = std::max(size - shift, low) / (size * size);
    for (Index j = 0; j < k; ++j) {
      double const factor = raised * H(j, l);
      for (Index i = 0; i < k; ++i) out(i, j) += factor * H(i, l);
    }
  }
  if (basis != nullptr) {
    std::vector<double> sizes;
    for (Index l = 0; l < k; ++l) sizes.push_back(length(l));
    *basis = host_matrix<double>(
        k, k, [&](Index i, Index l) { return H(i, l) / sizes[static_cast<std::size_t>(l)]; });
  }
  return out;
}

/// The tied parameters nearest to free ones, for the scaling s that symmetrises W~ best.                (F2)
///
///   h' = h clipped to [0, 1],   b' = max(b, 0)
///   W' = the W nearest to W~ in |S^{1/2} (W - W~) S^{-1/2}|_F with diag(s) (diag(h') - W) symmetric and
///        S^{-1/2} diag(s) (diag(h') - W) S^{-1/2} >= low I,   S = diag(s),  low = 4 tolerance (1 + |.|_1)
///
/// That is: h and b first, each nearest in its own row; then, for this s and this h', the nearest W. Another
/// s may give a nearer one. W' may have a diagonal although W~ has none: D0 is another constraint. Components
/// stay apart.
///
/// Requires  finite parameters; tolerance > 0, that of untie. low makes Q definite although h' may be 1.
/// Ensures   untie says of the result that it is a prox.
/// Cost      about 40 kg^2 k flops, on the host.
/// Tested    tests/metric/untie_test.cpp (F2): a prox, idempotent, an obtuse angle with all others
template <Backend B>
Recurrence<B> nearest_tied(B& backend, Recurrence<B> const& recurrence, Symmetriser const& by,
                           double tolerance) {
  using Scalar = typename B::Scalar;
  HostMatrix<Scalar> W = to_host(backend, recurrence.W_tilde);  // kg x k
  HostMatrix<Scalar> h = to_host(backend, recurrence.h);        // k x 1
  HostMatrix<Scalar> b = to_host(backend, recurrence.b);        // k x 1
  for (Index i = 0; i < recurrence.dim(); ++i) {
    h(i, 0) = std::clamp(h(i, 0), Scalar(0), Scalar(1));
    b(i, 0) = std::max(b(i, 0), Scalar(0));
  }
  Index const kg = W.rows();
  for (Index first = 0; first < W.cols(); first += kg) {
    auto const root = [&](Index i) { return std::sqrt(by.s[static_cast<std::size_t>(first + i)]); };
    auto const scaled = [&](Index i, Index l) {
      return static_cast<double>(W(i, first + l)) * root(i) / root(l);
    };
    auto const together = [&](Index i, Index l) {
      return by.component[static_cast<std::size_t>(first + i)] ==
             by.component[static_cast<std::size_t>(first + l)];
    };
    auto const h_of = [&](Index i) { return static_cast<double>(h(first + i, 0)); };
    HostMatrix<double> const Q = host_matrix<double>(kg, kg, [&](Index i, Index l) {
      if (!together(i, l)) return 0.0;
      return (i == l ? h_of(i) : 0.0) - (scaled(i, l) + scaled(l, i)) / 2;
    });
    double size = 1;  // at least the norms of Q and of I
    for (Index l = 0; l < kg; ++l) {
      double sum = 1;
      for (Index i = 0; i < kg; ++i) sum += std::abs(Q(i, l));
      size = std::max(size, sum);
    }
    HostMatrix<double> const raised = with_eigenvalues_at_least(Q, 4 * tolerance * size);  // kg x kg
    for (Index l = 0; l < kg; ++l)
      for (Index i = 0; i < kg; ++i)
        W(i, first + l) = static_cast<Scalar>(
            together(i, l) ? (i == l ? h_of(i) : 0.0) - raised(i, l) * root(l) / root(i) : 0.0);
  }
  return {recurrence.structure, to_device(backend, W), to_device(backend, h), to_device(backend, b)};
}

}  // namespace detrame::inline DETRAME_ABI
