// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "detrame/exact/exact_prox_pullback.hpp"
#include "detrame/exact/scaling.hpp"
#include "detrame/exact/synthesis_columns.hpp"
#include "detrame/exact/synthesis_images.hpp"
#include "detrame/metric/convolutional_synthesis.hpp"
#include "detrame/metric/synthesis.hpp"

namespace detrame::inline DETRAME_ABI {

namespace exact {

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

/// total = sum of a column; one task.
struct Total {
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index, Scalar*, MatrixView<Scalar const> column,
                                      MatrixView<Scalar> total) const {
    Scalar const sum = team.sum(column.rows(), [=](Index i) { return column(i, 0); });
    team.once([=] { total(0, 0) = sum; });
  }
};

/// The image of each code, D a. A kernel of each_column.
struct Synthesise {
  Window window;
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar* patch, MatrixView<Scalar const> D,
                                      MatrixView<Scalar const> a, MatrixView<Scalar> x) const {
    Patches<Scalar>{window, D}.synthesise(team, &a(0, j), patch, &x(0, j));
  }
};

/// D_bar = sum over images and positions of (patch of E) v^T - (patch of D v) u^T; one task an atom.
template <class Scalar>
struct PatchDictionaryGradient {
  Window window;

  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index o, Scalar*, MatrixView<Scalar const> E,
                                      MatrixView<Scalar const> Dv, MatrixView<Scalar const> U,
                                      MatrixView<Scalar const> V, MatrixView<Scalar> D_bar,
                                      MatrixView<Scalar> d_bar) const {
    Index const k = D_bar.cols();
    Patches<Scalar> const patches{window, MatrixView<Scalar const>(D_bar)};
    team.each(D_bar.rows(), [=](Index i) { D_bar(i, o) = Scalar(0); });
    Scalar total(0);
    for (Index j = 0; j < U.cols(); ++j)
      for (Index s = 0; s < window.out_sites(); ++s) {
        Scalar const u = U(o + s * k, j), v = V(o + s * k, j);
        total += v;
        if (u == Scalar(0) && v == Scalar(0)) continue;
        patches.runs(s, [&](Index p, Index t, Index n) {
          team.each(n, [=](Index i) { D_bar(p + i, o) += E(t + i, j) * v - Dv(t + i, j) * u; });
        });
      }
    team.once([=] { d_bar(o, 0) = -total; });
  }
};

}  // namespace exact

/// Cotangents of what exact_synthesis reads. A result that is used again is not allocated again.
/// Shapes    X_bar: m x N.  D_bar: m x k.  d_bar: k x 1.  lambda_bar, alpha_bar, beta_bar: 1 x 1.
template <Backend B>
struct SynthesisCotangent {
  Matrix<B> X_bar, D_bar, d_bar, lambda_bar, alpha_bar, beta_bar;
  Matrix<B> v;                       ///< k x N, the solution of the adjoint system
  Matrix<B> lambda_rows, beta_rows;  ///< k x 1, the cotangents of penalties row by row
};

namespace exact {

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

/// v and X_bar = D v for images; beta, lambda: k x 1. U, v, X_bar: an image a column.
template <Backend B, class Activation>
void solve_image_adjoint(B& backend, ConvolutionalSynthesis<B> const& synthesis, Activation activation,
                         ConstView<B> beta, ConstView<B> lambda, ConstView<B> U, ConstView<B> U_bar,
                         View<B> v, View<B> X_bar, Index limit) {
  using Scalar = typename B::Scalar;
  using Solve = SolveOnSupport<Activation, SynthesisImages<Scalar>>;
  Window const w = synthesis.window;
  ConstView<B> const D = synthesis.D;
  Index const m = synthesis.channels(), n = D.cols() * w.out_sites(), images = U.cols();
  auto& lane = backend.lane();
  auto const frame = lane.frame();
  ScaledAtoms<B> const atoms(backend, D, synthesis.alpha);
  EntryWeights<B> const entry(backend, beta, lambda, w.out_sites(), atoms.matrix);
  Matrix<B> copy_u_bar;
  each_column(backend, images, Solve::products_scratch(n, SynthesisImages<Scalar>::scratch_rows(w, m)),
              Solve{activation, {w, atoms.alpha, atoms.matrix}, limit}, entry.beta, entry.lambda, U,
              by_image<B>(lane, U_bar, w.out_sites(), copy_u_bar, backend), v, atoms.D);
  each_column(backend, images, D.rows(), Synthesise{w}, D, ConstView<B>(v), X_bar);
}

/// Refuses images and codes that do not fit the problem.
template <Backend B>
void check_images(ConvolutionalSynthesis<B> const& synthesis, ConstView<B> x, ConstView<B> U,
                  ConstView<B> U_bar, Index limit) {
  synthesis.check("exact_synthesis_pullback");
  require_at_least("exact_synthesis_pullback", "limit", limit, Index{1});
  Window const w = synthesis.window;
  Index const m = synthesis.channels(), k = synthesis.D.cols();
  if (x.rows() != m || x.cols() % w.sites() != 0 || U.rows() != k || U_bar.rows() != k ||
      U.cols() != x.cols() / w.sites() * w.out_sites() || U_bar.cols() != U.cols())
    throw ShapeError(message("exact_synthesis_pullback: X is ", x.rows(), " x ", x.cols(), ", u is ",
                             U.rows(), " x ", U.cols(), ", u_bar is ", U_bar.rows(), " x ", U_bar.cols(),
                             ", D has ", k, " atoms of ", m, " channels"));
}

/// The adjoint for images; beta, lambda: k x 1.
template <Backend B, class Activation>
void pull_back_images(B& backend, ConvolutionalSynthesis<B> const& synthesis, Activation activation,
                      ConstView<B> beta, ConstView<B> lambda, Input<B> X, Input<B> u, Input<B> u_bar,
                      SynthesisCotangent<B>& bar, Index limit) {
  using Scalar = typename B::Scalar;
  ConstView<B> const x = X, U = u, U_bar = u_bar, D = synthesis.D;
  check_images<B>(synthesis, x, U, U_bar, limit);
  Window const w = synthesis.window;
  Index const m = synthesis.channels(), k = D.cols(), n = k * w.out_sites(), images = x.cols() / w.sites();
  reserve(backend, bar.v, k, U.cols());
  reserve(backend, bar.X_bar, m, x.cols());
  reserve(backend, bar.D_bar, D.rows(), k);
  for (auto* const column : {&bar.d_bar, &bar.lambda_rows, &bar.beta_rows}) reserve(backend, *column, k, 1);
  for (auto* const number : {&bar.lambda_bar, &bar.alpha_bar, &bar.beta_bar}) reserve(backend, *number, 1, 1);
  auto& lane = backend.lane();
  auto const frame = lane.frame();
  View<B> const E = lane.scratch(m * w.sites(), images);
  Matrix<B> copy_x, copy_u;
  ConstView<B> const u_image = by_image<B>(lane, U, w.out_sites(), copy_u, backend);
  ConstView<B> const x_image = by_image<B>(lane, x, w.sites(), copy_x, backend);
  View<B> const v_image = View<B>(bar.v).reshaped(n, images);
  View<B> const Dv = View<B>(bar.X_bar).reshaped(m * w.sites(), images);
  solve_image_adjoint<B>(backend, synthesis, activation, beta, lambda, u_image, U_bar, v_image, Dv, limit);
  each_column(backend, images, D.rows(), Synthesise{w}, D, u_image, E);
  each(lane, formula::StoreDifference{}, E, x_image, ConstView<B>(E));
  each_column(backend, k, 0, PatchDictionaryGradient<Scalar>{w}, ConstView<B>(E), ConstView<B>(Dv), u_image,
              ConstView<B>(v_image), View<B>(bar.D_bar), View<B>(bar.d_bar));
  each_column(backend, k, 0, PenaltyCotangent<Activation>{activation}, U, ConstView<B>(bar.v),
              View<B>(bar.lambda_rows), View<B>(bar.beta_rows));
  each_column(backend, 1, 0, Total{}, ConstView<B>(bar.lambda_rows), View<B>(bar.lambda_bar));
  each_column(backend, 1, 0, Total{}, ConstView<B>(bar.beta_rows), View<B>(bar.beta_bar));
  each_column(backend, 1, 0, Total{}, ConstView<B>(bar.beta_rows), View<B>(bar.alpha_bar));
}

}  // namespace exact

/// The gradient of <u, u_bar>, u = M_D(x) of the synthesis problem, from the solution itself.           (A3)
///
///   (D_A^T D_A + alpha I + diag(beta_A)) v_A = u_bar_A,  v = 0 off A = {i: u_i != 0}
///   (other penalties: M9)
///
///   X_bar = D v     D_bar = (x - D u) v^T - D v u^T     d_bar = -v     lambda_bar = -<sign(u), v>
///   alpha_bar = beta_bar = -<u, v>
///
/// summed over the columns but for X_bar.
///
/// Shapes    X: m x N.  u, u_bar: k x N.
/// Requires  sizes that agree, else ShapeError; u as exact_synthesis gave it for these arguments, and
///           factors, if any, as it gave them with u.
/// Ensures   all fields are assigned; at a kink a coordinate counts as inactive. NaN in u gives NaN. Factors
///           change no bit, but where H_AA is at the edge of what working precision calls definite.
/// Cost      m k^2 multiply-adds a call; |A|^3 / 6 + |A|^2 + 4 m |A| a column. Where all factors are there,
///           neither the first nor the second.
/// Source    docs/maths.md (A3)
/// Tested    tests/exact/implicit_test.cpp, tests/exact/implicit_batch_test.cpp,
///           tests/exact/kept_factors_test.cpp
template <Backend B, Penalty Psi>
void exact_synthesis_pullback(B& backend, Synthesis<B> const& synthesis, Psi const& psi, Input<B> X,
                              Input<B> u, Input<B> u_bar, SynthesisCotangent<B>& bar,
                              ExactFactors<B> const& factors = {}) {
  using Team = typename B::Team;
  using Activation = typename Psi::Activation;
  ConstView<B> const x = X, U = u, U_bar = u_bar, D = synthesis.D;
  Index const m = D.rows(), k = D.cols(), N = x.cols();
  exact::reserve(backend, bar.v, k, N);
  exact::reserve(backend, bar.X_bar, m, N);
  exact::reserve(backend, bar.D_bar, m, k);
  for (auto* const column : {&bar.d_bar, &bar.lambda_rows, &bar.beta_rows})
    exact::reserve(backend, *column, k, 1);
  for (auto* const number : {&bar.lambda_bar, &bar.alpha_bar, &bar.beta_bar})
    exact::reserve(backend, *number, 1, 1);

  auto const frame = backend.lane().frame();
  View<B> const E = backend.lane().scratch(m, N);  // m x N
  exact::solve_adjoint<B>(backend, synthesis, psi, x, U, U_bar, bar.v, bar.X_bar, E, factors);
  each_column(backend, exact::CodeRows<Activation, Team>::groups(k), 0,
              exact::DictionaryGradient<Activation>{psi.activation()}, ConstView<B>(E),
              ConstView<B>(bar.X_bar), U, ConstView<B>(bar.v), View<B>(bar.D_bar), View<B>(bar.d_bar),
              View<B>(bar.lambda_rows), View<B>(bar.beta_rows));
  each_column(backend, 1, 0, exact::Total{}, ConstView<B>(bar.lambda_rows), View<B>(bar.lambda_bar));
  each_column(backend, 1, 0, exact::Total{}, ConstView<B>(bar.beta_rows), View<B>(bar.beta_bar));
  each_column(backend, 1, 0, exact::Total{}, ConstView<B>(bar.beta_rows), View<B>(bar.alpha_bar));
}

/// The same with the paper's penalty, of synthesis.lambda and synthesis.beta.
template <Backend B>
void exact_synthesis_pullback(B& backend, Synthesis<B> const& synthesis, Input<B> X, Input<B> u,
                              Input<B> u_bar, SynthesisCotangent<B>& bar,
                              ExactFactors<B> const& factors = {}) {
  exact_synthesis_pullback(backend, synthesis, synthesis.penalty(backend), std::move(X), std::move(u),
                           std::move(u_bar), bar, factors);
}

/// X_bar = D v alone, without the sums over the columns.
///
/// Requires  X_bar is shaped as X, else ShapeError, and is no other argument.
template <Backend B, Penalty Psi>
void exact_synthesis_pullback(B& backend, Synthesis<B> const& synthesis, Psi const& psi, ConstView<B> X,
                              ConstView<B> u, ConstView<B> u_bar, View<B> X_bar,
                              ExactFactors<B> const& factors = {}) {
  require_shape("exact_synthesis_pullback", "X_bar", X_bar, X.rows(), X.cols());
  auto const frame = backend.lane().frame();
  View<B> const v = backend.lane().scratch(u.rows(), u.cols());  // k x N
  exact::solve_adjoint<B>(backend, synthesis, psi, X, u, u_bar, v, X_bar, View<B>{}, factors);
}
template <Backend B>
void exact_synthesis_pullback(B& backend, Synthesis<B> const& synthesis, ConstView<B> X, ConstView<B> u,
                              ConstView<B> u_bar, View<B> X_bar) {
  exact_synthesis_pullback<B>(backend, synthesis, synthesis.penalty(backend), X, u, u_bar, X_bar);
}

/// The same, as a value.
template <Backend B>
SynthesisCotangent<B> exact_synthesis_pullback(B& backend, Synthesis<B> const& synthesis, Input<B> X,
                                               Input<B> u, Input<B> u_bar,
                                               ExactFactors<B> const& factors = {}) {
  SynthesisCotangent<B> bar;
  exact_synthesis_pullback(backend, synthesis, std::move(X), std::move(u), std::move(u_bar), bar, factors);
  return bar;
}

/// The gradient of <u, u_bar>, u the exact code of images in a convolution, with any penalty.       (A3) (K4)
///
/// As exact_synthesis_pullback of a dense dictionary, an image in place of a column.
///
/// Shapes    X: m x (sites images).  u, u_bar: k x (out_sites images).  bar.D_bar: as D.
/// Requires  sizes that agree, else ShapeError; u as exact_synthesis gave it for these arguments.
/// Ensures   as there.
/// Cost      conjugate gradients on the support of each image, at most `limit` steps.
/// Tested    tests/exact/convolutional_synthesis_test.cpp
template <Backend B, Penalty Psi>
void exact_synthesis_pullback(B& backend, ConvolutionalSynthesis<B> const& synthesis, Psi const& psi,
                              Input<B> X, Input<B> u, Input<B> u_bar, SynthesisCotangent<B>& bar,
                              Index limit = 5000) {
  exact::require_rows("exact_synthesis_pullback", psi.dim(), synthesis.D.cols());
  exact::pull_back_images(backend, synthesis, psi.activation(), psi.beta(), psi.lambda(), X, u, u_bar, bar,
                          limit);
}

/// The same with the paper's penalty, of synthesis.lambda and synthesis.beta.
template <Backend B>
void exact_synthesis_pullback(B& backend, ConvolutionalSynthesis<B> const& synthesis, Input<B> X, Input<B> u,
                              Input<B> u_bar, SynthesisCotangent<B>& bar, Index limit = 5000) {
  auto const frame = backend.lane().frame();
  exact::pull_back_images(backend, synthesis, formula::NonnegativeShrinkage{},
                          exact::constant<B>(backend.lane(), synthesis.D.cols(), synthesis.beta),
                          exact::constant<B>(backend.lane(), synthesis.D.cols(), synthesis.lambda), X, u,
                          u_bar, bar, limit);
}

/// X_bar = D v alone, with the paper's penalty.
template <Backend B>
void exact_synthesis_pullback(B& backend, ConvolutionalSynthesis<B> const& synthesis, ConstView<B> X,
                              ConstView<B> u, ConstView<B> u_bar, View<B> X_bar, Index limit = 5000) {
  require_shape("exact_synthesis_pullback", "X_bar", X_bar, X.rows(), X.cols());
  exact::check_images<B>(synthesis, X, u, u_bar, limit);
  auto& lane = backend.lane();
  auto const frame = lane.frame();
  Window const w = synthesis.window;
  Index const k = synthesis.D.cols(), images = X.cols() / w.sites();
  View<B> const v = lane.scratch(k * w.out_sites(), images),
                Dv = lane.scratch(X.rows() * w.sites(), images);  // an image a column
  Matrix<B> copy_u;
  exact::solve_image_adjoint<B>(
      backend, synthesis, formula::NonnegativeShrinkage{}, exact::constant<B>(lane, k, synthesis.beta),
      exact::constant<B>(lane, k, synthesis.lambda),
      exact::by_image<B>(lane, u, w.out_sites(), copy_u, backend), u_bar, v, Dv, limit);
  copy_entries(lane, ConstView<B>(Dv), X_bar);
}

}  // namespace detrame::inline DETRAME_ABI
