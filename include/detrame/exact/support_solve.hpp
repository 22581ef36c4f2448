// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/formulas.hpp"
#include "detrame/exact/problem.hpp"

namespace detrame::inline DETRAME_ABI::exact {

/// The adjoint system on the support of a solution, for one diagonal block and one column a task, by products
/// with Q. A kernel of each_column.
///
///   H_AA v_A = u_bar_A,   v = 0 off A, what is not held,   H = Q + diag(beta + lambda rho''(u))
///
/// By conjugate gradients in the unknowns sqrt(h_ii) v_i, to the residual eps |u_bar_A| of that scale or for
/// `limit` products with H. NaN in u_i gives NaN in v_i. Q and beta are in range, scaled as the problem's
/// numbers say.
template <class Activation, class Problem>
struct SolveOnSupport {
  Activation activation;
  typename Problem::Numbers numbers;
  Index limit = 0;  ///< of conjugate gradients

  static constexpr Index products_scratch(Index n, Index problem_rows) { return 4 * n + problem_rows; }

  template <class Team, class Scalar, class... Views>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index task, Scalar* scratch,
                                      MatrixView<Scalar const> beta, MatrixView<Scalar const> lambda,
                                      MatrixView<Scalar const> u, MatrixView<Scalar const> u_bar,
                                      MatrixView<Scalar> v, Views... views) const {
    Problem const problem{numbers, views...};
    Index const blocks = problem.blocks(), b = task % blocks, j = task / blocks, n = u.rows() / blocks;
    auto const cut = [=](auto matrix) { return matrix.middle_rows(b * n, n).middle_cols(j, 1); };
    by_products(team, problem.block(b), scratch, beta.middle_rows(b * n, n), lambda.middle_rows(b * n, n),
                cut(u), cut(u_bar), cut(v));
  }

 private:
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void by_products(Team const& team, Problem const& problem, Scalar* scratch,
                                       MatrixView<Scalar const> beta, MatrixView<Scalar const> lambda,
                                       MatrixView<Scalar const> u, MatrixView<Scalar const> u_bar,
                                       MatrixView<Scalar> v) const {
    Index const n = u.rows();
    Scalar *const r = scratch, *const p = r + n, *const Hp = p + n, *const diagonal = Hp + n,
                  *const V = diagonal + n;
    auto const rule = activation;
    int const by = into_range(team.max(n, [=](Index i) { return std::abs(u_bar(i, 0)); }));
    problem.diagonal(team, diagonal);
    int const matrix = 2 * numbers.matrix;
    auto const held = [=](Index i) { return formula::held(rule, u(i, 0), lambda(i, 0)); };
    auto const own = [=](Index i) {  // what is not Q's on the diagonal of H
      Scalar const of_rho = held(i) ? Scalar(0) : formula::curvature(rule, u(i, 0), lambda(i, 0));
      return beta(i, 0) + scaled(of_rho, matrix);
    };
    team.each(n, [=](Index i) {
      v(i, 0) = u(i, 0) == u(i, 0) ? Scalar(0) : u(i, 0);
      r[i] = held(i) ? Scalar(0) : scaled(u_bar(i, 0), by);
      Scalar const curvature = diagonal[i] + own(i);
      diagonal[i] = curvature > Scalar(0) ? curvature : Scalar(1);
      p[i] = r[i] / diagonal[i];
    });
    auto const length = [=](Index i) { return r[i] * (r[i] / diagonal[i]); };
    Scalar square = team.sum(n, length);
    Scalar const eps = limits::epsilon<Scalar>, floor = eps * eps * square;
    for (Index t = 0; t < limit && square > floor; ++t) {
      problem.multiply(team, p, V, Hp);
      team.each(n, [=](Index i) { Hp[i] = held(i) ? Scalar(0) : Hp[i] + own(i) * p[i]; });
      Scalar const step = square / team.sum(n, [=](Index i) { return p[i] * Hp[i]; });
      team.each(n, [=](Index i) {
        v(i, 0) += step * p[i];
        r[i] -= step * Hp[i];
      });
      Scalar const next = team.sum(n, length), turn = next / square;
      square = next;
      team.each(n, [=](Index i) { p[i] = r[i] / diagonal[i] + turn * p[i]; });
    }
    int const back = 2 * numbers.matrix - by;
    team.each(n, [=](Index i) { v(i, 0) = scaled(v(i, 0), back); });
  }
};

/// lambda_bar_i = -sum_j rho'(u_ij) v_ij and beta_bar_i = -sum_j u_ij v_ij, where v = 0 on kinks;
/// one task a row.
template <class Activation>
struct PenaltyCotangent {
  Activation activation;

  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index i, Scalar*, MatrixView<Scalar const> u,
                                      MatrixView<Scalar const> v, MatrixView<Scalar> lambda_bar,
                                      MatrixView<Scalar> beta_bar) const {
    auto const rule = activation;
    Scalar const slopes =
        team.sum(u.cols(), [=](Index j) { return formula::derivative(rule, u(i, j)) * v(i, j); });
    Scalar const products = team.sum(u.cols(), [=](Index j) { return u(i, j) * v(i, j); });
    team.once([=] {
      lambda_bar(i, 0) = -slopes;
      beta_bar(i, 0) = -products;
    });
  }
};

}  // namespace detrame::inline DETRAME_ABI::exact
