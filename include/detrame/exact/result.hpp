// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <utility>

#include "detrame/backend/concept.hpp"

namespace detrame::inline DETRAME_ABI {

/// How an exact solution ended. The larger value is the worse one;
/// a batch has the status of its worst column.
enum class ExactStatus {
  optimal,     ///< residual <= c eps, the rounding of its own computation and of the search for it (U5)
  inaccurate,  ///< in rounding no step lowers the objective any more, and the residual exceeds the tolerance
  singular,    ///< the same, and Q + diag(beta) is not definite to working precision on the last support
  iteration_limit,  ///< pivot_limit exchanges of the support, or products with Q, were not enough
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
/// `pivot_limit`: how many exchanges of the support, for images and a penalty that is no Shrinkage how many
/// products with Q, may be made. `factor_bytes`: how much memory the result may take for factors, which its
/// pullback uses again; 0 for images, and for a penalty that is no Shrinkage, which have none.
struct ExactOptions {
  bool warm_start = false;
  Index pivot_limit = 5000;
  Index factor_bytes = 0;
};

/// The factors of H_AA, H = Q + diag(beta), that a solution ended with, A its support: for the pullback of
/// the same problem. Each column, and block of Q, has a slot of one size; what does not fit is made again.
template <Backend B>
struct ExactFactors {
  Matrix<B> slots;   ///< blocks x N of them
  Matrix<B> sizes;   ///< blocks x N: -|A| where the factor is kept, else 1
  bool all = false;  ///< whether every one is
};

/// A minimiser and its certificate, of which all numbers are recomputed from the data and from u as returned.
///
/// With g the gradient of the smooth part, s the element of least norm of g + d(lambda rho)(u), which is 0 at
/// a minimum, and t_i a bound of the terms that s_i is summed from (U5),
///
///   residual_j    = max_i |s_i| / t_i      without a unit
///   subgradient_j = |s|_2                  in the unit of Q z
///
/// in column j, and |u_j - u_star_j|_2 <= subgradient_j / (lambda_min + min beta) <= bound, up to the
/// rounding of s itself, c eps |t|_2 over the same modulus. A bound is rounded up where it is subnormal, and
/// infinite where it overflows.   (C4)
template <Backend B>
struct ExactResult {
  using Scalar = typename B::Scalar;

  Matrix<B> u;              ///< k x N
  Matrix<B> residual;       ///< 1 x N, relative to its terms
  Matrix<B> subgradient;    ///< 1 x N, in the unit of Q z
  Matrix<B> column_status;  ///< 1 x N, the number of an ExactStatus
  Matrix<B> pivots;         ///< 1 x N, how many of what pivot_limit bounds were made

  ExactStatus status = ExactStatus::optimal;  ///< of the worst column
  Scalar largest_residual = 0;                ///< over the columns, NaN if one is
  Scalar bound = 0;                           ///< on |u_j - u_star_j|_2, for every column j, in the unit of u
  Index iterations = 0;                       ///< the largest number of pivots

  Matrix<B> summary;  ///< 1 x 4: what the four numbers above were read from

  ExactFactors<B> factors;  ///< as ExactOptions says: none, unless it is asked for them
};

/// The result itself, or NotConverged with its status and residual where it is not optimal. Of a temporary:
/// its value.
template <Backend B>
ExactResult<B> const& require_optimal(ExactResult<B> const& result) {
  if (result.status != ExactStatus::optimal)
    throw NotConverged(message("exact: status ", name(result.status), ", residual ", result.largest_residual,
                               " of its terms"));
  return result;
}
template <Backend B>
ExactResult<B> require_optimal(ExactResult<B>&& result) {
  require_optimal(std::as_const(result));
  return std::move(result);
}

}  // namespace detrame::inline DETRAME_ABI
