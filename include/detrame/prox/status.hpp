// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "detrame/backend/concept.hpp"
#include "detrame/core/errors.hpp"

namespace detrame {

/// How a recursion ended: the name is the inequality that fired. From best to worst: a batch has the status of
/// its worst column. r is the minimum-norm subgradient of the column's problem, from u as returned.
enum class Status {
  unrolled,          ///< T updates were asked for, and made; nothing else is said
  all_zero,          ///< r = 0 at u = 0, that is lambda >= lambda_max: u = 0 is the solution, exactly
  residual_reached,  ///< |r|_2 <= tolerance
  iteration_limit,   ///< none of the others within the limit: merely slow
  cycling,           ///< u came back, twice, to where it was a few updates before
  diverged,  ///< |u|_2 > |r_0|_2 / (sqrt(eps) (lambda_min + beta)), with r_0 at u = 0: that is 1 / sqrt(eps)
             ///< times a bound on |u_star|_2; or u left the range of the scalar
  not_finite,  ///< there is a NaN or an infinity in what was given
};

constexpr std::string_view name(Status status) {
  switch (status) {
    case Status::unrolled: return "unrolled";
    case Status::all_zero: return "all_zero";
    case Status::residual_reached: return "residual_reached";
    case Status::iteration_limit: return "iteration_limit";
    case Status::cycling: return "cycling";
    case Status::diverged: return "diverged";
    case Status::not_finite: return "not_finite";
  }
  return "unknown";
}

/// The answer to a proximity problem, and what is known about it.
template <Backend B>
struct ProxResult {
  typename B::Matrix u;         ///< k x N
  Status status;                ///< that of the worst column
  Index iterations;             ///< updates that the slowest column was given
  typename B::Scalar residual;  ///< max over columns of |r|_2, in the units of Q z
  typename B::Scalar bound;  ///< |u - u_star|_2 <= bound in every column, up to the rounding of r      (C4)
  std::vector<Status> column_status;
};

/// u of a result that converged; else NotConverged, with the status and the residual. Of a temporary: its value.
template <class Result>
auto const& require_converged(Result const& result) {
  if (result.status != Status::residual_reached && result.status != Status::all_zero)
    throw NotConverged(message("require_converged: the status is ", name(result.status), ", the residual ",
                               result.residual, " after ", result.iterations, " iterations"));
  return result.u;
}
template <class Result>
  requires(!std::is_reference_v<Result> && !std::is_const_v<Result>)
auto require_converged(Result&& result) {
  require_converged(std::as_const(result));
  return std::move(result.u);
}

}  // namespace detrame
