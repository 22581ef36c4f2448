// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "detrame/core/limits.hpp"
#include "detrame/metric/tie.hpp"

namespace detrame::inline DETRAME_ABI {

namespace formula {

/// q_bar <- -gamma w_bar / (theta + gamma beta)
template <class Scalar>
struct TiedWeightPullback {
  Scalar gamma;
  DETRAME_HOST_DEVICE void operator()(Scalar& q_bar, Scalar w_bar, Scalar theta, Scalar beta) const {
    q_bar = -gamma * w_bar / (theta + gamma * beta);
  }
};

/// The rest of the adjoint of a row of tied parameters, given w = w_bar_ii and r = sum_l w_bar_il q_il.
/// gamma_bar is the row's share. Where lambda or beta is infinite, 0 times that counts 0.
template <class Scalar>
struct TiedRowPullback {
  Scalar gamma;
  DETRAME_HOST_DEVICE void operator()(Scalar& theta_bar, Scalar& lambda_bar, Scalar& beta_bar,
                                      Scalar& gamma_bar, Scalar theta, Scalar lambda, Scalar beta,
                                      Scalar h_bar, Scalar b_bar, Scalar w, Scalar r) const {
    Scalar const s = theta + gamma * beta;
    bool const held = s > limits::largest<Scalar>;
    Scalar const by_lambda = held || b_bar == Scalar(0) ? Scalar(0) : lambda * b_bar;
    Scalar const s_bar = -(theta * (w + h_bar) + gamma * (by_lambda - r)) / (s * s);
    theta_bar = (w + h_bar) / s + s_bar;
    lambda_bar = gamma * b_bar / s;
    beta_bar = gamma * s_bar;
    gamma_bar = (by_lambda - r) / s + (s_bar == Scalar(0) ? s_bar : beta * s_bar);
  }
};

/// q_bar_il <- q_bar_il + sign(q_il) (theta_bar_i + theta_bar_l) / 2
struct AddSigned {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& q_bar, Scalar q, Scalar row, Scalar column) const {
    Scalar const mean = (row + column) / Scalar(2);
    q_bar += q > Scalar(0) ? mean : (q < Scalar(0) ? -mean : Scalar(0));
  }
};

/// q_bar_ii <- q_bar_ii + theta_bar_i
struct AddToDiagonal {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Index i, Index l, Scalar& q_bar, Scalar theta_bar) const {
    if (i == l) q_bar += theta_bar;
  }
};

}  // namespace formula

/// The adjoint of `tie`, written where the caller says; returns gamma_bar. Nothing is checked or allocated
/// but scratch. All outputs are assigned, and Q_bar is symmetrised.
/// Shapes    Q, W_bar, Q_bar: as structure says, kg x (taps k).  All others: k x 1.
template <Backend B, Structure S>
typename B::Scalar tie_pullback(B& backend, S const& structure, ConstView<B> Q, ConstView<B> lambda,
                                ConstView<B> beta, typename B::Scalar gamma, ConstView<B> Theta,
                                ConstView<B> W_bar, ConstView<B> h_bar, ConstView<B> b_bar, View<B> Q_bar,
                                View<B> lambda_bar, View<B> beta_bar, View<B> Theta_bar) {
  using Scalar = typename B::Scalar;
  auto& lane = backend.lane();
  auto const frame = lane.frame();
  Index const kg = Q.rows(), k = Theta.rows(), width = kg * structure.taps();
  View<B> const w = lane.scratch(k, 1);                  // k x 1, the diagonal of W_bar
  View<B> const r = lane.scratch(k, 1);                  // k x 1, r_i = sum_l w_bar_il q_il
  View<B> const gamma_bar = lane.scratch(k, 1);          // k x 1, the rows' shares
  View<B> const one_sided = lane.scratch(kg, Q.cols());  // kg x (taps k), Q_bar before it is symmetrised
  diagonal(backend, structure, W_bar, w);
  each(lane, formula::Fill<Scalar>{Scalar(0)}, r);
  for (Index g = 0; g < structure.groups; ++g) {
    ConstView<B> const W_bar_g = W_bar.middle_cols(g * width, width);  // kg x width
    row_sums(lane, r.middle_rows(g * kg, kg), formula::Product{}, W_bar_g, Q.middle_cols(g * width, width));
    each(lane, formula::TiedWeightPullback<Scalar>{gamma}, one_sided.middle_cols(g * width, width), W_bar_g,
         PerRow{Theta.middle_rows(g * kg, kg)}, PerRow{beta.middle_rows(g * kg, kg)});
  }
  each(lane, formula::TiedRowPullback<Scalar>{gamma}, Theta_bar, lambda_bar, beta_bar, gamma_bar, Theta,
       lambda, beta, h_bar, b_bar, w, r);
  symmetric_part(backend, structure, ConstView<B>(one_sided), Q_bar);
  return sum_to_host(lane, gamma_bar);
}

/// Cotangents of what `tie` reads.
/// Shapes    Q_bar: kg x (taps k), symmetric, in the layout of Q.  lambda_bar, beta_bar, Theta_bar: k x 1.
template <Backend B>
struct TieCotangent {
  Matrix<B> Q_bar, lambda_bar, beta_bar, Theta_bar;
  typename B::Scalar gamma_bar;
};

/// The gradient of <W~, W_bar> + <h, h_bar> + <b, b_bar> with respect to what W~, h and b are tied to.   (M6)
///
///   s_bar_i = -(sum_l w_bar_il w_il + h_bar_i h_i + b_bar_i b_i) / s_i
///   Q_bar = -gamma S^{-1} W_bar, symmetrised        Theta_bar = (diag(W_bar) + h_bar) / s + s_bar
///   lambda_bar = gamma b_bar / s                    beta_bar = gamma s_bar
///   gamma_bar = sum_i (lambda_i b_bar_i - sum_l w_bar_il q_il) / s_i + beta_i s_bar_i
///
/// Shapes    bar: as the Recurrence that tie returns.
/// Requires  as tie; bar of the shapes of tie's result, else ShapeError.
/// Ensures   <Q_bar, dQ> is the derivative in every symmetric direction dQ, of the kernel where Q is one.
///           Theta and gamma count as arguments of their own; where Theta is made of Q, add
///           coordinate_step_pullback or gershgorin_step_pullback.
/// Cost      about 6 taps k kg flops; allocates the result.
/// Tested    tests/metric/recurrence_test.cpp, tests/metric/convolutional_metric_test.cpp
template <Backend B, Metric M, Penalty Psi>
TieCotangent<B> tie_pullback(B& backend, M const& Q, Psi const& psi, Step<B> const& step,
                             Recurrence<B, decltype(std::declval<M>().structure())> const& bar) {
  detail::check_tie(backend, "tie_pullback", Q, psi, step);
  bar.check("tie_pullback");
  if (bar.dim() != Q.dim() || bar.structure != Q.structure())
    throw ShapeError(message("tie_pullback: bar has ", bar.dim(), " rows in ", bar.structure.groups,
                             " groups, Q has ", Q.dim(), " in ", Q.structure().groups));
  TieCotangent<B> out{};
  resize(backend, out.Q_bar, Q.weights().rows(), Q.weights().cols());
  for (auto* const v : {&out.lambda_bar, &out.beta_bar, &out.Theta_bar}) resize(backend, *v, Q.dim(), 1);
  out.gamma_bar =
      tie_pullback(backend, Q.structure(), Q.weights(), psi.lambda(), psi.beta(), step.gamma, step.Theta,
                   bar.W_tilde, bar.h, bar.b, out.Q_bar, out.lambda_bar, out.beta_bar, out.Theta_bar);
  return out;
}

/// Theta = diag(Q): Q_bar_ii += Theta_bar_i, in the middle tap of a kernel. Q_bar: as structure says.
template <Backend B, Structure S>
void coordinate_step_pullback(B& backend, S const& structure, ConstView<B> Theta_bar, View<B> Q_bar) {
  Index const kg = Q_bar.rows(), taps = structure.taps();
  for (Index g = 0; g < structure.groups; ++g)
    each_indexed(backend.lane(), formula::AddToDiagonal{}, Q_bar.middle_cols((g * taps + taps / 2) * kg, kg),
                 PerRow{Theta_bar.middle_rows(g * kg, kg)});
}

/// Theta_i = sum_l |q_il|, over the taps too: Q_bar_il += sign(q_il) (Theta_bar_i + Theta_bar_l) / 2, the
/// symmetrised adjoint; not differentiable where q_il = 0, and 0 there. Q, Q_bar: as structure says.
template <Backend B, Structure S>
void gershgorin_step_pullback(B& backend, S const& structure, ConstView<B> Q, ConstView<B> Theta_bar,
                              View<B> Q_bar) {
  auto& lane = backend.lane();
  auto const frame = lane.frame();
  View<B> const row = lane.scratch(1, Theta_bar.rows());  // 1 x k, Theta_bar^T
  transpose(backend, Theta_bar, row);
  Index const kg = Q.rows(), taps = structure.taps();
  for (Index block = 0; block < structure.groups * taps; ++block) {
    Index const first = block / taps * kg;
    each(lane, formula::AddSigned{}, Q_bar.middle_cols(block * kg, kg), Q.middle_cols(block * kg, kg),
         PerRow{Theta_bar.middle_rows(first, kg)}, PerColumn{row.middle_cols(first, kg)});
  }
}

}  // namespace detrame::inline DETRAME_ABI
