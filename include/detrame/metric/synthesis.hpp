// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "detrame/metric/gram_metric.hpp"
#include "detrame/metric/misuse.hpp"
#include "detrame/metric/penalty.hpp"

namespace detrame::inline DETRAME_ABI {

/// The data of one synthesis problem, eq. (6)-(8) of the paper with Theorem 4.1's beta.                  (M1)
///
///   M_D(x) = argmin_{a >= 0}  1/2 |x - D a|^2 + alpha/2 |a|^2 + <d, a> + lambda |a|_1 + beta/2 |a|^2
///
/// Shapes    D: m x k, a column an atom.  d: k x 1.
/// Requires  alpha > 0, beta >= 0, lambda >= 0; `check` and the constructors of metric and penalty say so.
template <Backend B>
struct Synthesis {
  using Scalar = typename B::Scalar;

  Matrix<B> D;
  Scalar alpha, beta, lambda;
  Matrix<B> d;

  Synthesis() = default;
  Synthesis(Kept<B> D_, Scalar alpha_, Scalar beta_, Scalar lambda_, Kept<B> d_)
      : D(std::move(D_.matrix)), alpha(alpha_), beta(beta_), lambda(lambda_), d(std::move(d_.matrix)) {}

  void check(char const* who) const {
    if (D.cols() < 1 || d.rows() != D.cols() || d.cols() != 1)
      throw ShapeError(
          message(who, ": d is ", d.rows(), " x ", d.cols(), ", D is ", D.rows(), " x ", D.cols()));
    if (!(alpha > Scalar(0))) throw DomainError(message(who, ": alpha = ", alpha, ", must be > 0"));
    require_at_least(who, "beta", beta, Scalar(0));
    require_at_least(who, "lambda", lambda, Scalar(0));
  }

  /// Q = D^T D + alpha I
  GramMetric<B> metric(B& backend) const { return GramMetric<B>(backend, D, alpha); }

  /// lambda |.|_1 + beta/2 |.|^2 + indicator(>= 0)
  NonnegativeElasticNet<B> penalty(B& backend) const {
    return NonnegativeElasticNet<B>(backend, D.cols(), lambda, beta);
  }
};
template <class M, class Alpha, class Beta, class Lambda, class V>
Synthesis(M const&, Alpha, Beta, Lambda, V const&) -> Synthesis<typename HomeOf<M>::Backend>;

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
