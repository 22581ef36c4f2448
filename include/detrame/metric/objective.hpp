// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/metric/synthesis.hpp"

namespace detrame::inline DETRAME_ABI {

/// The objective of the synthesis problem, for any penalty in place of the paper's.                   (M1)
///
///   L(a) = 1/2 |x - D a|^2 + alpha/2 |a|^2 + <d, a> + psi(a)
///
/// Shapes    X: m x N.  A: k x N.  Result: 1 x N.  Of synthesis, D, alpha and d are read; lambda and beta are
///           psi's.
/// Requires  sizes that agree, else ShapeError.
/// Tested    tests/metric/recurrence_test.cpp (M2)
template <Backend B, Penalty Psi>
Matrix<B> objective(B& backend, Synthesis<B> const& synthesis, Psi const& psi, Input<B> const X,
                    Input<B> const A) {
  using Scalar = typename B::Scalar;
  ConstView<B> const x = X, a = A, D = synthesis.D, d = synthesis.d;
  synthesis.check("objective");
  if (x.rows() != D.rows() || a.rows() != D.cols() || x.cols() != a.cols() || psi.dim() != a.rows())
    throw ShapeError(message("objective: X is ", x.rows(), " x ", x.cols(), ", A is ", a.rows(), " x ",
                             a.cols(), ", psi has ", psi.dim(), " rows, D is ", D.rows(), " x ", D.cols()));
  Matrix<B> out;
  resize(backend, out, 1, x.cols());
  View<B> const value = out;
  Scalar const alpha = synthesis.alpha;
  each_chunk(backend, Batch{x.cols()}, D.rows() + 2 * D.cols(), [&](typename B::Lane& lane, Columns c) {
    View<B> const DA = lane.scratch(D.rows(), c.count);  // m x n
    View<B> const term = lane.scratch(1, c.count);       // 1 x n
    View<B> const sum = columns(value, c);               // 1 x n
    gemm(lane, 1, D, Op::none, columns(a, c), Op::none, 0, DA);
    psi.value(lane, columns(a, c), sum);
    column_sums(lane, term, formula::SquaredDifference{}, columns(x, c), DA);
    each(lane, formula::Axpy<Scalar>{Scalar(0.5)}, sum, term);
    column_sums(lane, term, formula::Square{}, columns(a, c));
    each(lane, formula::Axpy<Scalar>{alpha / Scalar(2)}, sum, term);
    column_sums(lane, term, formula::Product{}, columns(a, c), PerRow{d});
    each(lane, formula::Add{}, sum, term);
  });
  return out;
}

/// The objective of the proximity operator of psi in the metric Q.                                    (M3)
///
///   1/2 |u - z|_Q^2 + psi(u)
///
/// Shapes    Z, U: k x N.  Result: 1 x N.
/// Requires  sizes that agree, else ShapeError.
/// Tested    tests/metric/recurrence_test.cpp (M2), (E2)
template <Backend B, Metric M, Penalty Psi>
Matrix<B> objective(B& backend, M const& Q, Psi const& psi, Input<B> const Z, Input<B> const U) {
  using Scalar = typename B::Scalar;
  ConstView<B> const z = Z, u = U;
  if (z.rows() != Q.dim() || u.rows() != Q.dim() || z.cols() != u.cols() || psi.dim() != Q.dim())
    throw ShapeError(message("objective: Z is ", z.rows(), " x ", z.cols(), ", U is ", u.rows(), " x ",
                             u.cols(), ", psi has ", psi.dim(), " rows, Q is ", Q.dim(), " x ", Q.dim()));
  Matrix<B> out;
  resize(backend, out, 1, z.cols());
  View<B> const value = out;
  each_chunk(backend, Batch{z.cols()}, 4 * Q.dim(), [&](typename B::Lane& lane, Columns c) {
    View<B> const V = lane.scratch(Q.dim(), c.count);   // k x n, u - z
    View<B> const QV = lane.scratch(Q.dim(), c.count);  // k x n
    View<B> const term = lane.scratch(1, c.count);      // 1 x n
    View<B> const sum = columns(value, c);              // 1 x n
    each(lane, formula::Assign{}, V, columns(u, c));
    each(lane, formula::Subtract{}, V, columns(z, c));
    Q.apply(lane, V, QV);
    psi.value(lane, columns(u, c), sum);
    column_sums(lane, term, formula::Product{}, V, QV);
    each(lane, formula::Axpy<Scalar>{Scalar(0.5)}, sum, term);
  });
  return out;
}

/// The objective of codes, with the paper's penalty: infinity outside a >= 0.                           (M1)
/// Shapes    X: m x N, A: k x N, else ShapeError. Result: 1 x N.
template <Backend B>
Matrix<B> objective(B& backend, Synthesis<B> const& synthesis, Input<B> X, Input<B> A) {
  return objective(backend, synthesis, synthesis.penalty(backend), std::move(X), std::move(A));
}

template <detail::NoBackend B, class... Rest>
auto objective(B const&, Rest const&...) {
  return detail::explain<B>();
}

}  // namespace detrame::inline DETRAME_ABI
