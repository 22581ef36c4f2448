// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "detrame/exact/column_solver.hpp"
#include "detrame/exact/images.hpp"
#include "detrame/exact/metric_images.hpp"
#include "detrame/exact/search_faces.hpp"
#include "detrame/exact/synthesis_columns.hpp"
#include "detrame/exact/synthesis_images.hpp"
#include "detrame/metric/convolutional_synthesis.hpp"
#include "detrame/metric/synthesis.hpp"

namespace detrame::inline DETRAME_ABI {

namespace exact {

/// What the columns of a synthesis problem share; views of the lane's scratch, and of what is given.
template <Backend B>
SharedColumns<B> shared_by_synthesis(B& backend, ConstView<B> D, ConstView<B> d, typename B::Scalar alpha,
                                     ConstView<B> beta, ConstView<B> lambda) {
  using Team = typename B::Team;
  Index const m = D.rows(), k = D.cols();
  View<B> const Q = backend.lane().scratch(k, k);  // k x k
  ScaledAtoms<B> const atoms(backend, D, alpha);
  EntryWeights<B> const entry(backend, beta, lambda, 1, atoms.matrix);
  each_column(backend, (k + Team::width - 1) / Team::width, (m + k + Team::height) * Team::width,
              Gram<typename B::Scalar>{atoms.alpha}, atoms.D, Q);
  return {.lambda_min = alpha,
          .curvature = beta,
          .matrix = atoms.matrix,
          .alpha = atoms.alpha,
          .D = atoms.D,
          .d = d,
          .lengths = atoms.norms,
          .Q = Q,
          .beta = entry.beta,
          .lambda = entry.lambda};
}

/// The codes of columns that share D. X: m x N.
template <Backend B, class Activation>
void solve_synthesis(B& backend, char const* who, Activation activation, SharedColumns<B> const& shared,
                     ConstView<B> X, ExactOptions options, ExactResult<B>& result) {
  using Form = SynthesisColumns<typename B::Scalar>;
  solve_columns<Form>(backend, who, activation, shared, X.cols(), options, result,
                      {shared.alpha, shared.matrix}, Form::scratch_rows(shared.D.rows(), shared.D.cols()),
                      shared.D, shared.d, X, shared.lengths, shared.Q);
}

/// The codes of images; beta, lambda: k x 1.
template <Backend B, class Activation>
void solve_images(B& backend, ConvolutionalSynthesis<B> const& synthesis, Activation activation,
                  ConstView<B> beta, ConstView<B> lambda, Input<B> X, ExactResult<B>& result,
                  ExactOptions options) {
  using Solver = SearchFaces<Activation>;
  using Form = SynthesisImages<typename B::Scalar>;
  using Solve = OnBlocks<Form, Solver>;
  ConstView<B> const x = X;
  synthesis.check("exact_synthesis");
  Window const w = synthesis.window;
  Index const m = synthesis.channels(), k = synthesis.D.cols(), n = k * w.out_sites();
  if (x.rows() != m || x.cols() % w.sites() != 0)
    throw ShapeError(message("exact_synthesis: x is ", x.rows(), " x ", x.cols(), ", must have ", m,
                             " rows and images of ", w.sites(), " sites"));
  Index const images = x.cols() / w.sites();
  require_no_factors("exact_synthesis", options);
  bool const warm = prepare(backend, "exact_synthesis", k, images * w.out_sites(), options, result);
  Matrix<B> copy;
  auto& lane = backend.lane();
  View<B> const report = lane.scratch(Index(Report::count), images);
  ScaledAtoms<B> const atoms(backend, synthesis.D, synthesis.alpha);
  EntryWeights<B> const entry(backend, beta, lambda, w.out_sites(), atoms.matrix);
  each_column(backend, images, Solver::scratch_size(n, Form::scratch_rows(w, m)),
              Solve{{activation, warm, options.pivot_limit}, {w, atoms.alpha, atoms.matrix}}, entry.beta,
              entry.lambda, View<B>(result.u).reshaped(n, images), report, atoms.D, ConstView<B>(synthesis.d),
              by_image<B>(lane, x, w.sites(), copy, backend));
  finish(backend, synthesis.alpha, beta, ConstView<B>(report), result);
}

}  // namespace exact

/// The exact solution of the synthesis problem, for any penalty in place of the paper's.               (M1)
///
///   M_D(x) = argmin_a  1/2 |x - D a|^2 + alpha/2 |a|^2 + <d, a> + psi(a)
///
/// Shapes    D: m x k.  d: k x 1.  X: m x N, u: k x N, a column a sample.  Of synthesis, D, alpha and d are
///           read; lambda and beta are psi's.
/// Requires  as `Synthesis` and exact_prox.
/// Ensures   as exact_prox, with r = D^T x - d for Q z: neither z nor Q^-1 is formed, and the certificate
///           goes through D twice, not through D^T D. In t, |D_i| |x| + |d_i| stands for the terms of Q z. D
///           may have no row: then u is the code of -d alone.
/// Adjoint   exact_synthesis_pullback (A3)
/// Cost      m k^2 multiply-adds for D^T D, once a call; then as exact_prox, with 2 m k for D^T x and the
///           certificate.
/// Tested    tests/exact/active_set_test.cpp, tests/exact/support_set_test.cpp, tests/exact/theorems_test.cpp
template <Backend B, Penalty Psi>
void exact_synthesis(B& backend, Synthesis<B> const& synthesis, Psi const& psi, Input<B> X,
                     ExactResult<B>& result, ExactOptions options = {}) {
  ConstView<B> const x = X, D = synthesis.D;
  synthesis.check("exact_synthesis");
  Index const m = D.rows(), k = D.cols(), N = x.cols();
  if (x.rows() != m || psi.dim() != k)
    throw ShapeError(
        message("exact_synthesis: X has ", x.rows(), " rows, psi has ", psi.dim(), ", D is ", m, " x ", k));
  auto const frame = backend.lane().frame();
  exact::SharedColumns<B> shared{.lambda_min = synthesis.alpha, .curvature = psi.beta()};
  if (N > 0)
    shared = exact::formed_coarsely<B>(
        backend,
        exact::shared_by_synthesis<B>(backend, D, synthesis.d, synthesis.alpha, psi.beta(), psi.lambda()));
  exact::solve_synthesis(backend, "exact_synthesis", psi.activation(), shared, x, options, result);
}

/// The same, as a value.
template <Backend B, Penalty Psi>
ExactResult<B> exact_synthesis(B& backend, Synthesis<B> const& synthesis, Psi const& psi, Input<B> X,
                               ExactOptions options = {}) {
  ExactResult<B> result;
  exact_synthesis(backend, synthesis, psi, std::move(X), result, options);
  return result;
}

/// The same with the paper's penalty, of synthesis.lambda and synthesis.beta.
template <Backend B>
ExactResult<B> exact_synthesis(B& backend, Synthesis<B> const& synthesis, Input<B> X,
                               ExactOptions options = {}) {
  return exact_synthesis(backend, synthesis, synthesis.penalty(backend), std::move(X), options);
}

/// The exact solution of the convolutional synthesis problem, one strictly convex problem an image. (M1) (K4)
///
///   argmin_a  1/2 |x - D a|^2 + alpha/2 |a|^2 + <d, a> + psi(a)
///
/// Shapes    x: m x (sites images).  result.u: k x (out_sites images); in the result, "column" is an image.
///           psi: k rows, the same at every position.  Of synthesis, all but lambda and beta is read.
/// Requires  synthesis.check; x of m rows and whole images, and a guess of the code's shape where one is
///           used, else ShapeError; pivot_limit >= 0, else DomainError.
/// Ensures   as exact_prox in a convolutional metric; Q = D^T D + alpha I, whose diagonal varies from site to
///           site, is never formed.
/// Cost      products with D and D^T, of 2 taps m k flops a position each; `pivots` counts the pairs.
/// Source    docs/maths.md (M1), (K4)
/// Tested    tests/exact/convolutional_synthesis_test.cpp, tests/exact/penalty_test.cpp
template <Backend B, Penalty Psi>
void exact_synthesis(B& backend, ConvolutionalSynthesis<B> const& synthesis, Psi const& psi, Input<B> X,
                     ExactResult<B>& result, ExactOptions options = {}) {
  exact::require_rows("exact_synthesis", psi.dim(), synthesis.D.cols());
  auto const frame = backend.lane().frame();
  exact::solve_images(backend, synthesis, psi.activation(), psi.beta(), psi.lambda(), X, result, options);
}

/// The same with the paper's penalty, of synthesis.lambda and synthesis.beta.
template <Backend B>
void exact_synthesis(B& backend, ConvolutionalSynthesis<B> const& synthesis, Input<B> X,
                     ExactResult<B>& result, ExactOptions options = {}) {
  auto& lane = backend.lane();
  auto const frame = lane.frame();
  Index const k = synthesis.D.cols();
  exact::solve_images(backend, synthesis, formula::NonnegativeShrinkage{},
                      exact::constant<B>(lane, k, synthesis.beta),
                      exact::constant<B>(lane, k, synthesis.lambda), X, result, options);
}

/// The same, as a value.
template <Backend B>
ExactResult<B> exact_synthesis(B& backend, ConvolutionalSynthesis<B> const& synthesis, Input<B> X,
                               ExactOptions options = {}) {
  ExactResult<B> result;
  exact_synthesis(backend, synthesis, std::move(X), result, options);
  return result;
}

template <detail::NoBackend B, class... Rest>
auto exact_synthesis(B const&, Rest const&...) {
  return detail::explain<B>();
}

}  // namespace detrame::inline DETRAME_ABI
