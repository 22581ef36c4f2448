// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <limits>
#include <optional>

#include "detrame/core/errors.hpp"
#include "detrame/core/matrix_view.hpp"

namespace detrame::inline DETRAME_ABI {

/// Exactly T updates from the start (U1): a part of the type, so of the formula.
template <int T>
struct Unroll {
  static_assert(T >= 0, "Unroll: T counts updates, so T >= 0");
  static constexpr Index updates = T;
};

/// The same with a number that is only known when the program runs: for tables against T.
struct Updates {
  Index count;
};

/// As many updates as it takes: until |r|_2 <= tolerance |t(0)|_2 in every sample, where r is its residual
/// and t(0) are the terms that r is summed from at the start, so that the tolerance has no unit; or until
/// something else happens (Status), at the latest after `limit` updates.                                 (U1)
///
///   Until{.tolerance = 1e-10, .limit = 500}
///
/// Without a tolerance it is eps^(2/3) of the scalar: 3.7e-11 for double, 2.4e-5 for float.
struct Until {
  std::optional<double> tolerance = std::nullopt;
  Index limit = 10000;
};

/// The tolerance that `until` means in this scalar. Refuses one that is negative, infinite or NaN, and a
/// negative limit.
template <class Scalar>
Scalar tolerance_of(char const* who, Until const& until) {
  require_at_least(who, "limit", until.limit, Index{0});
  if (!until.tolerance) return std::pow(std::numeric_limits<Scalar>::epsilon(), Scalar(2) / Scalar(3));
  require_at_least(who, "tolerance", *until.tolerance, 0.0);
  auto const tolerance = static_cast<Scalar>(*until.tolerance);
  if (!std::isfinite(tolerance))
    throw DomainError(message(who, ": tolerance = ", *until.tolerance, ", must be finite"));
  return tolerance;
}

}  // namespace detrame::inline DETRAME_ABI
