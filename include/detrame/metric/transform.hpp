// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/metric/synthesis.hpp"

namespace detrame::inline DETRAME_ABI {

/// The transform of Theorem 3.1: the affine map W x - c whose proximity operator in the metric Q is M_D. (M2)
/// Shapes    W: k x m.  c: k x 1.
template <Backend B>
struct Transform {
  Matrix<B> W, c;
};

namespace detail {
/// Q^{-1} of two right-hand sides side by side, k x (m + 1).
template <Backend B>
void gram_solve(B& backend, char const* who, GramMetric<B> const& Q, ConstView<B> rhs, View<B> out) {
  if (!definite_solve(backend, Q.weights(), rhs, out))
    throw DomainError(message(who, ": Q = D^T D + ", Q.alpha(), " I is not definite to working precision"));
}
}  // namespace detail

/// W and c of Theorem 3.1.                                                                             (M2)
///
///   W = Q^{-1} D^T,   c = Q^{-1} d,   Q = D^T D + alpha I:    M_D(x) = prox^Q_psi(W x - c)
///
/// Requires  as Synthesis, else ShapeError or DomainError; DomainError too where Q is singular to rounding.
/// Ensures   Q W = D^T and Q c = d up to rounding, k eps |Q|.
/// Adjoint   transform_pullback
/// Cost      2 m k^2 + k^3 / 3 + 2 k^2 (m + 1) flops; allocates.
/// Tested    tests/metric/recurrence_test.cpp (M2)
template <Backend B>
Transform<B> transform(B& backend, Synthesis<B> const& synthesis) {
  synthesis.check("transform");
  GramMetric<B> const Q = synthesis.metric(backend);
  Index const m = synthesis.D.rows(), k = synthesis.D.cols();
  Transform<B> out{zeros(backend, k, m), zeros(backend, k, 1)};
  auto& lane = backend.lane();
  auto const frame = lane.frame();
  View<B> const rhs = lane.scratch(k, m + 1);       // k x (m + 1), D^T beside d
  View<B> const solution = lane.scratch(k, m + 1);  // k x (m + 1), W beside c
  transpose(backend, synthesis.D, rhs.middle_cols(0, m));
  each(lane, formula::Assign{}, rhs.middle_cols(m, 1), synthesis.d);
  detail::gram_solve(backend, "transform", Q, rhs, solution);
  each(lane, formula::Assign{}, View<B>(out.W), solution.middle_cols(0, m));
  each(lane, formula::Assign{}, View<B>(out.c), solution.middle_cols(m, 1));
  return out;
}

/// Cotangents of what `transform` reads. Shapes: D_bar: m x k. d_bar: k x 1.
template <Backend B>
struct TransformCotangent {
  Matrix<B> D_bar, d_bar;
  typename B::Scalar alpha_bar;
};

/// The gradient of <W, W_bar> + <c, c_bar> with respect to D, d and alpha.                             (M2)
///
///   [V v] = Q^{-1} [W_bar c_bar],   Q_bar = -(V W^T + v c^T), symmetrised
///   D_bar = V^T + 2 D Q_bar         d_bar = v         alpha_bar = tr Q_bar
///
/// Shapes    bar: as Transform.
/// Requires  as transform; bar of the shapes of its result, else ShapeError.
/// Cost      about twice transform; allocates.
/// Tested    tests/metric/recurrence_test.cpp (M2)
template <Backend B>
TransformCotangent<B> transform_pullback(B& backend, Synthesis<B> const& synthesis, Transform<B> const& bar) {
  using Scalar = typename B::Scalar;
  Transform<B> const primal = transform(backend, synthesis);
  Index const m = synthesis.D.rows(), k = synthesis.D.cols();
  if (bar.W.rows() != k || bar.W.cols() != m || bar.c.rows() != k || bar.c.cols() != 1)
    throw ShapeError(message("transform_pullback: W_bar is ", bar.W.rows(), " x ", bar.W.cols(),
                             ", c_bar is ", bar.c.rows(), " x ", bar.c.cols(), ", D is ", m, " x ", k));
  GramMetric<B> const Q = synthesis.metric(backend);
  TransformCotangent<B> out{zeros(backend, m, k), zeros(backend, k, 1), Scalar(0)};
  auto& lane = backend.lane();
  auto const frame = lane.frame();
  View<B> const rhs = lane.scratch(k, m + 1);         // k x (m + 1), W_bar beside c_bar
  View<B> const V = lane.scratch(k, m + 1);           // k x (m + 1)
  View<B> const Wc = lane.scratch(k, m + 1);          // k x (m + 1), W beside c
  View<B> const one_sided = lane.scratch(k, k);       // k x k, -V Wc^T
  View<B> const Q_bar = lane.scratch(k, k);           // k x k
  View<B> const diagonal_Q_bar = lane.scratch(k, 1);  // k x 1
  each(lane, formula::Assign{}, rhs.middle_cols(0, m), bar.W);
  each(lane, formula::Assign{}, rhs.middle_cols(m, 1), bar.c);
  each(lane, formula::Assign{}, Wc.middle_cols(0, m), primal.W);
  each(lane, formula::Assign{}, Wc.middle_cols(m, 1), primal.c);
  detail::gram_solve(backend, "transform_pullback", Q, rhs, V);
  gemm(lane, -1, V, Op::none, Wc, Op::transposed, 0, one_sided);
  symmetric_part(backend, DenseBlocks{1}, ConstView<B>(one_sided), Q_bar);
  transpose(backend, V.middle_cols(0, m), out.D_bar);
  gram_pullback(backend, synthesis.D, Q_bar, out.D_bar);
  each(lane, formula::Assign{}, View<B>(out.d_bar), V.middle_cols(m, 1));
  diagonal(backend, DenseBlocks{1}, Q_bar, diagonal_Q_bar);
  out.alpha_bar = sum_to_host(lane, diagonal_Q_bar);
  return out;
}

template <detail::NoBackend B, class... Rest>
auto transform(B const&, Rest const&...) {
  return detail::explain<B>();
}

}  // namespace detrame::inline DETRAME_ABI
