// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/implicit.hpp"
#include "detrame/exact/synthesis.hpp"

namespace detrame {

namespace exact {

/// E = X - D U; one task a column.
struct Misfit {
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar*, MatrixView<Scalar const> D,
                                      MatrixView<Scalar const> x, MatrixView<Scalar const> u,
                                      MatrixView<Scalar> E) const {
    team.each(E.rows(), [=](Index i) { E(i, j) = x(i, j); });
    for (Index l = 0; l < D.cols(); ++l) {
      Scalar const u_l = u(l, j);
      if (u_l != Scalar(0)) team.each(E.rows(), [=](Index i) { E(i, j) -= D(i, l) * u_l; });
    }
  }
};

/// D_bar = sum_j E_j v_j^T - (D v_j) u_j^T and d_bar = -sum_j v_j; one task an atom.
struct DictionaryGradient {
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index c, Scalar*, MatrixView<Scalar const> E,
                                      MatrixView<Scalar const> Dv, MatrixView<Scalar const> u,
                                      MatrixView<Scalar const> v, MatrixView<Scalar> D_bar,
                                      MatrixView<Scalar> d_bar) const {
    team.each(E.rows(), [=](Index i) { D_bar(i, c) = Scalar(0); });
    for (Index j = 0; j < u.cols(); ++j) {
      Scalar const u_c = u(c, j), v_c = v(c, j);
      if (u_c != Scalar(0))
        team.each(E.rows(), [=](Index i) { D_bar(i, c) += E(i, j) * v_c - Dv(i, j) * u_c; });
    }
    Scalar const sum = team.sum(u.cols(), [=](Index j) { return v(c, j); });
    team.once([=] { d_bar(c, 0) = -sum; });
  }
};

/// total = sum of a column; one task.
struct Total {
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index, Scalar*, MatrixView<Scalar const> column,
                                      MatrixView<Scalar> total) const {
    Scalar const sum = team.sum(column.rows(), [=](Index i) { return column(i, 0); });
    team.once([=] { total(0, 0) = sum; });
  }
};

}  // namespace exact

/// Cotangents of what exact_synthesis reads. A result that is used again is not allocated again.
/// Shapes    X_bar: m x N.  D_bar: m x k.  d_bar: k x 1.  lambda_bar, alpha_bar, beta_bar: 1 x 1.
template <Backend B>
struct SynthesisCotangent {
  typename B::Matrix X_bar, D_bar, d_bar, lambda_bar, alpha_bar, beta_bar;
  typename B::Matrix v;                       ///< k x N, the solution of the adjoint system
  typename B::Matrix lambda_rows, beta_rows;  ///< k x 1, the cotangents of penalties row by row
};

/// The gradient of <u, u_bar>, u = M_D(x) of the synthesis problem, from the solution itself.           (A3)
///
///   (D_A^T D_A + alpha I + diag(beta_A)) v_A = u_bar_A,  v = 0 off A = {i: u_i != 0}
///
///   X_bar = D v     D_bar = (x - D u) v^T - D v u^T     d_bar = -v     lambda_bar = -<sign(u), v>
///   alpha_bar = beta_bar = -<u, v>
///
/// summed over the columns but for X_bar.
///
/// Shapes    X: m x N.  u, u_bar: k x N.
/// Requires  sizes that agree, else ShapeError; u as exact_synthesis gave it for these arguments.
/// Ensures   all fields are assigned; at a kink a coordinate counts as inactive. NaN in u gives NaN.
/// Cost      m k^2 multiply-adds a call; |A|^3 / 6 + 4 m |A| a column.
/// Source    docs/maths.md (A3)
/// Tested    tests/exact/implicit_test.cpp
template <Backend B, Penalty Psi>
void exact_synthesis_pullback(B& backend, Synthesis<B> const& synthesis, Psi const& psi, typename B::Input X,
                              typename B::Input u, typename B::Input u_bar, SynthesisCotangent<B>& bar) {
  using View = typename B::View;
  using ConstView = typename B::ConstView;
  using Scalar = typename B::Scalar;
  using Team = typename B::Team;
  ConstView const x = X, U = u, U_bar = u_bar, D = synthesis.D;
  synthesis.check("exact_synthesis_pullback");
  Index const m = D.rows(), k = D.cols(), N = x.cols();
  if (x.rows() != m || U.rows() != k || U_bar.rows() != k || psi.dim() != k || U.cols() != N ||
      U_bar.cols() != N)
    throw ShapeError(message("exact_synthesis_pullback: X is ", x.rows(), " x ", N, ", u is ", U.rows(),
                             " x ", U.cols(), ", u_bar is ", U_bar.rows(), " x ", U_bar.cols(), ", psi has ",
                             psi.dim(), " rows, D is ", m, " x ", k));
  exact::reserve(backend, bar.v, k, N);
  exact::reserve(backend, bar.X_bar, m, N);
  exact::reserve(backend, bar.D_bar, m, k);
  for (auto* const column : {&bar.d_bar, &bar.lambda_rows, &bar.beta_rows})
    exact::reserve(backend, *column, k, 1);
  for (auto* const number : {&bar.lambda_bar, &bar.alpha_bar, &bar.beta_bar})
    exact::reserve(backend, *number, 1, 1);

  auto const frame = backend.lane().frame();
  View const Q = backend.lane().scratch(k, k);  // k x k
  View const E = backend.lane().scratch(m, N);  // m x N
  each_column(backend, (k + Team::width - 1) / Team::width, (m + k + Team::height) * Team::width,
              exact::Gram<Scalar>{synthesis.alpha}, D, Q);
  each_column(backend, N, exact::ImplicitSolve::scratch_size<Team>(k), exact::ImplicitSolve{}, ConstView(Q),
              psi.beta(), U, U_bar, View(bar.v));
  ConstView const v = bar.v;
  each_column(backend, N, 0, exact::BlockProduct{k}, D, v, View(bar.X_bar));
  each_column(backend, N, 0, exact::Misfit{}, D, x, U, E);
  each_column(backend, k, 0, exact::DictionaryGradient{}, ConstView(E), ConstView(bar.X_bar), U, v,
              View(bar.D_bar), View(bar.d_bar));
  each_column(backend, k, 0, exact::PenaltyCotangent{}, U, v, View(bar.lambda_rows), View(bar.beta_rows));
  each_column(backend, 1, 0, exact::Total{}, ConstView(bar.lambda_rows), View(bar.lambda_bar));
  each_column(backend, 1, 0, exact::Total{}, ConstView(bar.beta_rows), View(bar.beta_bar));
  each_column(backend, 1, 0, exact::Total{}, ConstView(bar.beta_rows), View(bar.alpha_bar));
}

/// The same with the paper's penalty, of synthesis.lambda and synthesis.beta.
template <Backend B>
void exact_synthesis_pullback(B& backend, Synthesis<B> const& synthesis, typename B::Input X,
                              typename B::Input u, typename B::Input u_bar, SynthesisCotangent<B>& bar) {
  exact_synthesis_pullback(backend, synthesis, synthesis.penalty(backend), std::move(X), std::move(u),
                           std::move(u_bar), bar);
}

/// The same, as a value.
template <Backend B>
SynthesisCotangent<B> exact_synthesis_pullback(B& backend, Synthesis<B> const& synthesis, typename B::Input X,
                                               typename B::Input u, typename B::Input u_bar) {
  SynthesisCotangent<B> bar;
  exact_synthesis_pullback(backend, synthesis, std::move(X), std::move(u), std::move(u_bar), bar);
  return bar;
}

}  // namespace detrame
