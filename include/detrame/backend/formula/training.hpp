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
/// Zero diagonal of the maps whose blocks stand side by side, each of `taps` square matrices of `rows` rows: that of
/// the middle tap.
struct ZeroDiagonal {
  Index rows;
  Index taps = 1;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Index i, Index j, Scalar& p) const {
    if (j % (rows * taps) == taps / 2 * rows + i) p = Scalar(0);
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
