// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/core/matrix_view.hpp"

namespace detrame::exact {

/// What kernels of exact/ see of a problem: raw memory, one diagonal block of Q at a time, and
///
///   1/2 <u, H u> - <r, u> + sum_i lambda_i |u_i|  (+ indicator(u >= 0)),   H = Q + diag(beta),
///
/// for a few columns side by side. A block of columns side by side is stored by rows: entry (i, c) at
/// [i * Team::width + c]; the columns past the last of the batch are zero.

/// out_ic = A(i, first + c)
template <class Team, class Scalar>
DETRAME_HOST_DEVICE void load_columns(Team const& team, MatrixView<Scalar const> A, Index first, Scalar* out) {
  team.each(A.rows(), [=](Index i) {
    for (Index c = 0; c < Team::width; ++c)
      out[i * Team::width + c] = first + c < A.cols() ? A(i, first + c) : Scalar(0);
  });
}

/// r = A^T X for X side by side, by the team's products. A: n x k. X: n x width, r: k x width.
template <class Team, class Scalar>
DETRAME_HOST_DEVICE void multiply(Team const& team, MatrixView<Scalar const> A, Scalar const* X, Scalar* r) {
  for (Index i = 0; i < A.cols(); i += Team::height)
    team.inner_products(&A(0, i), A.stride(), A.rows(), A.cols() - i < Team::height ? A.cols() - i : Team::height, X,
                        r + i * Team::width);
}

/// A column of data for the metric form, 1/2 |u - z|_Q^2: r = Q z.                                     (M3)
///
/// What is read of it is `linear`, for the solver, and `gradient`, for the certificate: two loops that share no
/// code, since the second one judges the first.
template <class Scalar>
struct MetricData {
  MatrixView<Scalar const> Q;  // n x n
  MatrixView<Scalar const> z;  // n x N

  /// Rows of side-by-side scratch that the verbs need.
  DETRAME_HOST_DEVICE Index scratch_rows() const { return Q.rows(); }

  /// r = Q z
  template <class Team>
  DETRAME_HOST_DEVICE void linear(Team const& team, Index first, Scalar* Z, Scalar* r) const {
    load_columns(team, z, first, Z);
    multiply(team, Q, Z, r);
  }

  /// g = Q (u - z)
  template <class Team>
  DETRAME_HOST_DEVICE void gradient(Team const& team, Index first, Scalar const* U, Scalar* V, Scalar* g) const {
    constexpr Index width = Team::width;
    auto const data = *this;
    load_columns(team, z, first, V);
    team.each(Q.rows() * width, [=](Index i) {
      V[i] = U[i] - V[i];
      g[i] = Scalar(0);
    });
    for (Index l = 0; l < Q.rows(); ++l)
      team.each(Q.rows(), [=](Index i) {
        for (Index c = 0; c < width; ++c) g[i * width + c] += data.Q(i, l) * V[l * width + c];
      });
  }

  /// An upper bound of the terms that make r_i in column j, by |q_il| <= root_i root_l with root_i^2 = q_ii.
  template <class Team>
  DETRAME_HOST_DEVICE Scalar magnitude(Team const& team, Index j, Scalar const* root, Scalar largest_root) const {
    auto const data = *this;
    return largest_root * team.sum(Q.rows(), [=](Index l) { return root[l] * std::abs(data.z(l, j)); });
  }
};

/// A column of data for the synthesis form, 1/2 |x - D u|^2 + alpha/2 |u|^2 + <d, u>: r = D^T x - d.     (M1)
template <class Scalar>
struct SynthesisData {
  MatrixView<Scalar const> D;  // m x n
  MatrixView<Scalar const> d;  // n x 1
  MatrixView<Scalar const> x;  // m x N
  Scalar alpha;

  DETRAME_HOST_DEVICE Index scratch_rows() const { return D.rows(); }

  /// r = D^T x - d
  template <class Team>
  DETRAME_HOST_DEVICE void linear(Team const& team, Index first, Scalar* X, Scalar* r) const {
    auto const data = *this;
    load_columns(team, x, first, X);
    multiply(team, D, X, r);
    team.each(D.cols() * Team::width, [=](Index i) { r[i] -= data.d(i / Team::width, 0); });
  }

  /// g = D^T (D u - x) + alpha u + d
  template <class Team>
  DETRAME_HOST_DEVICE void gradient(Team const& team, Index first, Scalar const* U, Scalar* E, Scalar* g) const {
    constexpr Index width = Team::width;
    auto const data = *this;
    load_columns(team, x, first, E);
    team.each(D.rows() * width, [=](Index i) { E[i] = -E[i]; });
    for (Index l = 0; l < D.cols(); ++l)
      team.each(D.rows(), [=](Index i) {
        for (Index c = 0; c < width; ++c) E[i * width + c] += data.D(i, l) * U[l * width + c];
      });
    team.each(D.cols(), [=](Index l) {
      Scalar sum[width];
      for (Index c = 0; c < width; ++c) sum[c] = data.alpha * U[l * width + c] + data.d(l, 0);
      for (Index i = 0; i < data.D.rows(); ++i)
        for (Index c = 0; c < width; ++c) sum[c] += data.D(i, l) * E[i * width + c];
      for (Index c = 0; c < width; ++c) g[l * width + c] = sum[c];
    });
  }

  /// An upper bound of the terms that make r_i in column j: |D_i| |x| + |d_i|, with |D_i| <= root_i.
  template <class Team>
  DETRAME_HOST_DEVICE Scalar magnitude(Team const& team, Index j, Scalar const*, Scalar largest_root) const {
    auto const data = *this;
    Scalar const square = team.sum(D.rows(), [=](Index i) { return data.x(i, j) * data.x(i, j); });
    return largest_root * std::sqrt(square) + team.max(D.cols(), [=](Index i) { return std::abs(data.d(i, 0)); });
  }
};

}  // namespace detrame::exact
