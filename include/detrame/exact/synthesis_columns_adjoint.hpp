// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/code_rows.hpp"
#include "detrame/exact/scaling.hpp"
#include "detrame/exact/support_factor.hpp"
#include "detrame/exact/synthesis_columns.hpp"
#include "detrame/metric/synthesis.hpp"

namespace detrame::inline DETRAME_ABI::exact {

/// v, X_bar = D v and, unless it is empty, E = X - D U; one task a column. D: the caller's, Q: in range, or
/// empty.
template <class Activation>
struct SynthesisAdjoint {
  FactorOnSupport<Activation> solve;

  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar* scratch, MatrixView<Scalar const> Q,
                                      MatrixView<Scalar const> beta, MatrixView<Scalar const> lambda,
                                      MatrixView<Scalar const> u, MatrixView<Scalar const> u_bar,
                                      MatrixView<Scalar const> D, MatrixView<Scalar const> x,
                                      MatrixView<Scalar const> slots, MatrixView<Scalar const> sizes,
                                      MatrixView<Scalar> v, MatrixView<Scalar> X_bar,
                                      MatrixView<Scalar> E) const {
    Support const support = solve(team, Q, scratch, beta, lambda, u.middle_cols(j, 1),
                                  u_bar.middle_cols(j, 1), v.middle_cols(j, 1), {slots, sizes}, j);
    Scalar* const Dv = column_of(X_bar, j);
    team.each(D.rows(), [=](Index i) { Dv[i] = Scalar(0); });
    add_members(team, D, support, [=](Index p) { return v(support.member[p], j); }, Dv);
    if (E.cols() == 0) return;
    Scalar* const e = column_of(E, j);
    team.each(D.rows(), [=](Index i) { e[i] = x(i, j); });
    add_members(team, D, support, [=](Index p) { return -u(support.member[p], j); }, e);
    if constexpr (!requires { Activation::two_sided; })  // what is held need not be 0
      for (Index l = 0; l < u.rows(); ++l)
        if (Scalar const u_l = u(l, j);
            u_l != Scalar(0) && formula::held(solve.activation, u_l, lambda(l, 0)))
          team.each(D.rows(), [=](Index i) { e[i] -= D(i, l) * u_l; });
  }
};

/// D_bar = sum_j E_j v_j^T - (D v_j) u_j^T, d_bar = -sum_j v_j and the cotangents of the penalty; one task a
/// few atoms.
template <class Activation>
struct DictionaryGradient {
  Activation activation;

  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index group, Scalar*, MatrixView<Scalar const> E,
                                      MatrixView<Scalar const> Dv, MatrixView<Scalar const> u,
                                      MatrixView<Scalar const> v, MatrixView<Scalar> D_bar,
                                      MatrixView<Scalar> d_bar, MatrixView<Scalar> lambda_bar,
                                      MatrixView<Scalar> beta_bar) const {
    Index const m = E.rows();
    CodeRows<Activation, Team> rows(activation, u, v, group);
    for (Index c = rows.first(); c < rows.first() + rows.count(); ++c)
      team.each(m, [=](Index i) { D_bar(i, c) = Scalar(0); });
    rows.visit([=](Index c, Index j, Scalar u_c, Scalar v_c) {
      Scalar const *const e = column_of(E, j), *const Dv_j = column_of(Dv, j);
      Scalar* const to = column_of(D_bar, c);
      team.each(m, [=](Index i) { to[i] += e[i] * v_c - Dv_j[i] * u_c; });
    });
    rows.put_shift(team, d_bar);
    rows.put_penalty(team, lambda_bar, beta_bar);
  }
};

/// v and X_bar = D v for columns and, where E is not empty, E = X - D U.
template <Backend B, Penalty Psi>
void solve_adjoint(B& backend, Synthesis<B> const& synthesis, Psi const& psi, ConstView<B> X, ConstView<B> U,
                   ConstView<B> U_bar, View<B> v, View<B> X_bar, View<B> E, ExactFactors<B> const& factors) {
  using Scalar = typename B::Scalar;
  using Team = typename B::Team;
  using Activation = typename Psi::Activation;
  ConstView<B> const D = synthesis.D;
  synthesis.check("exact_synthesis_pullback");
  Index const m = D.rows(), k = D.cols(), N = X.cols();
  if (X.rows() != m || U.rows() != k || U_bar.rows() != k || psi.dim() != k || U.cols() != N ||
      U_bar.cols() != N)
    throw ShapeError(message("exact_synthesis_pullback: X is ", X.rows(), " x ", N, ", u is ", U.rows(),
                             " x ", U.cols(), ", u_bar is ", U_bar.rows(), " x ", U_bar.cols(), ", psi has ",
                             psi.dim(), " rows, D is ", m, " x ", k));
  require_factors("exact_synthesis_pullback", factors, 1, N);
  auto const frame = backend.lane().frame();
  View<B> const Q = backend.lane().scratch(k, factors.all ? 0 : k);
  ScaledAtoms<B> const atoms(backend, D, synthesis.alpha);
  EntryWeights<B> const entry(backend, psi.beta(), psi.lambda(), 1, atoms.matrix);
  if (!factors.all)
    each_column(backend, (k + Team::width - 1) / Team::width, (m + k + Team::height) * Team::width,
                Gram<Scalar>{atoms.alpha}, atoms.D, Q);
  each_column(backend, N, FactorOnSupport<Activation>::template scratch_size<Team>(k),
              SynthesisAdjoint<Activation>{{psi.activation(), atoms.matrix}}, ConstView<B>(Q), entry.beta,
              entry.lambda, U, U_bar, D, X, ConstView<B>(factors.slots), ConstView<B>(factors.sizes), v,
              X_bar, E);
}

}  // namespace detrame::inline DETRAME_ABI::exact
