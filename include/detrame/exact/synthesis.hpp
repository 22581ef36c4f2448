// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/active_set.hpp"
#include "detrame/metric/synthesis.hpp"

namespace detrame {

namespace exact {

/// Q = D^T D + alpha I, `width` columns at a time. A kernel of each_column.
template <class Scalar>
struct Gram {
  Scalar alpha;

  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index task, Scalar* scratch,
                                      MatrixView<Scalar const> D, MatrixView<Scalar> Q) const {
    constexpr Index width = Team::width;
    Index const first = task * width;
    Scalar* const atoms = scratch;                        // m x width
    Scalar* const products = scratch + D.rows() * width;  // k x width, and room for more rows
    Scalar const shift = alpha;
    load_columns(team, D, first, atoms);
    multiply(team, D, atoms, products);
    team.each(D.cols(), [=](Index i) {
      for (Index c = 0; c < width && first + c < Q.cols(); ++c)
        Q(i, first + c) = products[i * width + c] + (i == first + c ? shift : Scalar(0));
    });
  }
};

/// One task: `width` columns. A kernel of each_column.
template <class Activation, class Scalar>
struct SynthesisTask {
  ActiveSet<Activation> solve;
  Scalar alpha;

  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index task, Scalar* scratch,
                                      MatrixView<Scalar const> D, MatrixView<Scalar const> d,
                                      MatrixView<Scalar const> x, MatrixView<Scalar const> Q,
                                      MatrixView<Scalar const> beta, MatrixView<Scalar const> lambda,
                                      MatrixView<Scalar> u, MatrixView<Scalar> report) const {
    solve(team, task * Team::width, scratch, SynthesisData<Scalar>{D, d, x, alpha}, Q, beta, lambda, u,
          report);
  }
};

}  // namespace exact

/// The exact solution of the synthesis problem, for any penalty in place of the paper's.               (M1)
///
///   M_D(x) = argmin_a  1/2 |x - D a|^2 + alpha/2 |a|^2 + <d, a> + psi(a)
///
/// Shapes    D: m x k.  d: k x 1.  X: m x N, u: k x N, a column a sample.  Of synthesis, D, alpha and d are read;
///           lambda and beta are psi's.
/// Requires  as `Synthesis` and exact_prox.
/// Ensures   as exact_prox, with r = D^T x - d for Q z: neither z nor Q^-1 is formed, and the certificate goes
///           through D twice, not through D^T D. root_i^2 = |D_i|^2 + alpha + beta_i, and in t, |x|_2 + |d|_inf
///           stands for |root o z|_1.
/// Adjoint   exact_synthesis_pullback (A3)
/// Cost      m k^2 multiply-adds for D^T D, once a call; then as exact_prox.
/// Tested    tests/exact/active_set_test.cpp, tests/exact/theorems_test.cpp
template <Backend B, Penalty Psi>
void exact_synthesis(B& backend, Synthesis<B> const& synthesis, Psi const& psi, typename B::Input X,
                     ExactResult<B>& result, ExactOptions options = {}) {
  using View = typename B::View;
  using ConstView = typename B::ConstView;
  using Scalar = typename B::Scalar;
  using Team = typename B::Team;
  using Activation = typename Psi::Activation;
  using Solver = exact::ActiveSet<Activation>;
  ConstView const x = X, D = synthesis.D, d = synthesis.d;
  synthesis.check("exact_synthesis");
  Index const m = D.rows(), k = D.cols(), N = x.cols();
  if (x.rows() != m || psi.dim() != k)
    throw ShapeError(
        message("exact_synthesis: X has ", x.rows(), " rows, psi has ", psi.dim(), ", D is ", m, " x ", k));
  bool const warm = exact::prepare(backend, "exact_synthesis", k, N, options, result);
  auto const frame = backend.lane().frame();
  View const Q = backend.lane().scratch(k, k);  // k x k
  View const report = backend.lane().scratch(Index(exact::Report::count), N);
  if (N > 0)
    each_column(backend, (k + Team::width - 1) / Team::width, (m + k + Team::height) * Team::width,
                exact::Gram<Scalar>{synthesis.alpha}, D, Q);
  each_column(backend, (N + Team::width - 1) / Team::width, Solver::template scratch_size<Team>(k, m + k),
              exact::SynthesisTask<Activation, Scalar>{{warm, options.pivot_limit}, synthesis.alpha}, D, d, x,
              ConstView(Q), psi.beta(), psi.lambda(), View(result.u), report);
  exact::finish(backend, synthesis.alpha, psi.beta(), report, result);
}

/// The same, as a value.
template <Backend B, Penalty Psi>
ExactResult<B> exact_synthesis(B& backend, Synthesis<B> const& synthesis, Psi const& psi, typename B::Input X,
                               ExactOptions options = {}) {
  ExactResult<B> result;
  exact_synthesis(backend, synthesis, psi, std::move(X), result, options);
  return result;
}

/// The same with the paper's penalty, of synthesis.lambda and synthesis.beta.
template <Backend B>
ExactResult<B> exact_synthesis(B& backend, Synthesis<B> const& synthesis, typename B::Input X,
                               ExactOptions options = {}) {
  return exact_synthesis(backend, synthesis, synthesis.penalty(backend), std::move(X), options);
}

}  // namespace detrame
