// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "detrame/backend/in_double.hpp"
#include "detrame/metric/synthesis.hpp"
#include "detrame/operator/definite.hpp"

namespace detrame::inline DETRAME_ABI {

/// A Lipschitz constant of x -> M_D(x) in the Euclidean norms, for every dictionary D.                   (L2)
///
///   |M_D(x) - M_D(x')| <= |x - x'| / (2 sqrt(alpha + beta))
///
/// Requires  alpha + beta > 0, else DomainError.
/// Ensures   rounded up; at most 1 for alpha + beta >= 1/4, up to that rounding, with no spectral
///           normalisation. It holds for the exact
///           solution; a truncated unroll may exceed it.
/// Source    docs/maths.md (L2): the Jacobians have the singular values sigma / (sigma^2 + alpha + beta) or
///           0.
/// Tested    tests/exact/theorems_test.cpp
template <class Scalar>
Scalar lipschitz_bound(Scalar alpha, std::type_identity_t<Scalar> beta) {
  if (!(alpha + beta > Scalar(0)))
    throw DomainError(message("lipschitz_bound: alpha + beta = ", alpha + beta, ", must be > 0"));
  double const sum = std::min(static_cast<double>(alpha) + static_cast<double>(beta),
                              std::numeric_limits<double>::max());  // of numbers, not infinite
  return detail::as_bound<Scalar>(1 / (2 * std::sqrt(sum)));
}

template <Backend B>
typename B::Scalar lipschitz_bound(Synthesis<B> const& problem) {
  return lipschitz_bound(problem.alpha, problem.beta);
}

/// The Lipschitz constant of z -> W z, |W|_2, from above: shown by a Cholesky factor of the smaller of W W^T
/// and W^T W, on the host, so that it exceeds |W|_2 by rounding alone, and no square leaves the range. Cost
/// min(m, k)^2 max(m, k).
template <Backend B>
typename B::Scalar lipschitz_constant(B& backend, Input<B> W) {
  return detail::rounded_up<typename B::Scalar>(
      detail::norm_from_above(backend, detail::doubles_of(backend, W)));
}

}  // namespace detrame::inline DETRAME_ABI
