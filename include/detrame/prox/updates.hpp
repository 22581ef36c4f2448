// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/metric/tie.hpp"

/// The updates behind the recursions: U <- the next iterate, given V = Q (U - Z), where `active` is not 0.
namespace detrame::inline DETRAME_ABI::formula {

/// A proximal step of eq. (34), where `active` is not 0:  u <- A(h u - s v, b),  with v = (Q (u - z))_i and
/// h, s, b = theta, gamma, gamma lambda, each over theta + gamma beta.
template <class Rule>
struct ProximalStep {
  Rule rule;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& u, Scalar v, Scalar h, Scalar s, Scalar b,
                                      Scalar active) const {
    u = active != Scalar(0) ? rule(h * u - s * v, b) : u;
  }
};

/// The same from y = u + momentum (u - u_last), whose gradient is affine: v + momentum (v - v_last).
template <class Rule, class Scalar>
struct AcceleratedStep {
  Rule rule;
  Scalar momentum;
  DETRAME_HOST_DEVICE void operator()(Scalar& u, Scalar& u_last, Scalar v, Scalar& v_last, Scalar h, Scalar s,
                                      Scalar b, Scalar active) const {
    Scalar const y = u + momentum * (u - u_last), v_y = v + momentum * (v - v_last);
    u_last = u;
    v_last = v;
    u = active != Scalar(0) ? rule(h * y - s * v_y, b) : u;
  }
};

}  // namespace detrame::inline DETRAME_ABI::formula

namespace detrame::inline DETRAME_ABI::detail {

/// The diagonal numbers of eq. (34): u <- A(h u - s v, b).
template <Penalty P>
struct StepVectors {
  using B = typename P::Backend;
  using Scalar = typename B::Scalar;
  typename P::Activation rule;
  Matrix<B> h, s, b;  // k x 1

  StepVectors(B& backend, P const& psi, Step<B> const& step) : rule(psi.activation()) {
    HostMatrix<Scalar> const Theta = to_host(backend, step.Theta);  // k x 1
    HostMatrix<Scalar> const lambda = to_host(backend, psi.lambda()),
                             beta = to_host(backend, psi.beta());  // k x 1
    auto const column = [&](auto const& entry) {
      return to_device(backend, host_matrix<Scalar>(Theta.rows(), 1, [&](Index i, Index) {
                         return entry(i, Theta(i, 0) + step.gamma * beta(i, 0));
                       }));
    };
    h = column([&](Index i, Scalar S) { return Theta(i, 0) / S; });
    s = column([&](Index, Scalar S) { return step.gamma / S; });
    b = column([&](Index i, Scalar S) { return formula::tied_threshold(step.gamma * lambda(i, 0), S); });
  }
};

/// All rows at once: the form (20), since h o z + W~ (u - z) = S^{-1} (Theta u - gamma Q (u - z)).       (M5)
template <Penalty P>
class SimultaneousUpdates {
 public:
  using B = typename P::Backend;

  SimultaneousUpdates(B& backend, P const& psi, Step<B> const& step) : vectors_(backend, psi, step) {}

  void advance(B& backend, View<B> U, View<B> V, ConstView<B> active) {
    ConstView<B> const h = vectors_.h, s = vectors_.s, b = vectors_.b;
    each_chunk(backend, Batch{U.cols()}, 2 * U.rows(), [&](typename B::Lane& lane, Columns c) {
      each(lane, formula::ProximalStep<typename P::Activation>{vectors_.rule}, columns(U, c),
           ConstView<B>(columns(V, c)), PerRow{h}, PerRow{s}, PerRow{b}, PerColumn{columns(active, c)});
    });
  }

 private:
  StepVectors<P> vectors_;
};

/// The same from the extrapolated point.                                                                 (C5)
template <Penalty P>
class AcceleratedUpdates {
 public:
  using B = typename P::Backend;
  using Scalar = typename B::Scalar;

  AcceleratedUpdates(B& backend, P const& psi, Step<B> const& step, Index N)
      : vectors_(backend, psi, step),
        U_last_(zeros(backend, psi.dim(), N)),
        V_last_(zeros(backend, psi.dim(), N)) {}

  void advance(B& backend, View<B> U, View<B> V, ConstView<B> active) {
    double const s_next = (1 + std::sqrt(1 + 4 * s_ * s_)) / 2;
    auto const momentum = static_cast<Scalar>((s_last_ - 1) / s_);  // 0 in the first two updates
    s_last_ = s_;
    s_ = s_next;
    ConstView<B> const h = vectors_.h, s = vectors_.s, b = vectors_.b;
    View<B> const U_last = U_last_, V_last = V_last_;  // k x N
    each_chunk(backend, Batch{U.cols()}, 4 * U.rows(), [&](typename B::Lane& lane, Columns c) {
      each(lane, formula::AcceleratedStep<typename P::Activation, Scalar>{vectors_.rule, momentum},
           columns(U, c), columns(U_last, c), ConstView<B>(columns(V, c)), columns(V_last, c), PerRow{h},
           PerRow{s}, PerRow{b}, PerColumn{columns(active, c)});
    });
  }

 private:
  StepVectors<P> vectors_;
  Matrix<B> U_last_, V_last_;  // k x N
  double s_last_ = 1, s_ = 1;
};

/// One sweep of a column: v = Q (u - z) follows every change of u, so row i sees the rows before it.     (M4)
/// Scratch: two scalars, the changes of this row and of the last.
template <class Rule>
struct SweepColumn {
  Rule rule;
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar* scratch, MatrixView<Scalar const> Q,
                                      MatrixView<Scalar const> lambda, MatrixView<Scalar const> beta,
                                      MatrixView<Scalar> U, MatrixView<Scalar> V,
                                      MatrixView<Scalar const> active) const {
    if (active(0, j) == Scalar(0)) return;
    Index const kg = Q.rows();  // Q: kg x k, blocks side by side
    Rule const A = rule;
    for (Index i = 0; i < U.rows(); ++i) {
      Index const first = i - i % kg;
      Scalar* const change = scratch + i % 2;
      team.once([=] {
        Scalar const q_ii = Q(i - first, i), s = q_ii + beta(i, 0), u = U(i, j);
        U(i, j) = A((q_ii * u - V(i, j)) / s, formula::tied_threshold(lambda(i, 0), s));
        *change = U(i, j) - u;
      });
      if (*change == Scalar(0)) continue;
      team.each(kg, [=](Index l) { V(first + l, j) += *change * Q(l, i); });
    }
  }
};

/// Row after row.
template <Metric M, Penalty P>
class SequentialUpdates {
 public:
  using B = typename P::Backend;

  SequentialUpdates(B&, M const& Q, P const& psi)
      : rule_(psi.activation()), Q_(entries_of("GaussSeidel", Q)), lambda_(psi.lambda()), beta_(psi.beta()) {}

  void advance(B& backend, View<B> U, View<B> V, ConstView<B> active) {
    each_column(backend, U.cols(), 2, SweepColumn<typename P::Activation>{rule_}, Q_, lambda_, beta_, U, V,
                active);
  }

 private:
  typename P::Activation rule_;
  ConstView<B> Q_, lambda_, beta_;
};

}  // namespace detrame::inline DETRAME_ABI::detail
