// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/core/host_device.hpp"
#include "detrame/core/matrix_view.hpp"

/// Steps of gradient descent.
namespace detrame::formula {

/// Projections of Algorithm 2; NaN stays NaN.
template <class Scalar>
struct AtLeast {
  Scalar low;
  DETRAME_HOST_DEVICE void operator()(Scalar& p) const { p = p < low ? low : p; }
};
template <class Scalar>
struct Between {
  Scalar low, high;
  DETRAME_HOST_DEVICE void operator()(Scalar& p) const { p = p < low ? low : (p > high ? high : p); }
};
/// Zero diagonal of square blocks of `rows` rows that stand side by side.
struct ZeroDiagonal {
  Index rows;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Index i, Index j, Scalar& p) const {
    if (j % rows == i) p = Scalar(0);
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

}  // namespace detrame::formula
