// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <concepts>

#include "detrame/core/limits.hpp"
#include "detrame/core/matrix_view.hpp"

namespace detrame::exact {

/// root_i = sqrt(h_ii), by which terms are bounded: |h_il| <= root_i root_l.
template <class Scalar>
struct Roots {
  Scalar const* root = nullptr;
  Scalar largest = 0;

  template <class Team>
  DETRAME_HOST_DEVICE Scalar terms(Team const& team, MatrixView<Scalar const> v, Index j) const {
    Scalar const* const of = root;
    return largest * team.sum(v.rows(), [=](Index i) { return of[i] * std::abs(v(i, j)); });
  }
};

/// What kernels of exact/ see of a problem: raw memory, one diagonal block of Q at a time, and for each
/// column
///
///   f(u) + sum_i lambda_i rho(u_i),   f(u) = 1/2 <u, Q u> - <r, u> + sum_i beta_i/2 u_i^2,   H = Q +
///                                     diag(beta)
///
/// rho: the rule of a penalty (metric/concept.hpp). A problem is one struct, a model of this concept, with
/// Numbers and views in that order, the same in every kernel. What it owes:
///
///   blocks(), block(b)        the problems of the diagonal blocks of Q, one after the other
///   width(team)               how many columns are worked on side by side
///   scratch_rows()            rows of scratch, of width(team) scalars each, that the verbs below need as V
///   linear(team, first, V, r) r, for the search
///
/// and to its judge, by loops that share no code with those for the search:
///
///   gradient(team, first, count, u, V, g)   the gradient of f less beta u, entry by entry
///   linear_terms(team, j)                   upper bounds of the terms that r_i and (H u)_i are summed from,
///                                           column j
///   product_terms(team, u, j)
///
/// and, for the active set, linear_terms(team, j, root, out): the bound of each r_i by itself.
template <class P, class Team>
concept Problem = requires(P const& problem, Team const& team, Index j,
                           MatrixView<typename Team::Scalar const> u, typename Team::Scalar* v) {
  typename P::Numbers;
  { problem.blocks() } -> std::same_as<Index>;
  { problem.block(j) } -> std::same_as<P>;
  { problem.width(team) } -> std::same_as<Index>;
  { problem.scratch_rows() } -> std::same_as<Index>;
  problem.linear(team, j, v, v);
  problem.gradient(team, j, j, u, v, v);
  { problem.linear_terms(team, j) } -> std::same_as<typename Team::Scalar>;
  { problem.product_terms(team, u, j) } -> std::same_as<typename Team::Scalar>;
};

/// A problem whose Q is a matrix, for the active set: |q_il| <= root_i root_l with the roots that it is
/// given.
template <class P, class Team>
concept FactoredProblem = Problem<P, Team> && requires(P problem, Roots<typename Team::Scalar> roots,
                                                       Team const& team, typename Team::Scalar* v) {
  problem.linear_terms(team, Index{}, v, v);
  { problem.Q } -> std::convertible_to<MatrixView<typename Team::Scalar const>>;
  problem.roots = roots;
};

/// A problem whose Q is only multiplied with, for the face search.
///
///   prepare(team, beta, V)    once, before what follows
///   bound                     of the eigenvalues and row sums of |H|
///   multiply(team, x, V, y)   y = Q x for one column
template <class P, class Team>
concept MultipliedProblem =
    Problem<P, Team> && requires(P problem, Team const& team, MatrixView<typename Team::Scalar const> beta,
                                 typename Team::Scalar* v) {
      problem.prepare(team, beta, v);
      { problem.bound } -> std::convertible_to<typename Team::Scalar>;
      problem.multiply(team, v, v, v);
    };

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

/// A kernel of each_column on one diagonal block of a problem and a few of its columns: what stands beside
/// the problem is cut to the rows of the block.
template <class Problem, class Kernel>
struct OnBlocks {
  Kernel kernel;
  typename Problem::Numbers numbers;

  template <class Team, class Scalar, class U, class... Views>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index task, Scalar* scratch,
                                      MatrixView<Scalar const> beta, MatrixView<Scalar const> lambda, U u,
                                      MatrixView<Scalar> out, Views... views) const {
    Problem const problem{numbers, views...};
    Index const blocks = problem.blocks(), block = task % blocks, n = u.rows() / blocks,
                rows = out.rows() / blocks;
    kernel(team, problem.block(block), task / blocks * problem.width(team), scratch,
           beta.middle_rows(block * n, n), lambda.middle_rows(block * n, n), u.middle_rows(block * n, n),
           out.middle_rows(block * rows, rows));
  }
};

}  // namespace detrame::exact
