// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/operator/dense_blocks.hpp"

namespace detrame {

/// A penalty psi on R^k: separable, closed, convex, with a closed proximity operator.                  (M1)
///
///   psi(u) = sum_i psi_i(u_i),   psi_i(u) = lambda_i |u| + beta_i/2 u^2  (+ indicator(u >= 0))
///   prox_{gamma psi_i / theta}(t) = Activation{}(h t, b),   h = theta / (theta + gamma beta_i),
///                                                           b = gamma lambda_i / (theta + gamma beta_i)
///
/// Everything numerical about psi is in its two vectors; which of the two penalties it is, in Activation:
/// u = A(t, b) with du/dt = 1[u != 0] and du/db = -sign(u), where the derivative at a kink is 0.
namespace has {

template <class P>
concept activation = requires(typename P::Backend::Scalar t) {
  { typename P::Activation{}(t, t) } -> std::same_as<typename P::Backend::Scalar>;
  { P::Activation::two_sided } -> std::convertible_to<bool>;
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

/// A metric |v|_Q^2 = <v, Q v>, with Q symmetric and positive definite: on R^k, or, where its structure mixes
/// the unit() sites of a sample, on R^{k unit()}; dim() is k.                                            (M3)
///
/// Laws (tests/laws/metric_laws.hpp): Q is symmetric; <v, Q v> >= lambda_min |v|^2 with lambda_min > 0;
/// apply, diagonal and absolute_row_sums are those of dense; weights hold Q in the layout of structure.
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
concept metric_entries = requires(M const& Q, typename M::Backend& b) {
  { Q.diagonal(b) } -> std::same_as<Matrix<typename M::Backend>>;
  { Q.absolute_row_sums(b) } -> std::same_as<Matrix<typename M::Backend>>;
  { Q.dense(b) } -> std::same_as<Matrix<typename M::Backend>>;
};

template <class M>
concept lambda_min = requires(M const& Q) {
  { Q.lambda_min() } -> std::same_as<typename M::Backend::Scalar>;
};

}  // namespace has

template <class M>
concept Metric = Backend<typename M::Backend> && has::metric_layout<M> && has::metric_apply<M> &&
                 has::metric_entries<M> && has::lambda_min<M>;

/// A metric whose problems are columns, each on its own.
template <class M>
concept ColumnMetric = Metric<M> && requires(M const& Q) {
  { Q.structure() } -> std::same_as<DenseBlocks>;
};

}  // namespace detrame
