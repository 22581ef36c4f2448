// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/core/limits.hpp"
#include "detrame/prox/status.hpp"

namespace detrame::inline DETRAME_ABI::detail {

/// The state of each sample of an iteration, in the 1 x samples rows of one matrix, so that statuses are
/// found where the iterates are and one number an iteration comes back to the host. Sizes of u and of its
/// changes are those of the largest entry, which no square takes out of the range of the scalar.
enum WatchRow : Index {
  row_status,
  row_active,
  row_in_range,
  row_residual,  // |r|_2
  row_terms,     // |t(0)|_2
  row_size,      // max |u_i|
  row_distance,  // max |u - anchor|
  row_farthest,
  row_return,
  row_change,  // max |u - u of the last update|
  row_still,   // how many updates running have changed no bit
  row_reach,
  watch_rows
};

/// c eps, within which |r| is rounding where r_i is summed from n terms: c = 2 + sqrt(n), errors as a random
/// walk.                                                                                                 (U1)
template <class Scalar>
Scalar rounding_of(Index n) {
  return (Scalar(2) + std::sqrt(static_cast<Scalar>(n))) * limits::epsilon<Scalar>;
}

/// What row_active says: besides yes and no, that the host has to look closer (`Decide`).
enum Activity : int { sample_at_rest, sample_active, sample_near_rounding, sample_like_a_cycle };

template <class Scalar>
DETRAME_HOST_DEVICE void end_watch(Scalar& status, Scalar& activity, Status how) {
  status = static_cast<Scalar>(static_cast<int>(how));
  activity = Scalar(sample_at_rest);
}

/// A sample before its first update: r and terms are |r|_2 and |t|_2 there, start = max |u_i|, mostly 0,
/// given = max |z_i|, all of this sample alone.
template <class Scalar>
struct WatchStart {
  bool reach_from_terms;
  Scalar reach_divisor;

  DETRAME_HOST_DEVICE void operator()(Scalar& status, Scalar& activity, Scalar& in_range, Scalar& change,
                                      Scalar& reach, Scalar start, Scalar r, Scalar terms,
                                      Scalar given) const {
    constexpr Scalar least = limits::smallest<Scalar> / limits::epsilon<Scalar>;
    bool const finite = r - r == Scalar(0) && terms - terms == Scalar(0);
    bool const fits = finite && (terms >= least || (terms == Scalar(0) && given == Scalar(0)));
    in_range = fits ? Scalar(1) : Scalar(0);
    change = limits::infinity<Scalar>;
    reach = (reach_from_terms ? terms : r) / reach_divisor + start / std::sqrt(limits::epsilon<Scalar>);
    status = static_cast<Scalar>(static_cast<int>(Status::iteration_limit));
    activity = Scalar(sample_active);
    if (!fits) return end_watch(status, activity, Status::not_finite);
    if (r == Scalar(0))
      return end_watch(status, activity, start == Scalar(0) ? Status::all_zero : Status::residual_reached);
  }
};

/// u of a sample of which nothing can be told: of one that did not fit at its start.
struct SpoilWhereOutOfRange {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& u, Scalar in_range) const {
    if (in_range == Scalar(0)) u = limits::nan<Scalar>;
  }
};

/// A sample after `age` updates since its anchor, the iterate at the last power of two. What it becomes, it
/// stays.
///
/// A return is an iterate that is as near to the anchor as rounding is to the way made since; rounding itself
/// is no way. Two returns, the second after twice the time of the first, look like a cycle: in that time an
/// iteration that converges has moved on, unless its factor is within rounding of 1; so kappa < 1 has the
/// last word.
template <class Scalar>
struct Watch {
  Scalar tolerance;
  Scalar rounding;  ///< c eps
  Scalar slope;     ///< |t|_2 <= 2 (|t(0)|_2 + slope max |u_i|)
  Scalar age;
  bool may_cycle;

  DETRAME_HOST_DEVICE void operator()(Scalar& status, Scalar& activity, Scalar& farthest,
                                      Scalar& first_return, Scalar& still, Scalar r, Scalar terms,
                                      Scalar size, Scalar distance, Scalar change, Scalar reach) const {
    if (activity == Scalar(sample_at_rest)) return;
    constexpr Scalar eps = limits::epsilon<Scalar>;
    if (r / terms <= tolerance) return end_watch(status, activity, Status::residual_reached);
    if (!(r - r == Scalar(0)) || size > reach) return end_watch(status, activity, Status::diverged);
    still = change == Scalar(0) ? still + Scalar(1) : Scalar(0);
    if (still >= Scalar(2)) return end_watch(status, activity, Status::stalled);
    if (r <= rounding * (Scalar(2) * (terms + slope * size))) activity = Scalar(sample_near_rounding);
    if (!may_cycle) return;
    if (distance > farthest) farthest = distance;
    bool const moved = farthest > std::sqrt(eps) * size;
    if (moved && distance <= Scalar(4) * std::pow(eps, Scalar(.75)) * farthest) {
      if (first_return == Scalar(0))
        first_return = age;
      else if (age == Scalar(2) * first_return)
        activity = Scalar(sample_like_a_cycle);
    }
  }
};

/// What was suspected of a sample, given terms = |t|_2 at u.
template <class Scalar>
struct Decide {
  Scalar rounding;
  bool may_cycle;

  DETRAME_HOST_DEVICE void operator()(Scalar& status, Scalar& activity, Scalar r, Scalar terms) const {
    if (activity <= Scalar(sample_active)) return;
    if (r <= rounding * terms) return end_watch(status, activity, Status::stalled);
    if (may_cycle && activity == Scalar(sample_like_a_cycle))
      return end_watch(status, activity, Status::cycling);
    activity = Scalar(sample_active);
  }
};

}  // namespace detrame::inline DETRAME_ABI::detail
