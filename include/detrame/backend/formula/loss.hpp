// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/formula/activation.hpp"
#include "detrame/core/host_device.hpp"

/// Losses of one column and their derivatives.
namespace detrame::inline DETRAME_ABI::formula {

/// y_bar <- scale (y - t)
template <class Scalar>
struct ScaledDifference {
  Scalar scale;
  DETRAME_HOST_DEVICE void operator()(Scalar& y_bar, Scalar y, Scalar t) const { y_bar = scale * (y - t); }
};

/// One-against-all hinge, (1 - s y)_+ with s = 2 t - 1.
struct HingeTerm {
  template <class Scalar>
  DETRAME_HOST_DEVICE Scalar operator()(Scalar y, Scalar t) const {
    return relu(Scalar(1) - (Scalar(2) * t - Scalar(1)) * y);
  }
};

/// Its derivative, 0 at the kink: y_bar <- -scale s 1[1 - s y > 0]
template <class Scalar>
struct HingePullback {
  Scalar scale;
  DETRAME_HOST_DEVICE void operator()(Scalar& y_bar, Scalar y, Scalar t) const {
    Scalar const s = Scalar(2) * t - Scalar(1), slack = Scalar(1) - s * y;
    y_bar = slack != slack ? slack : (slack > Scalar(0) ? -scale * s : Scalar(0));
  }
};

}  // namespace detrame::inline DETRAME_ABI::formula
