// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/metric/concept.hpp"
#include "detrame/metric/synthesis.hpp"
#include "detrame/prox/per_sample.hpp"

namespace detrame::inline DETRAME_ABI {

/// The smallest scalar lambda for which u = 0 is the solution, for each column of z.                     (M8)
///
///   lambda_max = max_i (Q z)_i  for a penalty with u >= 0,   max_i |(Q z)_i|  for a two-sided one
///
/// No absolute value in the first, so it may be negative: then u = 0 for every lambda >= 0. Only the
/// sidedness of psi counts, not its numbers.
///
/// Shapes    Q: k x k.  z: k x N.  The result: 1 x N, or 1 x images for a convolutional metric.
/// Requires  z.rows() == Q.dim(), else ShapeError. psi is a Shrinkage.
/// Ensures   u = 0 is the solution of column j if and only if lambda >= lambda_max_j; NaN gives NaN.
/// Cost      one product with Q.
/// Tested    tests/prox/metric_prox_test.cpp: (M8)
template <Backend B, Metric M, Penalty P>
Matrix<B> lambda_max(B& backend, M const& Q, P const&, Input<B> z) {
  static_assert(Shrinkage<P>,
                "lambda_max: psi must be a Shrinkage, such as NonnegativeElasticNet or ElasticNet");
  ConstView<B> const Z = z;
  if (Z.rows() != Q.dim())
    throw ShapeError(message("lambda_max: z has ", Z.rows(), " rows, Q is ", Q.dim(), " x ", Q.dim()));
  Index const unit = Q.structure().unit();
  if (Z.cols() % unit != 0)
    throw ShapeError(message("lambda_max: z has ", Z.cols(), " columns, must be a multiple of ", unit));
  detail::PerSample<B> per_sample(backend, unit, Z.cols());
  Matrix<B> out;
  resize(backend, out, 1, Z.cols() / unit);
  View<B> const row = out;
  each_chunk(backend, batch_of(Q.structure(), Q.dim(), Z.cols(), 1), 2 * Q.dim(),
             [&](typename B::Lane& lane, Columns c) {
               View<B> const V = lane.scratch(Q.dim(), c.count);  // k x n, Q Z
               Q.apply(lane, columns(Z, c), V);
               View<B> const largest = columns(row, per_sample.samples(c));
               if constexpr (!formula::one_sided<typename P::Activation>)
                 per_sample.maxima(lane, largest, c, formula::Magnitude{}, ConstView<B>(V));
               else
                 per_sample.maxima(lane, largest, c, formula::Identity{}, ConstView<B>(V));
             });
  return out;
}

/// The same for the paper's synthesis problem: max_i (D^T x - d)_i, for each column of x, m x N.         (M8)
template <Backend B>
Matrix<B> lambda_max(B& backend, Synthesis<B> const& synthesis, Input<B> x) {
  ConstView<B> const X = x, D = synthesis.D, d = synthesis.d;
  if (X.rows() != D.rows())
    throw ShapeError(message("lambda_max: x has ", X.rows(), " rows, D has ", D.rows()));
  Matrix<B> out;
  resize(backend, out, 1, X.cols());
  View<B> const row = out;
  each_chunk(backend, Batch{X.cols()}, 2 * D.cols(), [&](typename B::Lane& lane, Columns c) {
    View<B> const V = lane.scratch(D.cols(), c.count);  // k x n, D^T X
    gemm(lane, 1, D, Op::transposed, columns(X, c), Op::none, 0, V);
    column_max(lane, columns(row, c), formula::Difference{}, ConstView<B>(V), PerRow{d});
  });
  return out;
}

}  // namespace detrame::inline DETRAME_ABI
