// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/core/limits.hpp"
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
DETRAME_HOST_DEVICE void load_columns(Team const& team, MatrixView<Scalar const> A, Index first,
                                      Scalar* out) {
  team.each(A.rows(), [=](Index i) {
    for (Index c = 0; c < Team::width; ++c)
      out[i * Team::width + c] = first + c < A.cols() ? A(i, first + c) : Scalar(0);
  });
}

/// r = A^T X for X side by side, by the team's products. A: n x k. X: n x width, r: k x width.
template <class Team, class Scalar>
DETRAME_HOST_DEVICE void multiply(Team const& team, MatrixView<Scalar const> A, Scalar const* X, Scalar* r) {
  for (Index i = 0; i < A.cols(); i += Team::height)
    team.inner_products(&A(0, i), A.stride(), A.rows(),
                        A.cols() - i < Team::height ? A.cols() - i : Team::height, X, r + i * Team::width);
}

/// Y += A X by columns, four columns of A at a time, in plain loops: for certificates.
template <class Team, class Scalar>
DETRAME_HOST_DEVICE void add_product(Team const& team, MatrixView<Scalar const> A, Index count,
                                     Scalar const* X, Scalar* Y) {
  Index const rows = A.rows(), n = A.cols();
  Index l = 0;
  for (; l + 4 <= n; l += 4)
    for (Index c = 0; c < count; ++c) {
      Scalar const *a0 = &A(0, l), *a1 = &A(0, l + 1), *a2 = &A(0, l + 2), *a3 = &A(0, l + 3);
      Scalar const* const x = X + l + c * n;
      Scalar const x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3];
      Scalar* const y = Y + c * rows;
      team.each(rows, [=](Index i) { y[i] += (a0[i] * x0 + a1[i] * x1) + (a2[i] * x2 + a3[i] * x3); });
    }
  for (; l < n; ++l)
    for (Index c = 0; c < count; ++c) {
      Scalar const x0 = X[l + c * n];
      team.each(rows, [=](Index i) { Y[i + c * rows] += A(i, l) * x0; });
    }
}

/// sum_i a_i b_i, sixteen partial sums in a fixed order.
template <class Scalar>
DETRAME_HOST_DEVICE Scalar dot(Scalar const* a, Scalar const* b, Index n) {
  constexpr Index ways = 16;
  Scalar partial[ways] = {};
  Index i = 0;
  for (; i + ways <= n; i += ways)
    for (Index w = 0; w < ways; ++w) partial[w] += a[i + w] * b[i + w];
  for (Index w = 0; w < ways; ++w)  // places that are constants: in registers on a device
    if (i + w < n) partial[w] += a[i + w] * b[i + w];
  Scalar sum(0);
  for (Scalar p : partial) sum += p;
  return sum;
}

/// An upper bound of the terms that make (H u)_i in column j, by |h_il| <= root_i root_l.
template <class Team, class Scalar>
DETRAME_HOST_DEVICE Scalar product_magnitude(Team const& team, MatrixView<Scalar const> u, Index j,
                                             Scalar const* root, Scalar largest_root) {
  return largest_root * team.sum(u.rows(), [=](Index i) { return root[i] * std::abs(u(i, j)); });
}

/// A column of data for the metric form, 1/2 |u - z|_Q^2: r = Q z.                                     (M3)
///
/// What is read of it is `linear`, for the solver, and `gradient`, for the certificate: two loops that share no
/// code, since the second one judges the first.
template <class Scalar>
struct MetricData {
  MatrixView<Scalar const> Q;  // n x n
  MatrixView<Scalar const> z;  // n x N

  /// Rows of scratch, of Team::width scalars each, that the verbs need.
  DETRAME_HOST_DEVICE Index scratch_rows() const { return Q.rows(); }

  /// r = Q z
  template <class Team>
  DETRAME_HOST_DEVICE void linear(Team const& team, Index first, Scalar* Z, Scalar* r) const {
    load_columns(team, z, first, Z);
    multiply(team, Q, Z, r);
  }

  /// g = Q (u - z) for `count` columns of u. V: n scalars a column of scratch. g: n a column.
  template <class Team>
  DETRAME_HOST_DEVICE void gradient(Team const& team, Index first, Index count, MatrixView<Scalar const> u,
                                    Scalar* V, Scalar* g) const {
    Index const n = Q.rows();
    auto const point = z;
    for (Index c = 0; c < count; ++c)
      team.each(n, [=](Index i) {
        V[i + c * n] = u(i, first + c) - point(i, first + c);
        g[i + c * n] = Scalar(0);
      });
    add_product(team, Q, count, V, g);
  }

  /// An upper bound of the terms that make r_i in column j, by |q_il| <= root_i root_l with root_i^2 = q_ii.
  template <class Team>
  DETRAME_HOST_DEVICE Scalar magnitude(Team const& team, Index j, Scalar const* root,
                                       Scalar largest_root) const {
    auto const data = *this;
    return largest_root * team.sum(Q.rows(), [=](Index l) { return root[l] * std::abs(data.z(l, j)); });
  }

  template <class Team>
  DETRAME_HOST_DEVICE Scalar point_magnitude(Team const& team, MatrixView<Scalar const> u, Index j,
                                             Scalar const* root, Scalar largest_root) const {
    return product_magnitude(team, u, j, root, largest_root);
  }
};

/// A column of data for the synthesis form, 1/2 |x - D u|^2 + alpha/2 |u|^2 + <d, u>: r = D^T x - d.     (M1)
template <class Scalar>
struct SynthesisData {
  MatrixView<Scalar const> D;  // m x n
  MatrixView<Scalar const> d;  // n x 1
  MatrixView<Scalar const> x;  // m x N
  Scalar alpha;

  DETRAME_HOST_DEVICE Index scratch_rows() const { return D.rows() + D.cols(); }

  /// r = D^T x - d
  template <class Team>
  DETRAME_HOST_DEVICE void linear(Team const& team, Index first, Scalar* X, Scalar* r) const {
    auto const data = *this;
    load_columns(team, x, first, X);
    multiply(team, D, X, r);
    team.each(D.cols() * Team::width, [=](Index i) { r[i] -= data.d(i / Team::width, 0); });
  }

  /// g = D^T (D u - x) + alpha u + d for `count` columns of u. V: m + n scalars a column of scratch. g: n a column.
  template <class Team>
  DETRAME_HOST_DEVICE void gradient(Team const& team, Index first, Index count, MatrixView<Scalar const> u,
                                    Scalar* V, Scalar* g) const {
    Index const m = D.rows(), n = D.cols();
    auto const data = *this;
    Scalar* const E = V + n * count;  // m x count, D u - x
    for (Index c = 0; c < count; ++c) {
      team.each(n, [=](Index l) { V[l + c * n] = u(l, first + c); });
      team.each(m, [=](Index i) { E[i + c * m] = -data.x(i, first + c); });
    }
    add_product(team, D, count, V, E);
    for (Index c = 0; c < count; ++c)
      team.each(n, [=](Index l) {
        g[l + c * n] = dot(&data.D(0, l), E + c * m, m) + data.alpha * V[l + c * n] + data.d(l, 0);
      });
  }

  /// An upper bound of the terms that make r_i in column j: |D_i| |x| + |d_i|, with |D_i| <= root_i.
  template <class Team>
  DETRAME_HOST_DEVICE Scalar magnitude(Team const& team, Index j, Scalar const*, Scalar largest_root) const {
    auto const data = *this;
    Scalar const square = team.sum(D.rows(), [=](Index i) { return data.x(i, j) * data.x(i, j); });
    return largest_root * std::sqrt(square) +
           team.max(D.cols(), [=](Index i) { return std::abs(data.d(i, 0)); });
  }

  template <class Team>
  DETRAME_HOST_DEVICE Scalar point_magnitude(Team const& team, MatrixView<Scalar const> u, Index j,
                                             Scalar const* root, Scalar largest_root) const {
    return product_magnitude(team, u, j, root, largest_root);
  }
};

}  // namespace detrame::exact
