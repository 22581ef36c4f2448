// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/operator/dense_blocks.hpp"

namespace detrame::inline DETRAME_ABI {

/// A penalty psi on R^k: separable, closed, convex, with a closed proximity operator.                  (M1)
///
///   psi(u) = sum_i lambda_i rho(u_i) + beta_i/2 u_i^2
///   prox_{gamma psi_i / theta}(t) = A(h t, b),   h = theta / (theta + gamma beta_i),
///                                                b = gamma lambda_i / (theta + gamma beta_i)
///
/// rho is what the rule A = psi.activation() says, a small copyable object; it may take the value infinity (u
/// >= 0, a box). What psi owes, by name:
///
///   value(lane, U, out)            out_j = psi(u_j), infinity outside the domain; 0 times infinity counts 0
///   beta()                         k x 1, the curvature: with the metric's Q, H = Q + diag(beta) is that of
///                                  the whole problem, and lambda_min(Q) + min beta its modulus; infinity
///                                  holds u_i as an infinite lambda_i does
///   lambda()                       k x 1, the weights of rho; infinity holds u_i where rho is least
///   A(t, b)                        argmin_u 1/2 (u - t)^2 + b rho(u), b >= 0; b = 0 projects on the domain
///   A.curvature(u)                 rho''(u): 0 where rho is a line, infinity at a kink; at a jump of rho''
///                                  either one
///   A.times_slope(v, u, b)         v times the derivative of A in t, as a function of the result:
///                                  v / (1 + b rho''(u)), at a kink 0. That in b is -A.subgradient(u, 0, 1)
///                                  times as much
///   A.subgradient(u, g, lambda)    the element of least norm of g + lambda d rho(u), infinite outside the
///                                  domain, not finite where g is not: the problem is solved where it is 0
///   A.kink(u, p)                   the next kink of rho, or jump of rho'', from u on in the direction of
///                                  p != 0, else infinity of p's sign
///   A.margin(u, g, lambda)         the distance of a solved (u, g) from another curvature, at least 0: in
///                                  the unit of u where it is finite, else in that of g
///   A.scaled(power)                the rule of 2^power rho(u 2^-power), that of codes in another unit:
///                                  bounds times 2^power, weights as they are; what underflows may be lost
///   A.unit(power)                  the power for codes, where the data alone ask for `power`: one with which
///                                  A.scaled overflows nowhere near them
///
/// A.subgradient(u, g, lambda) has the unit of g and lambda alone: u and A in one unit, whichever.
///
/// A travels by value, into kernels of a device too. A rule without a curvature (piecewise linear, as
/// shrinkages and boxes are) and one with it (Huber's) are solved alike.
///
/// Laws: tests/exact/penalty_test.cpp runs them on those of penalty.hpp.
namespace has {

template <class P>
concept activation = requires(P const& psi, typename P::Activation const& A, typename P::Backend::Scalar t) {
  { psi.activation() } -> std::same_as<typename P::Activation>;
  { A(t, t) } -> std::same_as<typename P::Backend::Scalar>;
  { A.curvature(t) } -> std::same_as<typename P::Backend::Scalar>;
  { A.times_slope(t, t, t) } -> std::same_as<typename P::Backend::Scalar>;
  { A.subgradient(t, t, t) } -> std::same_as<typename P::Backend::Scalar>;
  { A.kink(t, t) } -> std::same_as<typename P::Backend::Scalar>;
  { A.margin(t, t, t) } -> std::same_as<typename P::Backend::Scalar>;
  { A.scaled(int{}) } -> std::same_as<typename P::Activation>;
  { A.unit(int{}) } -> std::same_as<int>;
};

template <class P>
concept penalty_vectors = requires(P const& psi) {
  { psi.dim() } -> std::same_as<Index>;
  { psi.lambda() } -> std::same_as<ConstView<typename P::Backend>>;
  { psi.beta() } -> std::same_as<ConstView<typename P::Backend>>;
};

template <class P>
concept penalty_value =
    requires(P const& psi, typename P::Backend::Lane& lane, ConstView<typename P::Backend> U,
             View<typename P::Backend> out) { psi.value(lane, U, out); };

}  // namespace has

template <class P>
concept Penalty =
    Backend<typename P::Backend> && has::activation<P> && has::penalty_vectors<P> && has::penalty_value<P>;

/// A penalty with rho(u) = |u|, on all u or (not two_sided) on u >= 0: its only kink is 0, where a basis can
/// say which entries are held.
template <class P>
concept Shrinkage = Penalty<P> && requires {
  { P::Activation::two_sided } -> std::convertible_to<bool>;
};

/// A metric |v|_Q^2 = <v, Q v>, with Q symmetric and positive definite: on R^k, or, where its structure mixes
/// the unit() sites of a sample, on R^{k unit()}.                                                        (M3)
///
///   dim()               k
///   structure()         which map the weights stand for, and on how many sites
///   weights()           Q in the layout of structure; empty where Q can be applied only
///   apply(lane, V, QV)  QV = Q V
///   lambda_min()        a lower bound of the eigenvalues of Q, > 0
///
/// What else is asked of Q follows from these: diagonal, absolute_row_sums and dense (metric/entries.hpp).
///
/// Laws (tests/laws/metric_laws.hpp): Q is symmetric; <v, Q v> >= lambda_min |v|^2 with lambda_min > 0;
/// apply, diagonal and absolute_row_sums are those of dense.
namespace has {

template <class M>
concept metric_layout = requires(M const& Q) {
  { Q.dim() } -> std::same_as<Index>;
  { Q.structure() } -> Structure;
  { Q.weights() } -> std::same_as<ConstView<typename M::Backend>>;
};

template <class M>
concept metric_apply = requires(M const& Q, typename M::Backend::Lane& lane, ConstView<typename M::Backend> V,
                                View<typename M::Backend> QV) { Q.apply(lane, V, QV); };

template <class M>
concept lambda_min = requires(M const& Q) {
  { Q.lambda_min() } -> std::same_as<typename M::Backend::Scalar>;
};

}  // namespace has

template <class M>
concept Metric =
    Backend<typename M::Backend> && has::metric_layout<M> && has::metric_apply<M> && has::lambda_min<M>;

/// A metric whose Q is in the memory of B.
template <class M, class B>
concept MetricOn = Metric<M> && std::same_as<typename M::Backend, B>;

/// A metric whose problems are columns, each on its own.
template <class M>
concept ColumnMetric = Metric<M> && requires(M const& Q) {
  { Q.structure() } -> std::same_as<DenseBlocks>;
};

}  // namespace detrame::inline DETRAME_ABI
