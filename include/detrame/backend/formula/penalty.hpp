// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/formula/activation.hpp"
#include "detrame/backend/formula/terms.hpp"
#include "detrame/core/host_device.hpp"
#include "detrame/core/limits.hpp"

/// Values and subgradients of the penalties.
namespace detrame::inline DETRAME_ABI::formula {

/// lambda |u| + beta/2 u^2, and infinity where u < 0 unless the penalty is two-sided. Infinite lambda and
/// beta cost nothing at u = 0.
template <bool two_sided>
struct PenaltyTerm {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar u, Scalar lambda, Scalar beta) const {
    if (!two_sided && u < Scalar(0)) return limits::infinity<Scalar>;
    return u == Scalar(0) ? u : lambda * Magnitude{}(u) + beta / Scalar(2) * (u * u);
  }
};

/// The minimum-norm subgradient at u of  1/2 <u - z, Q (u - z)> + psi(u),  with v = (Q (u - z))_i. Outside
/// the domain of psi it is infinite; where v is not finite, neither is it. An infinite beta holds u at 0, as
/// an infinite lambda does.
template <class Activation>
struct Subgradient {
  using Rule = typename RuleByType<Activation>::Rule;
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar u, Scalar v, Scalar lambda, Scalar beta) const {
    if (beta > limits::largest<Scalar>) return Rule{}.subgradient(u, v, beta);
    return Rule{}.subgradient(u, v + beta * u, lambda);
  }
};

}  // namespace detrame::inline DETRAME_ABI::formula
