// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>

#include "detrame/core/host_device.hpp"
#include "detrame/core/limits.hpp"
#include "detrame/core/matrix_view.hpp"

/// Activations, their adjoints and their kinks.
namespace detrame::inline DETRAME_ABI::formula {

/// t < 0 ? 0 : t, which lets NaN through (max(0, t) may not).
template <class Scalar>
DETRAME_HOST_DEVICE constexpr Scalar relu(Scalar t) {
  return t < Scalar{} ? Scalar{} : t;
}

/// sign(t) (|t| - b)_+, the prox of b |.|, for b >= 0, as t less its projection on [-b, b], which vectorises.
/// NaN stays NaN.
template <class Scalar>
DETRAME_HOST_DEVICE constexpr Scalar soft_threshold(Scalar t, Scalar b) {
  Scalar const clamped = t > b ? b : (t < -b ? -b : t);
  return t - clamped;
}

struct Relu {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& y, Scalar x) const {
    y = relu(x);
  }
};

/// x_bar <- y_bar 1[y != 0] with y >= 0 or NaN, which must not become a healthy-looking 0.
struct ReluPullback {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& x_bar, Scalar y_bar, Scalar y) const {
    x_bar = y != Scalar(0) ? y_bar : Scalar(0);
  }
};

/// The activations of the two penalties, u = A{}(t, b) with b >= 0: what minimises 1/2 (u - t)^2 + b rho(u),
/// where rho(u) = |u|, over u >= 0 and over all u. What else a penalty says of itself (metric/concept.hpp):
///
///   slope(u)                    du/dt as a function of the result: 1, at a kink 0
///   subgradient(u, g, lambda)   the element of least norm of g + lambda d rho(u), infinite outside the
///                               domain. Where g is not finite, neither is it; an infinite lambda means u = 0
///   kink(u, p)                  where rho has its next kink from u on in the direction of p != 0, else
///                               infinity of p's sign
///   margin(u, g, lambda)        how far (u, g), with -g in lambda d rho(u), is from having another slope; at
///                               least 0
///   scaled(power)               the rule of 2^power rho(u 2^-power): of the same penalty in another unit
///
/// A rule that is marked on_packets has A{}(t, b) and subgradient(u, g, lambda, infinity) for packets, too.
struct NonnegativeShrinkage {
  static constexpr bool two_sided = false, on_packets = true;
  DETRAME_HOST_DEVICE constexpr NonnegativeShrinkage scaled(int) const { return {}; }
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar t, Scalar b) const {
    return relu(t - b);
  }
  template <class Scalar>
  DETRAME_HOST_DEVICE static constexpr Scalar slope(Scalar u) {
    return u != Scalar(0) ? Scalar(1) : Scalar(0);
  }
  template <class Scalar>
  DETRAME_HOST_DEVICE static constexpr Scalar subgradient(Scalar u, Scalar g, Scalar lambda,
                                                          Scalar infinite = limits::infinity<Scalar>) {
    Scalar const slope = g + lambda, nothing = g - g;
    Scalar const at_zero = slope > Scalar{} ? nothing : slope;
    return u > Scalar{} ? slope : (u < Scalar{} ? infinite : at_zero);
  }
  template <class Scalar>
  DETRAME_HOST_DEVICE static constexpr Scalar kink(Scalar u, Scalar p) {
    return p > Scalar(0) ? limits::infinity<Scalar> : u > Scalar(0) ? Scalar(0) : -limits::infinity<Scalar>;
  }
  template <class Scalar>
  DETRAME_HOST_DEVICE static constexpr Scalar margin(Scalar u, Scalar g, Scalar lambda) {
    return u != Scalar(0) ? u : relu(lambda + g);
  }
};

struct SoftShrinkage {
  static constexpr bool two_sided = true, on_packets = true;
  DETRAME_HOST_DEVICE constexpr SoftShrinkage scaled(int) const { return {}; }
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar t, Scalar b) const {
    return soft_threshold(t, b);
  }
  template <class Scalar>
  DETRAME_HOST_DEVICE static constexpr Scalar slope(Scalar u) {
    return u != Scalar(0) ? Scalar(1) : Scalar(0);
  }
  template <class Scalar>
  DETRAME_HOST_DEVICE static constexpr Scalar subgradient(Scalar u, Scalar g, Scalar lambda,
                                                          Scalar = Scalar{}) {
    Scalar const up = g + lambda, down = g - lambda, at_zero = soft_threshold(g, lambda);
    return u > Scalar{} ? up : (u < Scalar{} ? down : at_zero);
  }
  template <class Scalar>
  DETRAME_HOST_DEVICE static constexpr Scalar kink(Scalar u, Scalar p) {
    if (p > Scalar(0)) return u < Scalar(0) ? Scalar(0) : limits::infinity<Scalar>;
    return u > Scalar(0) ? Scalar(0) : -limits::infinity<Scalar>;
  }
  template <class Scalar>
  DETRAME_HOST_DEVICE static constexpr Scalar margin(Scalar u, Scalar g, Scalar lambda) {
    return u != Scalar(0) ? (u < Scalar(0) ? -u : u) : relu(lambda - (g < Scalar(0) ? -g : g));
  }
};

/// rho'(u) off the kinks; at a kink 1, so that what it multiplies, 0 there or NaN, stays as it is.
template <class Rule, class Scalar>
DETRAME_HOST_DEVICE constexpr Scalar derivative(Rule const& rule, Scalar u) {
  return rule.slope(u) == Scalar(0) ? Scalar(1) : rule.subgradient(u, Scalar(0), Scalar(1));
}

/// The rule of a recursion, whose formulas know it by its type.
template <class Activation>
struct RuleByType {
  static_assert(std::is_empty_v<Activation>,
                "a recursion knows the rule of its penalty by its type alone: one whose Activation has data "
                "(the bounds of a box) is solved exactly, by exact_prox or exact_synthesis");
  using Rule = Activation;
};

/// u <- A(t, b)
template <class Activation>
struct Activate {
  using Rule = typename RuleByType<Activation>::Rule;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& u, Scalar t, Scalar b) const {
    u = Rule{}(t, b);
  }
};

/// -distance of t to the nearest kink of u = A(t, b)
template <class Activation>
struct NegativeKinkDistance {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar t, Scalar b) const {
    Scalar const s = Activation::two_sided && t < Scalar(0) ? -t : t;
    return s < b ? s - b : b - s;
  }
};

}  // namespace detrame::inline DETRAME_ABI::formula
