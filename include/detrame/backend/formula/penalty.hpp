// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/backend/formula/activation.hpp"
#include "detrame/backend/formula/terms.hpp"
#include "detrame/core/host_device.hpp"
#include "detrame/core/limits.hpp"

/// Values and subgradients of the penalties.
namespace detrame::formula {

/// lambda |u| + beta/2 u^2, and infinity where u < 0 unless the penalty is two-sided.
template <bool two_sided>
struct PenaltyTerm {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar u, Scalar lambda, Scalar beta) const {
    if (!two_sided && u < Scalar(0)) return limits::infinity<Scalar>;
    return lambda * Magnitude{}(u) + beta / Scalar(2) * (u * u);
  }
};

/// The minimum-norm subgradient at u of  1/2 <u - z, Q (u - z)> + psi(u),  with v = (Q (u - z))_i. Outside
/// the domain of psi it is infinite; where v is not finite, neither is it.
template <class Activation>
struct Subgradient {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar u, Scalar v, Scalar lambda, Scalar beta) const {
    Scalar const g = v + beta * u;
    if (u > Scalar(0)) return g + lambda;
    if (u < Scalar(0)) return Activation::two_sided ? g - lambda : static_cast<Scalar>(INFINITY);
    if (Activation::two_sided) return soft_threshold(g, lambda);
    return g + lambda > Scalar(0) ? g - g : g + lambda;
  }
};

}  // namespace detrame::formula
