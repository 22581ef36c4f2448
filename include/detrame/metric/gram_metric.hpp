// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <utility>

#include "detrame/metric/concept.hpp"
#include "detrame/metric/entries.hpp"

namespace detrame::inline DETRAME_ABI {

/// Q = D^T D + alpha I, exactly symmetric. D: m x k. Q: k x k, overwritten.
template <Backend B>
void gram(B& backend, ConstView<B> D, typename B::Scalar alpha, View<B> Q) {
  using Scalar = typename B::Scalar;
  Batch const atoms{D.cols(), 1, 1, 2. * static_cast<double>(D.rows()) * static_cast<double>(D.cols())};
  each_chunk(backend, atoms, D.rows() + D.cols(), [=](typename B::Lane& lane, Columns c) {
    gemm(lane, 1, D, Op::transposed, columns(D, c), Op::none, 0, columns(Q, c));
  });
  each_indexed(backend.lane(), formula::ShiftDiagonal<Scalar>{alpha}, Q);
  each_column(backend, Q.cols(), 0, detail::MirrorLower{}, Q);
}

/// The adjoint of `gram`, given the symmetric Q_bar: D_bar += 2 D Q_bar. The cotangent of alpha is the sum of
/// the diagonal of Q_bar.
template <Backend B>
void gram_pullback(B& backend, ConstView<B> D, ConstView<B> Q_bar, View<B> D_bar) {
  Batch const atoms{D.cols(), 1, 1, 2. * static_cast<double>(D.rows()) * static_cast<double>(D.cols())};
  each_chunk(backend, atoms, D.rows() + D.cols(), [=](typename B::Lane& lane, Columns c) {
    gemm(lane, 2, D, Op::none, columns(Q_bar, c), Op::none, 1, columns(D_bar, c));
  });
}

/// The metric that a dictionary makes.                                                                 (M2)
///
///   Q = D^T D + alpha I
///
/// Shapes    D: m x k, a column an atom.
/// Requires  k >= 1, else ShapeError; D finite, alpha > 0 and finite, else DomainError. m = 0 is Q = alpha I.
/// Ensures   (1) weights() is exactly symmetric.
///           (2) lambda_min() = alpha, which bounds the Q of the formula; the stored one may differ from that
///               by rounding, k eps |D|^2.
/// Cost      construction 2 m k^2 flops; apply 2 k^2 N, or 4 m k N where that is less. Nothing is inverted.
/// Tested    tests/metric/metric_test.cpp
template <Backend B>
class GramMetric {
 public:
  using Backend = B;
  using Scalar = typename B::Scalar;

  GramMetric(B& backend, Kept<B> D, Scalar alpha) : D_(std::move(D.matrix)), alpha_(alpha) {
    if (D_.cols() < 1)
      throw ShapeError(message("GramMetric: D is ", D_.rows(), " x 0, must have an atom or more"));
    if (!(alpha > Scalar(0)) || !std::isfinite(alpha))
      throw DomainError(message("GramMetric: alpha = ", alpha, ", must be > 0 and finite"));
    HostMatrix<Scalar> const host = to_host(backend, this->D());  // m x k
    for (Index j = 0; j < host.cols(); ++j)
      for (Index i = 0; i < host.rows(); ++i)
        if (!std::isfinite(host(i, j)))
          throw DomainError(message("GramMetric: D has an entry ", host(i, j), ", must be finite"));
    resize(backend, Q_, D_.cols(), D_.cols());
    gram(backend, this->D(), alpha, Q_);
  }

  ConstView<B> D() const { return D_; }
  Scalar alpha() const { return alpha_; }

  Index dim() const { return Q_.cols(); }
  DenseBlocks structure() const { return {1}; }
  ConstView<B> weights() const { return Q_; }
  Scalar lambda_min() const { return alpha_; }

  /// QV = Q V, through D where it has fewer than k / 2 rows. V, QV: k x N.
  void apply(typename B::Lane& lane, ConstView<B> V, View<B> QV) const {
    if (2 * D_.rows() >= dim()) return gemm(lane, 1, weights(), Op::none, V, Op::none, 0, QV);
    auto const frame = lane.frame();
    View<B> const DV = lane.scratch(D_.rows(), V.cols());  // m x N
    gemm(lane, 1, D(), Op::none, V, Op::none, 0, DV);
    each(lane, formula::Scaled<Scalar>{alpha_}, QV, V);
    gemm(lane, 1, D(), Op::transposed, DV, Op::none, 1, QV);
  }

 private:
  Matrix<B> D_;  // m x k
  Scalar alpha_;
  Matrix<B> Q_;  // k x k
};

}  // namespace detrame::inline DETRAME_ABI
