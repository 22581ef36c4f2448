// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <limits>

#include "detrame/prox/status.hpp"

namespace detrame::detail {

/// The state of each column of an iteration, in the 1 x N rows of one matrix, so that statuses are found
/// where the iterates are and one number an iteration comes back to the host.
enum WatchRow : Index {
  row_status,
  row_active,
  row_residual,
  row_size,
  row_distance,
  row_farthest,
  row_return,
  row_reach,
  watch_rows
};

/// A column before its first update: u = 0, r2 = |r_0|^2, largest = max_i |r_0i|.
template <class Scalar>
struct WatchStart {
  Scalar modulus;
  DETRAME_HOST_DEVICE void operator()(Scalar& status, Scalar& active, Scalar& reach, Scalar largest,
                                      Scalar r2) const {
    Scalar const bound = std::sqrt(r2) / modulus;  // |u_star| <= bound
    bool const finite = bound - bound == Scalar(0), zero = largest == Scalar(0);
    reach = bound / std::sqrt(std::numeric_limits<Scalar>::epsilon());
    status = static_cast<Scalar>(static_cast<int>(zero      ? Status::all_zero
                                                  : !finite ? Status::not_finite
                                                            : Status::iteration_limit));
    active = finite && !zero ? Scalar(1) : Scalar(0);
  }
};

/// A column after `age` updates since its anchor, the iterate at the last power of two: r2 = |r|^2,
/// size2 = |u|^2, distance2 = |u - anchor|^2. What it becomes, it stays.
///
/// A return is an iterate that is as near to the anchor as rounding is to the way made since; rounding itself
/// is no way. Two returns, the second after twice the time of the first, are a cycle: in that time an
/// iteration that converges, however slowly and from both sides, has moved on.
template <class Scalar>
struct Watch {
  Scalar tolerance;
  Scalar age;

  DETRAME_HOST_DEVICE void operator()(Scalar& status, Scalar& active, Scalar& farthest, Scalar& first_return,
                                      Scalar r2, Scalar size2, Scalar distance2, Scalar reach) const {
    if (active == Scalar(0)) return;
    constexpr Scalar eps = std::numeric_limits<Scalar>::epsilon();
    Scalar const r = std::sqrt(r2), size = std::sqrt(size2), distance = std::sqrt(distance2);
    if (r <= tolerance) return end(status, active, Status::residual_reached);
    if (!(r - r == Scalar(0)) || size > reach) return end(status, active, Status::diverged);
    if (distance > farthest) farthest = distance;
    bool const moved = farthest > std::sqrt(eps) * size;
    if (moved && distance <= Scalar(4) * std::pow(eps, Scalar(.75)) * farthest) {
      if (first_return == Scalar(0))
        first_return = age;
      else if (age == Scalar(2) * first_return)
        end(status, active, Status::cycling);
    }
  }

  DETRAME_HOST_DEVICE static void end(Scalar& status, Scalar& active, Status how) {
    status = static_cast<Scalar>(static_cast<int>(how));
    active = Scalar(0);
  }
};

}  // namespace detrame::detail
