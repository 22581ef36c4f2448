// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "detrame/backend/concept.hpp"

namespace detrame {

/// How an exact solution ended. The larger value is the worse one; a batch has the status of its worst
/// column.
enum class ExactStatus {
  optimal,     ///< support conditions hold and residual <= tolerance, the rounding of its own computation
  inaccurate,  ///< in rounding no step lowers the objective any more, and the residual exceeds the tolerance
  singular,    ///< the same, and Q + diag(beta) is not definite to working precision on the last support
  iteration_limit,  ///< pivot_limit exchanges of the support were not enough
  not_finite,       ///< NaN or infinity came in, or an intermediate result overflowed; u is NaN there
};

constexpr std::string_view name(ExactStatus status) {
  switch (status) {
    case ExactStatus::optimal: return "optimal";
    case ExactStatus::inaccurate: return "inaccurate";
    case ExactStatus::iteration_limit: return "iteration_limit";
    case ExactStatus::singular: return "singular";
    case ExactStatus::not_finite: return "not_finite";
  }
  return "unknown";
}

/// How to solve. `warm_start`: the result holds a guess u on entry, whose support is where the search begins.
struct ExactOptions {
  bool warm_start = false;
  Index pivot_limit = 5000;
};

/// A minimiser and its certificate, of which all numbers are recomputed from the data and from u as returned.
///
/// With g the gradient of the smooth part, so that 0 in g + lambda d|u| is the condition for a minimum,
///
///   residual_j    = |u - A(u - g, lambda)|_inf           A: the activation of the penalty
///   subgradient_j = |s|_2,  s the element of least norm of g + lambda d|u| (+ normal cone of u >= 0)
///
/// in column j, and |u_j - u_star_j|_2 <= subgradient_j / (lambda_min + min beta) <= bound.            (C4)
template <Backend B>
struct ExactResult {
  using Scalar = typename B::Scalar;

  Matrix<B> u;              ///< k x N
  Matrix<B> residual;       ///< 1 x N, natural residual, in the units of u and Q z added up
  Matrix<B> subgradient;    ///< 1 x N, in the units of Q z
  Matrix<B> column_status;  ///< 1 x N, the number of an ExactStatus
  Matrix<B> pivots;         ///< 1 x N, how many times the support was exchanged

  ExactStatus status = ExactStatus::optimal;  ///< of the worst column
  Scalar largest_residual = 0;                ///< over the columns, NaN if one is
  Scalar bound = 0;                           ///< on |u_j - u_star_j|_2, for every column j
  Index iterations = 0;                       ///< the largest number of pivots

  Matrix<B> summary;  ///< 1 x 4: what the four numbers above were read from
};

/// The result itself, or NotConverged with its status and residual where it is not optimal.
template <Backend B>
ExactResult<B> const& require_optimal(ExactResult<B> const& result) {
  if (result.status != ExactStatus::optimal)
    throw NotConverged(
        message("exact: status ", name(result.status), ", residual ", result.largest_residual));
  return result;
}

}  // namespace detrame
