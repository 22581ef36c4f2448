// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/exact/problem.hpp"
#include "detrame/metric/synthesis.hpp"

namespace detrame {

namespace exact {

/// margin_j for the columns of one task; `data` as in the certificate.
template <class Activation, class Team, class Data>
DETRAME_HOST_DEVICE void measure_margin(Team const& team, Data const& data, Index task,
                                        typename Team::Scalar* scratch,
                                        MatrixView<typename Team::Scalar const> beta,
                                        MatrixView<typename Team::Scalar const> lambda,
                                        MatrixView<typename Team::Scalar const> u,
                                        MatrixView<typename Team::Scalar> margin) {
  using Scalar = typename Team::Scalar;
  constexpr Scalar infinity = limits::infinity<Scalar>;
  Index const n = u.rows(), first = task * Team::width;
  Index const count = u.cols() - first < Team::width ? u.cols() - first : Team::width;
  Scalar* const g = scratch;
  data.gradient(team, first, count, u, scratch + n * Team::width, g);
  for (Index c = 0; c < count; ++c) {
    Index const j = first + c;
    Scalar const nearest = team.max(n, [=](Index i) {  // 1 / margin: a maximum keeps NaN
      Scalar const slope = g[i + c * n] + beta(i, 0) * u(i, j);
      Scalar const reach = lambda(i, 0) + (Activation::two_sided ? -std::abs(slope) : slope);
      Scalar const distance =
          u(i, j) != Scalar(0) ? std::abs(u(i, j)) : (reach < Scalar(0) ? Scalar(0) : reach);
      return Scalar(1) / distance;
    });
    team.once([=] { margin(0, j) = nearest == Scalar(0) ? infinity : Scalar(1) / nearest; });
  }
}

/// One diagonal block of Q in each row of margin. A kernel of each_column.
template <class Activation>
struct MetricMargin {
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index task, Scalar* scratch,
                                      MatrixView<Scalar const> Q, MatrixView<Scalar const> beta,
                                      MatrixView<Scalar const> lambda, MatrixView<Scalar const> z,
                                      MatrixView<Scalar const> u, MatrixView<Scalar> margin) const {
    Index const n = Q.rows(), blocks = Q.cols() / n, block = task % blocks, row = block * n;
    MetricData<Scalar> const data{Q.middle_cols(row, n), z.middle_rows(row, n)};
    measure_margin<Activation>(team, data, task / blocks, scratch, beta.middle_rows(row, n),
                               lambda.middle_rows(row, n), u.middle_rows(row, n),
                               margin.middle_rows(block, 1));
  }
};

template <class Activation, class Scalar>
struct SynthesisMargin {
  Scalar alpha;

  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index task, Scalar* scratch,
                                      MatrixView<Scalar const> D, MatrixView<Scalar const> d,
                                      MatrixView<Scalar const> x, MatrixView<Scalar const> beta,
                                      MatrixView<Scalar const> lambda, MatrixView<Scalar const> u,
                                      MatrixView<Scalar> margin) const {
    measure_margin<Activation>(team, SynthesisData<Scalar>{D, d, x, alpha}, task, scratch, beta, lambda, u,
                               margin);
  }
};

/// out_j = the smallest entry of column j, NaN if one is. A kernel of each_column.
struct SmallestOfColumn {
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar*, MatrixView<Scalar const> A,
                                      MatrixView<Scalar> out) const {
    Scalar least = A(0, j);
    for (Index i = 1; i < A.rows(); ++i) least = A(i, j) < least || A(i, j) != A(i, j) ? A(i, j) : least;
    team.once([=] { out(0, j) = least; });
  }
};

}  // namespace exact

/// How far a solution is from a kink, where its derivative is one-sided.                                (A2)
///
///   margin_j = min_i  |u_i| where u_i != 0,  else lambda_i + g_i (lambda_i - |g_i| for signed penalties)
///
/// with g = Q (u - z) + beta u in column j. It is 0 where strict complementarity fails: there a derivative of the
/// solution counts i as inactive.
///
/// Shapes    z, u: k x N.  Result: 1 x N.
/// Requires  sizes that agree, else ShapeError; u as exact_prox gave it for these arguments.
/// Ensures   margin >= 0; NaN where z or u has one in the column.
/// Cost      k^2 multiply-adds a column; allocates the result.
/// Tested    tests/exact/implicit_test.cpp
template <Backend B, ColumnMetric M, Penalty Psi>
typename B::Matrix exact_margin(B& backend, M const& Q, Psi const& psi, typename B::Input z,
                                typename B::Input u) {
  using View = typename B::View;
  using ConstView = typename B::ConstView;
  using Team = typename B::Team;
  ConstView const Z = z, U = u, weights = Q.weights();
  Index const k = Q.dim(), N = Z.cols(), n = weights.rows(), blocks = k / n;
  if (Z.rows() != k || U.rows() != k || psi.dim() != k || U.cols() != N)
    throw ShapeError(message("exact_margin: z is ", Z.rows(), " x ", N, ", u is ", U.rows(), " x ", U.cols(),
                             ", psi has ", psi.dim(), " rows, Q is ", k, " x ", k));
  typename B::Matrix out;
  resize(backend, out, 1, N);
  auto const frame = backend.lane().frame();
  View const margins = backend.lane().scratch(blocks, N);
  each_column(backend, (N + Team::width - 1) / Team::width * blocks, 2 * n * Team::width,
              exact::MetricMargin<typename Psi::Activation>{}, weights, psi.beta(), psi.lambda(), Z, U,
              margins);
  each_column(backend, N, 0, exact::SmallestOfColumn{}, ConstView(margins), View(out));
  return out;
}

/// The same for exact_synthesis, with g = D^T (D u - x) + d + alpha u + beta u.                         (A3)
/// Shapes    X: m x N.  u: k x N.  Result: 1 x N.
template <Backend B, Penalty Psi>
typename B::Matrix exact_margin(B& backend, Synthesis<B> const& synthesis, Psi const& psi,
                                typename B::Input X, typename B::Input u) {
  using View = typename B::View;
  using ConstView = typename B::ConstView;
  using Scalar = typename B::Scalar;
  using Team = typename B::Team;
  ConstView const x = X, U = u, D = synthesis.D, d = synthesis.d;
  synthesis.check("exact_margin");
  Index const m = D.rows(), k = D.cols(), N = x.cols();
  if (x.rows() != m || U.rows() != k || psi.dim() != k || U.cols() != N)
    throw ShapeError(message("exact_margin: X is ", x.rows(), " x ", N, ", u is ", U.rows(), " x ", U.cols(),
                             ", psi has ", psi.dim(), " rows, D is ", m, " x ", k));
  typename B::Matrix out;
  resize(backend, out, 1, N);
  each_column(backend, (N + Team::width - 1) / Team::width, (m + 2 * k) * Team::width,
              exact::SynthesisMargin<typename Psi::Activation, Scalar>{synthesis.alpha}, D, d, x, psi.beta(),
              psi.lambda(), U, View(out));
  return out;
}

}  // namespace detrame
