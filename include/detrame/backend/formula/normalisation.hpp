// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/core/host_device.hpp"
#include "detrame/core/matrix_view.hpp"

/// Batch normalisation: (x - mean) s is the normalised entry, with s = 1 / sqrt(variance + epsilon).
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

/// s <- 1 / sqrt(variance + epsilon)
template <class Scalar>
struct InverseDeviation {
  Scalar epsilon;
  DETRAME_HOST_DEVICE void operator()(Scalar& s, Scalar variance) const {
    s = Scalar(1) / std::sqrt(variance + epsilon);
  }
};

/// y <- gain (x - mean) s + offset
struct Normalise {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& y, Scalar x, Scalar mean, Scalar s, Scalar gain,
                                      Scalar offset) const {
    y = gain * ((x - mean) * s) + offset;
  }
};

/// The terms of gain_bar: y_bar (x - mean) s
struct NormalisedProduct {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar y_bar, Scalar x, Scalar mean, Scalar s) const {
    return y_bar * ((x - mean) * s);
  }
};

/// x_bar <- gain s (y_bar - (offset_bar + (x - mean) s gain_bar) / N), with the sums of y_bar over the batch
template <class Scalar>
struct NormalisePullback {
  Scalar inverse_count;
  DETRAME_HOST_DEVICE void operator()(Scalar& x_bar, Scalar y_bar, Scalar x, Scalar mean, Scalar s,
                                      Scalar gain, Scalar gain_bar, Scalar offset_bar) const {
    x_bar = gain * s * (y_bar - inverse_count * (offset_bar + (x - mean) * s * gain_bar));
  }
};

/// running <- running + share (scale measured - running)
template <class Scalar>
struct MoveTowards {
  Scalar share, scale;
  DETRAME_HOST_DEVICE void operator()(Scalar& running, Scalar measured) const {
    running += share * (scale * measured - running);
  }
};

}  // namespace detrame::inline DETRAME_ABI::formula
