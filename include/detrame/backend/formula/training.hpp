// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/core/host_device.hpp"
#include "detrame/core/limits.hpp"
#include "detrame/core/matrix_view.hpp"

/// Steps of gradient descent.
namespace detrame::inline DETRAME_ABI::formula {

/// Zero diagonal of the maps whose blocks stand side by side, each of `taps` square matrices of `rows` rows:
/// that of the middle tap. By default there is none. Without a branch,
/// so that a loop over i works on packets.
class ZeroDiagonal {
 public:
  constexpr ZeroDiagonal() = default;
  constexpr explicit ZeroDiagonal(Index rows, Index taps = 1)
      : of_block_(rows * taps), before_(taps / 2 * rows) {}
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Index i, Index j, Scalar& p) const {
    p = i == j % of_block_ - before_ ? Scalar(0) : p;
  }

 private:
  Index of_block_ = 1, before_ = 1;  // columns
};

/// A projection of Algorithm 2: p in [low, high], NaN stays NaN; then the zero diagonal.
template <class Scalar>
struct Projection {
  Scalar low = -limits::infinity<Scalar>, high = limits::infinity<Scalar>;
  ZeroDiagonal diagonal{};
  DETRAME_HOST_DEVICE void operator()(Index i, Index j, Scalar& p) const {
    p = p < low ? low : (p > high ? high : p);
    diagonal(i, j, p);
  }
};

/// SGD with momentum as PyTorch has it: v <- momentum v + (g + decay p); p <- p - rate v
template <class Scalar>
struct SgdStep {
  Scalar rate, momentum, decay;
  DETRAME_HOST_DEVICE void operator()(Scalar& p, Scalar& v, Scalar g) const {
    v = momentum * v + (g + decay * p);
    p -= rate * v;
  }
};

/// The step, then the projection.
template <class Scalar>
struct ProjectedSgdStep {
  SgdStep<Scalar> step;
  Projection<Scalar> projection;
  DETRAME_HOST_DEVICE void operator()(Index i, Index j, Scalar& p, Scalar& v, Scalar g) const {
    step(p, v, g);
    projection(i, j, p);
  }
};

}  // namespace detrame::inline DETRAME_ABI::formula
