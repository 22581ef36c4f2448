// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>

#include "detrame/metric/concept.hpp"
#include "detrame/metric/entries.hpp"

namespace detrame::inline DETRAME_ABI {

namespace detail {

/// Refuses blocks that are not finite and symmetric; a difference of rounding, 4 kg eps max |q|, passes.
template <class Scalar>
void require_symmetric(char const* who, HostMatrix<Scalar> const& Q) {
  Index const kg = Q.rows();
  Scalar largest(0);
  for (Index j = 0; j < Q.cols(); ++j)
    for (Index i = 0; i < kg; ++i) {
      if (!std::isfinite(Q(i, j)))
        throw DomainError(message(who, ": Q has an entry ", Q(i, j), ", must be finite"));
      largest = std::max(largest, std::abs(Q(i, j)));
    }
  Scalar const rounding =
      Scalar(4) * static_cast<Scalar>(kg) * std::numeric_limits<Scalar>::epsilon() * largest;
  for (Index j = 0; j < Q.cols(); ++j)
    for (Index i = 0; i < kg; ++i) {
      Index const first = j / kg * kg;
      Scalar const mirrored = Q(j - first, first + i);
      if (std::abs(Q(i, j) - mirrored) > rounding)
        throw DomainError(message(who, ": Q is not symmetric: ", mirrored, " in row ", j, ", column ",
                                  first + i, ", ", Q(i, j), " across the diagonal"));
    }
}

/// The smallest eigenvalue of a symmetric block less the rounding of its computation, k eps lambda_max;
/// refuses what is not positive after that.
template <Backend B>
typename B::Scalar require_definite(B& backend, char const* who, ConstView<B> Q) {
  using Scalar = typename B::Scalar;
  auto const eigenvalues = symmetric_eigenvalues(backend, Q);
  Scalar const size = std::max(std::abs(eigenvalues.front()), std::abs(eigenvalues.back()));
  Scalar const rounding = static_cast<Scalar>(Q.rows()) * std::numeric_limits<Scalar>::epsilon() * size;
  if (!(eigenvalues.front() > rounding))
    throw DomainError(message(who, ": Q is not definite: its smallest eigenvalue is ", eigenvalues.front(),
                              ", must be > 0 beyond rounding (", rounding, ")"));
  return eigenvalues.front() - rounding;
}

}  // namespace detail

/// A block-diagonal metric, from its blocks.                                                          (M3)
///
///   Q = diag(Q_1, ..., Q_n),   each Q_g: kg x kg
///
/// Shapes    blocks: kg x k, the Q_g side by side, with kg a divisor of k.
/// Requires  k >= 1 and kg divides k, else ShapeError; finite, symmetric up to rounding, positive definite
///           beyond rounding, else DomainError. All is checked here, once.
/// Ensures   (1) weights() is exactly symmetric: the mean of blocks and its transpose.
///           (2) lambda_min() is the smallest computed eigenvalue less k eps lambda_max, and positive.
/// Cost      construction about 4/3 k kg^2; apply 2 k kg N flops.
/// Tested    tests/metric/metric_test.cpp
template <Backend B>
class BlockDiagonalMetric {
 public:
  using Backend = B;
  using Scalar = typename B::Scalar;

  BlockDiagonalMetric(B& backend, Input<B> const blocks)
      : BlockDiagonalMetric(backend, blocks, "BlockDiagonalMetric") {}

  Index dim() const { return Q_.cols(); }
  DenseBlocks structure() const { return {Q_.cols() / Q_.rows()}; }
  ConstView<B> weights() const { return Q_; }
  Scalar lambda_min() const { return lambda_min_; }

  /// QV = Q V. V, QV: k x N.
  void apply(typename B::Lane& lane, ConstView<B> V, View<B> QV) const {
    Index const kg = Q_.rows();
    for (Index g = 0; g < Q_.cols() / kg; ++g)
      gemm(lane, 1, weights().middle_cols(g * kg, kg), Op::none, V.middle_rows(g * kg, kg), Op::none, 0,
           QV.middle_rows(g * kg, kg));
  }

 protected:
  /// `who` speaks in the refusals.
  BlockDiagonalMetric(B& backend, Input<B> const& blocks, char const* who) {
    Index const kg = blocks.rows(), k = blocks.cols();
    if (kg < 1 || k < 1 || k % kg != 0)
      throw ShapeError(message(who, ": Q is ", kg, " x ", k, ", must be square blocks side by side"));
    detail::require_symmetric(who, to_host(backend, ConstView<B>(blocks)));
    Q_ = symmetric_part(backend, blocks);
    lambda_min_ = std::numeric_limits<Scalar>::infinity();
    for (Index first = 0; first < k; first += kg)
      lambda_min_ =
          std::min(lambda_min_, detail::require_definite(backend, who, weights().middle_cols(first, kg)));
  }

 private:
  Matrix<B> Q_;  // kg x k
  Scalar lambda_min_;
};

}  // namespace detrame::inline DETRAME_ABI
