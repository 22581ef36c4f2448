// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "detrame/backend/concept.hpp"
#include "detrame/core/errors.hpp"

namespace detrame::inline DETRAME_ABI {

/// How a recursion ended: the name is the inequality that fired. From best to worst: a batch has the status
/// of its worst sample. r is the sample's residual at u as returned: the minimum-norm subgradient (C4), or
/// the natural residual of free parameters (U3); t bounds the terms that r is summed from, t(0) those at the
/// start (U1).
enum class Status {
  unrolled,  ///< T updates were asked for, and made; nothing else is said
  all_zero,  ///< r = 0 as computed at a start u = 0; for a prox lambda >= lambda_max up to the rounding of Qz
  residual_reached,  ///< |r|_2 <= tolerance |t(0)|_2
  stalled,           ///< |r|_2 <= c eps |t|_2, what rounding alone makes; or two updates changed no bit of u
  iteration_limit,   ///< none of the others within the limit: merely slow
  cycling,   ///< u came back, twice, to where it was a few updates before, and no kappa < 1 forbids it
  diverged,  ///< max |u_i| > |r(0)|_2 / (sqrt(eps) (lambda_min + beta)), which is 1 / sqrt(eps) times a bound
             ///< on |u_star|_2; for free parameters > |t(0)|_2 / eps; or u left the range of the scalar
  not_finite,  ///< there is a NaN or an infinity in what was given, or its products leave the range of the
               ///< scalar; u is NaN there
};

constexpr std::string_view name(Status status) {
  switch (status) {
    case Status::unrolled: return "unrolled";
    case Status::all_zero: return "all_zero";
    case Status::residual_reached: return "residual_reached";
    case Status::stalled: return "stalled";
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
  using Scalar = typename B::Scalar;

  Matrix<B> u;       ///< k x N
  Status status;     ///< that of the worst sample
  Index iterations;  ///< updates that the slowest sample was given
  Scalar residual;   ///< max over samples of |r|_2 / |t(0)|_2: a share, it has no unit                   (U1)
  Scalar bound;      ///< |u - u_star|_2 <= bound in every sample, in the units of u, up to the rounding of r;
                     ///< infinity or NaN where there is none                                            (C4)
  std::vector<Status> column_status;
};

/// u of a result that converged; else NotConverged, with the status and the residual.
/// Of a temporary: its value.
template <class Result>
auto const& require_converged(Result const& result) {
  if (result.status != Status::residual_reached && result.status != Status::all_zero)
    throw NotConverged(message("require_converged: the status is ", name(result.status),
                               ", the relative residual ", result.residual, " after ", result.iterations,
                               " iterations"));
  return result.u;
}
template <class Result>
  requires(!std::is_reference_v<Result> && !std::is_const_v<Result>)
auto require_converged(Result&& result) {
  require_converged(std::as_const(result));
  return std::move(result.u);
}

}  // namespace detrame::inline DETRAME_ABI
