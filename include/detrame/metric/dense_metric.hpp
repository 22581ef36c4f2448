// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/metric/block_metric.hpp"

namespace detrame::inline DETRAME_ABI {

/// The metric of a full matrix: one block.                                                             (M3)
///
///   |v|_Q^2 = <v, Q v>
///
/// Shapes    Q: k x k.
/// Requires  k >= 1 and Q square, else ShapeError; the rest as BlockDiagonalMetric.
/// Ensures   as BlockDiagonalMetric.
/// Cost      construction about 4/3 k^3; apply 2 k^2 N flops.
/// Tested    tests/metric/metric_test.cpp
template <Backend B>
class DenseMetric : public BlockDiagonalMetric<B> {
 public:
  DenseMetric(B& backend, Input<B> const Q) : BlockDiagonalMetric<B>(backend, square(Q), "DenseMetric") {}

 private:
  static Input<B> const& square(Input<B> const& Q) {
    if (Q.rows() != Q.cols() || Q.rows() < 1)
      throw ShapeError(
          message("DenseMetric: Q is ", Q.rows(), " x ", Q.cols(), ", must be square, with a row or more"));
    return Q;
  }
};

}  // namespace detrame::inline DETRAME_ABI
