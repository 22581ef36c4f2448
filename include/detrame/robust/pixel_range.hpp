// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/core/errors.hpp"
#include "detrame/core/host_device.hpp"
#include "detrame/core/limits.hpp"

namespace detrame::inline DETRAME_ABI {

/// Where pixels may lie: low <= z_i <= high.
///
/// Requires  (check, in a precision) low < high and a number between them, else DomainError.
/// Tested    tests/robust/pgd_test.cpp
struct PixelRange {
  double low = 0, high = 1;

  /// The ends of what a Scalar has of the range: low rounded up, high rounded down.
  template <class Scalar>
  Scalar lowest() const {
    auto const v = static_cast<Scalar>(low);
    return static_cast<double>(v) < low ? std::nextafter(v, limits::infinity<Scalar>) : v;
  }
  template <class Scalar>
  Scalar highest() const {
    auto const v = static_cast<Scalar>(high);
    return static_cast<double>(v) > high ? std::nextafter(v, -limits::infinity<Scalar>) : v;
  }
  template <class Scalar>
  void check(char const* who) const {
    if (!(low < high && lowest<Scalar>() <= highest<Scalar>()))
      throw DomainError(message(who, ": the range [", low, ", ", high, "] is empty"));
  }
};

namespace formula {

/// z within [low, high]; NaN stays NaN.
template <class Scalar>
struct ClipPixel {
  Scalar low, high;
  DETRAME_HOST_DEVICE void operator()(Scalar& z) const { z = z < low ? low : z > high ? high : z; }
};

}  // namespace formula
}  // namespace detrame::inline DETRAME_ABI
