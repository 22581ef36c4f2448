// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/core/host_device.hpp"
#include "detrame/core/matrix_view.hpp"

/// Means and squared deviations of rows.
namespace detrame::inline DETRAME_ABI::formula {

/// mean and sum of squared deviations of `some` numbers <- those of them and of `others` (Chan, Golub,
/// LeVeque 1979)
///
///   mean <- mean + (others / n) d,   d = mean_b - mean
///   squares <- squares + squares_b + (some others / n) d^2
template <class Scalar>
struct UniteMoments {
  Scalar share, weight;
  DETRAME_HOST_DEVICE UniteMoments(Index some, Index others)
      : share(static_cast<Scalar>(others) / static_cast<Scalar>(some + others)),
        weight(share * static_cast<Scalar>(some)) {}
  DETRAME_HOST_DEVICE void operator()(Scalar& mean, Scalar& squares, Scalar mean_b, Scalar squares_b) const {
    Scalar const d = mean_b - mean;
    mean += share * d;
    squares += squares_b + weight * d * d;
  }
};

/// The mean of x - x_0 becomes that of x, the sum of squared deviations their mean.
template <class Scalar>
struct FinishMoments {
  Scalar count;
  DETRAME_HOST_DEVICE void operator()(Scalar& mean, Scalar& squares, Scalar x_0) const {
    mean += x_0;
    squares /= count;
  }
};

}  // namespace detrame::inline DETRAME_ABI::formula
