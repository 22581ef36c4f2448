// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>

#include "detrame/metric/synthesis.hpp"
#include "detrame/prox/metric_prox.hpp"

namespace detrame::inline DETRAME_ABI {

namespace detail {

/// The problem of (M1) as what `Iteration` runs on: V = Q U - (D^T X - d), Q = D^T D + alpha I, r as in
/// MetricProblem.
///
///   t = p + min(shrinkage, p),   p = |D|^T (|D| |u| + |x|) + (alpha + beta) |u| + the share of d        (U1)
///   with u >= 0 the share of d is max(-d, 0), the shrinkage lambda + max(d, 0); else |d| and lambda
template <Backend B_, Penalty P>
class SynthesisProblem {
 public:
  using Backend = B_;
  using B = B_;
  using Scalar = typename B::Scalar;
  using Lane = typename B::Lane;
  static constexpr bool reach_from_terms = false;

  SynthesisProblem(B& backend, GramMetric<B> const& Q, P const& psi, ConstView<B> d, ConstView<B> X)
      : Q_(Q), psi_(psi), X_(X) {
    ConstView<B> const D = Q.D();
    resize(backend, magnitudes_, D.rows(), D.cols());
    each(backend.lane(), formula::StoreMagnitude{}, View<B>(magnitudes_), D);
    resize(backend, right_, D.cols(), X.cols());
    each_chunk(backend, batch(), working_set(), [&](Lane& lane, Columns c) {
      View<B> const R = columns(View<B>(right_), c);
      gemm(lane, 1, D, Op::transposed, columns(X, c), Op::none, 0, R);
      each(lane, formula::Subtract{}, R, PerRow{d});
    });
    auto const sizes = to_host(backend, ConstView<B>(magnitudes_)), d_host = to_host(backend, d);
    auto const lambda = to_host(backend, psi.lambda()), beta = to_host(backend, psi.beta());
    constexpr bool any_sign = !formula::one_sided<typename P::Activation>;
    Index const m = D.rows(), k = D.cols();
    HostMatrix<Scalar> sums(m, 1), share(k, 1), shrinkage(k, 1), weight(k, 1);  // sums = |D| 1
    for (Index i = 0; i < k; ++i)
      for (Index l = 0; l < m; ++l) sums(l, 0) += sizes(l, i);
    for (Index i = 0; i < k; ++i) {
      Scalar const d_i = d_host(i, 0), up = std::max(-d_i, Scalar(0)), down = std::max(d_i, Scalar(0));
      share(i, 0) = any_sign ? up + down : up;
      shrinkage(i, 0) = any_sign ? lambda(i, 0) : lambda(i, 0) + down;
      if (d_i != d_i) share(i, 0) = d_i;
      weight(i, 0) = Q.alpha() + beta(i, 0);
      Scalar row = std::isinf(beta(i, 0)) ? Scalar(0) : weight(i, 0);  // where u_i is held at 0
      for (Index l = 0; l < m; ++l) row += sizes(l, i) * sums(l, 0);
      slope_ = std::max(slope_, row);
    }
    slope_ *= std::sqrt(static_cast<Scalar>(k));
    seen_ = to_device(backend, host_matrix<Scalar>(m, 1, [&](Index l, Index) {
                        return sums(l, 0) == Scalar(0) ? Scalar(0) : Scalar(1);
                      }));
    share_ = to_device(backend, share);
    shrinkage_ = to_device(backend, shrinkage);
    weight_ = to_device(backend, weight);
    modulus_ = convexity_modulus(backend, Q, psi);
  }

  Index rows() const { return right_.rows(); }
  Scalar start() const { return nearest_to_0(psi_); }
  Batch batch() const { return batch_of(Q_.structure(), Q_.dim(), X_.cols(), 1); }
  Index working_set() const { return 6 * Q_.dim() + X_.rows(); }
  Scalar modulus() const { return modulus_; }

  void evaluate(Lane& lane, Columns c, ConstView<B> U, View<B> V) const {
    Q_.apply(lane, U, V);
    each(lane, formula::Subtract{}, V, columns(ConstView<B>(right_), c));
  }

  void residuals(Lane& lane, Columns c, PerSample<B>& samples, View<B> out, ConstView<B> U,
                 ConstView<B> V) const {
    subgradient_norms(lane, c, samples, out, psi_, U, V);
  }

  void terms(Lane& lane, Columns c, PerSample<B>& samples, View<B> out, ConstView<B> U) const {
    auto const frame = lane.frame();
    View<B> const sizes = lane.scratch(U.rows(), U.cols()), p = lane.scratch(U.rows(), U.cols());  // k x n
    View<B> const data = lane.scratch(X_.rows(), U.cols());                                        // m x n
    each(lane, formula::StoreMagnitude{}, sizes, U);
    each(lane, formula::StoreMagnitude{}, data, columns(X_, c));
    gemm(lane, 1, ConstView<B>(magnitudes_), Op::none, ConstView<B>(sizes), Op::none, 1, data);
    gemm(lane, 1, ConstView<B>(magnitudes_), Op::transposed, ConstView<B>(data), Op::none, 0, p);
    each(lane, formula::AddScaledMagnitude{}, p, U, PerRow{ConstView<B>(weight_)});
    each(lane, formula::Add{}, p, PerRow{ConstView<B>(share_)});
    samples.norms(lane, out, c, formula::CappedSum{}, ConstView<B>(p), PerRow{ConstView<B>(shrinkage_)});
  }

  /// |D|^T |x| is 0 where x is 0 in each row in which D is not, and nowhere else but by underflow.
  void given(Lane& lane, Columns c, PerSample<B>& samples, View<B> out) const {
    samples.maxima(lane, out, c, formula::MagnitudeWhere{}, columns(X_, c), PerRow{ConstView<B>(seen_)});
  }

  Scalar rounding() const { return rounding_of<Scalar>(Q_.dim()); }
  Scalar slope() const { return slope_; }
  Scalar reach_divisor() const { return modulus_ * std::sqrt(std::numeric_limits<Scalar>::epsilon()); }

 private:
  GramMetric<B> const& Q_;
  P const& psi_;
  ConstView<B> X_;                        // m x N
  Matrix<B> magnitudes_, right_;          // |D|: m x k; D^T X - d: k x N
  Matrix<B> seen_;                        // m x 1: 1 where a row of D is not 0, else 0
  Matrix<B> share_, shrinkage_, weight_;  // k x 1
  Scalar modulus_, slope_ = Scalar(0);
};

}  // namespace detail

/// The codes of x in a dictionary, by a recursion from its start (U1), with no detour over z = F x - c.
///                                                                                                  (M1) (M2)
///
///   M_D(x) = argmin_u  1/2 |x - D u|^2 + alpha/2 |u|^2 + <d, u> + psi(u)
///
/// Shapes    D: m x k.  x: m x N, a column a sample.  u: k x N. Of `synthesis`, D, alpha and d are read;
///           lambda and beta are psi's.
/// Requires  sizes that agree, else ShapeError; what GramMetric, Synthesis and Until ask for, else
///           DomainError.
/// Ensures   (1) those of metric_prox, with t(0) = p + min(shrinkage, p); for u >= 0,
///               p = |D|^T |x| + max(-d, 0) and shrinkage = lambda + max(d, 0); for any other, from 0,
///               p = |D|^T |x| + |d| and shrinkage = lambda.                                             (U1)
///           (2) D and x times s, alpha, beta, lambda and d times s^2: the same bits of u, statuses and
///               counts; x, lambda and d times s: s u, and the same; s a power of two.                   (U2)
/// Cost      that of metric_prox; Q is formed once, nothing is inverted. Workspace k N scalars more, for
///           D^T x - d.
/// Source    docs/maths.md (M1), (M2), (C4), (U1)
/// Tested    tests/prox/synthesis_prox_test.cpp
template <Backend B, Penalty P, Scheme<GramMetric<B>, P> R>
ProxResult<B> synthesis_prox(B& backend, Synthesis<B> const& synthesis, P const& psi, Input<B> x,
                             R const& scheme, Until const& until = {}) {
  ConstView<B> const X = x, d = synthesis.d;
  auto const tolerance = tolerance_of<typename B::Scalar>("synthesis_prox", until);
  synthesis.check("synthesis_prox");
  if (X.rows() != synthesis.D.rows())
    throw ShapeError(message("synthesis_prox: x has ", X.rows(), " rows, D has ", synthesis.D.rows()));
  if (psi.dim() != synthesis.D.cols())
    throw ShapeError(
        message("synthesis_prox: psi has ", psi.dim(), " rows, D has ", synthesis.D.cols(), " atoms"));
  auto const Q = synthesis.metric(backend);
  detail::SynthesisProblem<B, P> const problem(backend, Q, psi, d, X);
  return detail::iterate_problem(backend, problem, Q, psi, scheme, tolerance, until.limit);
}

template <detail::NoBackend B, class... Rest>
auto synthesis_prox(B const&, Rest const&...) {
  return detail::explain<B>();
}

}  // namespace detrame::inline DETRAME_ABI
