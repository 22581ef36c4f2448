// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "detrame/exact/synthesis_columns_adjoint.hpp"
#include "detrame/exact/synthesis_cotangent.hpp"
#include "detrame/exact/synthesis_images_adjoint.hpp"

namespace detrame::inline DETRAME_ABI {

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
  exact::reserve<B>(backend, bar, D, x, N);

  auto const frame = backend.lane().frame();
  View<B> const E = backend.lane().scratch(m, N);  // m x N
  exact::solve_adjoint<B>(backend, synthesis, psi, x, U, U_bar, bar.v, bar.X_bar, E, factors);
  each_column(backend, exact::CodeRows<Activation, Team>::groups(k), 0,
              exact::DictionaryGradient<Activation>{psi.activation()}, ConstView<B>(E),
              ConstView<B>(bar.X_bar), U, ConstView<B>(bar.v), View<B>(bar.D_bar), View<B>(bar.d_bar),
              View<B>(bar.lambda_rows), View<B>(bar.beta_rows));
  exact::add_up_penalty(backend, bar);
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
