// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "detrame/core/limits.hpp"
#include "detrame/metric/concept.hpp"
#include "detrame/metric/entries.hpp"

namespace detrame::inline DETRAME_ABI {

namespace formula {

/// The threshold gamma lambda / s of a row, s = theta + gamma beta: 0 where s is infinite, since u is 0 there
/// for every lambda.
template <class Scalar>
DETRAME_HOST_DEVICE constexpr Scalar tied_threshold(Scalar gamma_lambda, Scalar s) {
  return s > limits::largest<Scalar> ? Scalar(0) : gamma_lambda / s;
}

/// h <- theta / (theta + gamma beta), b <- gamma lambda / (theta + gamma beta)
template <class Scalar>
struct TiedShrinkage {
  Scalar gamma;
  DETRAME_HOST_DEVICE void operator()(Scalar& h, Scalar& b, Scalar theta, Scalar lambda, Scalar beta) const {
    Scalar const s = theta + gamma * beta;
    h = theta / s;
    b = tied_threshold(gamma * lambda, s);
  }
};

/// w_il <- (theta_i delta_il - gamma q_il) / (theta_i + gamma beta_i); the diagonal begins in column `first`.
template <class Scalar>
struct TiedWeight {
  Scalar gamma;
  Index first = 0;
  DETRAME_HOST_DEVICE void operator()(Index i, Index l, Scalar& w, Scalar q, Scalar theta,
                                      Scalar beta) const {
    w = ((first + i == l ? theta : Scalar(0)) - gamma * q) / (theta + gamma * beta);
  }
};

}  // namespace formula

/// The parameters of the recursion of eq. (20), free or tied:                                          (M5)
///
///   u_{t+1} = A(h o z + W~ (u_t - z), b),   A the rule of a penalty, such as relu(t - b)            (M9)
///
/// Shapes    W_tilde: in the layout of structure (kg x k for diagonal blocks). h, b: k x 1.
template <Backend B, Structure S = DenseBlocks>
struct Recurrence {
  S structure;
  Matrix<B> W_tilde, h, b;

  Index dim() const { return h.rows(); }

  /// Throws ShapeError where the parts do not fit, DomainError where the structure does not.
  void check(char const* who) const {
    Index const k = dim();
    structure.check(who, k);
    require_shape(who, "W_tilde", W_tilde, structure.weight_rows(k), structure.weight_cols(k));
    require_shape(who, "h", h, k, 1);
    require_shape(who, "b", b, k, 1);
  }
};

/// A step of the preconditioned forward-backward recursion: gamma > 0 and the diagonal Theta > 0.       (M6)
/// Shapes    Theta: k x 1.
template <Backend B>
struct Step {
  typename B::Scalar gamma;
  Matrix<B> Theta;
};

/// gamma and Theta = diag(Q). W~ has a zero diagonal where gamma = 1. It need not converge.             (M7)
template <Backend B, Metric M>
Step<B> diagonal_step(B& backend, M const& Q, typename B::Scalar gamma) {
  return {gamma, diagonal(backend, Q)};
}

/// The paper's own step, gamma = 1 and Theta = diag(Q).                                                (M7)
template <Backend B, Metric M>
Step<B> coordinate_step(B& backend, M const& Q) {
  return diagonal_step(backend, Q, typename B::Scalar(1));
}

/// gamma = 1 and Theta = row sums of |Q|: Q <= Theta (Gershgorin), so the recursion always contracts.   (C6)
template <Backend B, Metric M>
Step<B> gershgorin_step(B& backend, M const& Q) {
  return {typename B::Scalar(1), absolute_row_sums(backend, Q)};
}

/// The tied parameters of eq. (34), written where the caller says: nothing is checked or allocated.     (M6)
/// Shapes    Q, W_tilde: as structure says, kg x (taps k).  lambda, beta, Theta, h, b: k x 1.
template <Backend B, Structure S>
void tie(B& backend, S const& structure, ConstView<B> Q, ConstView<B> lambda, ConstView<B> beta,
         typename B::Scalar gamma, ConstView<B> Theta, View<B> W_tilde, View<B> h, View<B> b) {
  using Scalar = typename B::Scalar;
  Index const kg = Q.rows(), width = kg * structure.taps();
  each(backend.lane(), formula::TiedShrinkage<Scalar>{gamma}, h, b, Theta, lambda, beta);
  for (Index g = 0; g < structure.groups; ++g)
    each_indexed(backend.lane(), formula::TiedWeight<Scalar>{gamma, structure.taps() / 2 * kg},
                 W_tilde.middle_cols(g * width, width), Q.middle_cols(g * width, width),
                 PerRow{Theta.middle_rows(g * kg, kg)}, PerRow{beta.middle_rows(g * kg, kg)});
}

namespace detail {
/// Refuses what tie cannot take: sizes, gamma and Theta that are not positive.
template <Backend B, Metric M, Penalty Psi>
void check_tie(B& backend, char const* who, M const& Q, Psi const& psi, Step<B> const& step) {
  using Scalar = typename B::Scalar;
  Index const k = Q.dim();
  entries_of(who, Q);
  if (psi.dim() != k) throw ShapeError(message(who, ": psi has ", psi.dim(), " rows, Q is ", k, " x ", k));
  if (step.Theta.rows() != k || step.Theta.cols() != 1)
    throw ShapeError(
        message(who, ": Theta is ", step.Theta.rows(), " x ", step.Theta.cols(), ", Q is ", k, " x ", k));
  if (!(step.gamma > Scalar(0))) throw DomainError(message(who, ": gamma = ", step.gamma, ", must be > 0"));
  HostMatrix<Scalar> const Theta = to_host(backend, step.Theta);  // k x 1
  for (Index i = 0; i < k; ++i)
    if (!(Theta(i, 0) > Scalar(0)))
      throw DomainError(message(who, ": Theta(", i, ") = ", Theta(i, 0), ", must be > 0"));
}
}  // namespace detail

/// The recursion that approximates prox^Q_psi with a given step: eq. (34).                             (M6)
///
///   S = Theta + gamma beta,   W~ = S^{-1} (Theta - gamma Q),   h = Theta / S,   b = gamma lambda / S
///
/// Shapes    Q: k x k.  step.Theta: k x 1.  The structure of W~ is that of Q, so that h and b of a
///           convolution are numbers a channel.
/// Requires  sizes that agree, else ShapeError; gamma > 0, Theta > 0, else DomainError.
/// Ensures   (1) the fixed points of the recursion are prox^Q_psi(z) alone, whatever the step; that it
///               converges is another claim, with its own certificate (C1).
///           (2) with coordinate_step, eq. (24) corrected: a diagonal of exact zeros,
///               w_il = -q_il / (q_ii + beta_i).                                                     (M7, E4)
///           (3) h o z - W~ z = gamma S^{-1} Q z: with Q z = D^T x - d, no Q^{-1} is ever needed.
/// Adjoint   tie_pullback
/// Cost      5 k kg flops; allocates the result.
/// Source    docs/maths.md (M6), (M7)
/// Tested    tests/metric/recurrence_test.cpp
template <Backend B, Metric M, Penalty Psi>
auto tie(B& backend, M const& Q, Psi const& psi, Step<B> const& step) {
  detail::check_tie(backend, "tie", Q, psi, step);
  Recurrence<B, decltype(Q.structure())> out{Q.structure(), {}, {}, {}};
  resize(backend, out.W_tilde, Q.weights().rows(), Q.weights().cols());
  resize(backend, out.h, Q.dim(), 1);
  resize(backend, out.b, Q.dim(), 1);
  tie(backend, out.structure, Q.weights(), psi.lambda(), psi.beta(), step.gamma, step.Theta, out.W_tilde,
      out.h, out.b);
  return out;
}

}  // namespace detrame::inline DETRAME_ABI
