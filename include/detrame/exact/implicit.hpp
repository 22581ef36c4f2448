// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/active_set.hpp"

namespace detrame {

namespace exact {

/// v_A = (Q_AA + diag(beta_A))^{-1} u_bar_A with A = {i: u_i != 0}, v = 0 off A; one task is one diagonal block of
/// Q and one column. Where u has NaN, or Q_AA is not definite to working precision, v_A is NaN. A kernel of each_column.
struct ImplicitSolve {
  template <class Team>
  static constexpr Index scratch_size(Index n) {
    return n + Team::padded(n) + Team::factor_size(n);
  }

  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index task, Scalar* scratch,
                                      MatrixView<Scalar const> Q, MatrixView<Scalar const> beta,
                                      MatrixView<Scalar const> u, MatrixView<Scalar const> u_bar,
                                      MatrixView<Scalar> v) const {
    Index const n = Q.rows(), blocks = Q.cols() / n, first = task % blocks * n, j = task / blocks;
    Scalar* const support = scratch;  // the members of A, as numbers
    Scalar* const x = scratch + n;
    Scalar* const factor = x + Team::padded(n);
    Index size = 0;
    for (Index i = 0; i < n; ++i)
      if (u(first + i, j) != Scalar(0)) {
        Index const p = size++;
        team.once([=] { support[p] = static_cast<Scalar>(i); });
      }
    auto const member = [=](Index p) { return static_cast<Index>(support[p]); };
    team.each(size, [=](Index p) {
      Index const i = member(p);
      x[p] = u_bar(first + i, j);
      for (Index q = 0; q <= p; ++q) factor[Team::factor_place(p, q)] = Q(i, first + member(q));
      factor[Team::factor_place(p, p)] += beta(first + i, 0);
    });
    Scalar const size_of_u = team.max(n, [=](Index i) { return std::abs(u(first + i, j)); });
    bool const solvable = size_of_u == size_of_u && team.cholesky(factor, size, 0) == size;
    if (solvable) team.cholesky_solve(factor, size, x);
    team.each(n, [=](Index i) { v(first + i, j) = Scalar(0); });
    team.each(size, [=](Index p) { v(first + member(p), j) = solvable ? x[p] : limits::nan<Scalar>; });
  }
};

/// lambda_bar_i = -sum_j sign(u_ij) v_ij and beta_bar_i = -sum_j u_ij v_ij; one task a row.
struct PenaltyCotangent {
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index i, Scalar*, MatrixView<Scalar const> u,
                                      MatrixView<Scalar const> v, MatrixView<Scalar> lambda_bar,
                                      MatrixView<Scalar> beta_bar) const {
    Scalar const signs =
        team.sum(u.cols(), [=](Index j) { return u(i, j) < Scalar(0) ? -v(i, j) : v(i, j); });
    Scalar const products = team.sum(u.cols(), [=](Index j) { return u(i, j) * v(i, j); });
    team.once([=] {
      lambda_bar(i, 0) = -signs;
      beta_bar(i, 0) = -products;
    });
  }
};

/// y = A v by blocks of A: y(rows of block g, j) = A_g v(rows of block g, j); one task a column.
struct BlockProduct {
  Index n;  ///< columns of a block

  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar*, MatrixView<Scalar const> A,
                                      MatrixView<Scalar const> v, MatrixView<Scalar> y) const {
    Index const rows = A.rows();
    team.each(y.rows(), [=](Index i) { y(i, j) = Scalar(0); });
    for (Index l = 0; l < A.cols(); ++l) {
      Index const top = l / n * rows;
      Scalar const v_l = v(l, j);
      if (v_l != Scalar(0)) team.each(rows, [=](Index i) { y(top + i, j) += A(i, l) * v_l; });
    }
  }
};

/// Q_bar = -1/2 sum_j v_j (u_j - z_j)^T + (u_j - z_j) v_j^T on the diagonal blocks; one task a column of Q_bar.
struct MetricGradient {
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index c, Scalar*, MatrixView<Scalar const> z,
                                      MatrixView<Scalar const> u, MatrixView<Scalar const> v,
                                      MatrixView<Scalar> Q_bar) const {
    Index const n = Q_bar.rows(), first = c / n * n;
    team.each(n, [=](Index i) { Q_bar(i, c) = Scalar(0); });
    for (Index j = 0; j < u.cols(); ++j) {
      Scalar const w_c = Scalar(-0.5) * (u(c, j) - z(c, j)), v_c = Scalar(-0.5) * v(c, j);
      team.each(n, [=](Index i) {
        Q_bar(i, c) += v(first + i, j) * w_c + (u(first + i, j) - z(first + i, j)) * v_c;
      });
    }
  }
};

}  // namespace exact

/// Cotangents of what exact_prox reads. A result that is used again is not allocated again.
/// Shapes    z_bar: k x N.  Q_bar: as Q.weights(), symmetric.  lambda_bar, beta_bar: k x 1.  v: k x N.
template <Backend B>
struct ExactProxCotangent {
  typename B::Matrix z_bar, Q_bar, lambda_bar, beta_bar;
  typename B::Matrix v;  ///< the solution of the adjoint system, from which the others follow
};

/// The gradient of <u, u_bar>, u = prox^Q_psi(z), from the solution itself: no iterate is needed.        (A2)
///
///   (Q_AA + diag(beta_A)) v_A = u_bar_A,  v = 0 off A = {i: u_i != 0}
///
///   z_bar = Q v     Q_bar = -1/2 (v (u - z)^T + (u - z) v^T)     lambda_bar = -sign(u) o v     beta_bar = -u o v
///
/// summed over the columns but for z_bar.
///
/// Shapes    z, u, u_bar: k x N.
/// Requires  equal shapes, else ShapeError; u as exact_prox gave it for these arguments.
/// Ensures   all fields are assigned. <Q_bar, dQ> is the derivative in symmetric directions on Q's blocks. Where
///           strict complementarity fails (see exact_margin) the derivative is one-sided, and this one belongs to
///           A as it is. NaN in u gives NaN.
/// Cost      |A|^3 / 6 + 2 k |A| multiply-adds a column, and k kg N for Q_bar.
/// Source    docs/maths.md (A2)
/// Tested    tests/exact/implicit_test.cpp
template <Backend B, ColumnMetric M, Penalty Psi>
void exact_prox_pullback(B& backend, M const& Q, Psi const& psi, typename B::Input z, typename B::Input u,
                         typename B::Input u_bar, ExactProxCotangent<B>& bar) {
  using View = typename B::View;
  using ConstView = typename B::ConstView;
  ConstView const Z = z, U = u, U_bar = u_bar, weights = Q.weights();
  Index const k = Q.dim(), N = Z.cols(), n = weights.rows();
  if (Z.rows() != k || U.rows() != k || U_bar.rows() != k || psi.dim() != k || U.cols() != N ||
      U_bar.cols() != N)
    throw ShapeError(message("exact_prox_pullback: z is ", Z.rows(), " x ", N, ", u is ", U.rows(), " x ",
                             U.cols(), ", u_bar is ", U_bar.rows(), " x ", U_bar.cols(), ", psi has ",
                             psi.dim(), " rows, Q is ", k, " x ", k));
  for (auto* const batch : {&bar.v, &bar.z_bar}) exact::reserve(backend, *batch, k, N);
  for (auto* const column : {&bar.lambda_bar, &bar.beta_bar}) exact::reserve(backend, *column, k, 1);
  exact::reserve(backend, bar.Q_bar, n, k);
  each_column(backend, k / n * N, exact::ImplicitSolve::scratch_size<typename B::Team>(n),
              exact::ImplicitSolve{}, weights, psi.beta(), U, U_bar, View(bar.v));
  ConstView const v = bar.v;
  each_column(backend, k, 0, exact::PenaltyCotangent{}, U, v, View(bar.lambda_bar), View(bar.beta_bar));
  each_column(backend, N, 0, exact::BlockProduct{n}, weights, v, View(bar.z_bar));
  each_column(backend, k, 0, exact::MetricGradient{}, Z, U, v, View(bar.Q_bar));
}

/// The same, as a value.
template <Backend B, ColumnMetric M, Penalty Psi>
ExactProxCotangent<B> exact_prox_pullback(B& backend, M const& Q, Psi const& psi, typename B::Input z,
                                          typename B::Input u, typename B::Input u_bar) {
  ExactProxCotangent<B> bar;
  exact_prox_pullback(backend, Q, psi, std::move(z), std::move(u), std::move(u_bar), bar);
  return bar;
}

}  // namespace detrame
