// SPDX-License-Identifier: Apache-2.0
#pragma once

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

/// What both shrinkages say: lines with a kink at 0.
struct Lines {
  static constexpr bool on_packets = true;
  template <class Scalar>
  DETRAME_HOST_DEVICE static constexpr Scalar curvature(Scalar u) {
    return u != Scalar(0) ? Scalar(0) : limits::infinity<Scalar>;
  }
  template <class Scalar>
  DETRAME_HOST_DEVICE static constexpr Scalar times_slope(Scalar v, Scalar u, Scalar) {
    return u != Scalar{} ? v : Scalar{};
  }
};

/// The rules of the shrinkages, u = A(t, b) with b >= 0: what minimises 1/2 (u - t)^2 + b rho(u), where
/// rho(u) = |u|, over u >= 0 and over all u. What a rule says of itself (metric/concept.hpp):
///
///   value(u)                    rho(u), infinite outside the domain
///   curvature(u)                rho'' at u: 0 where rho is a line, infinite at a kink
///   times_slope(v, u, b)        v du/dt as a function of the result: v / (1 + b rho''(u)), at a kink 0
///   subgradient(u, g, lambda)   the element of least norm of g + lambda d rho(u), infinite outside the
///                               domain. Where g is not finite, neither is it; an infinite lambda means u = 0
///   kink(u, p)                  where rho has its next kink from u on in the direction of p != 0, else
///                               infinity of p's sign
///   margin(u, g, lambda)        how far (u, g), with -g in lambda d rho(u), is from having another slope; at
///                               least 0
///   scaled(power)               the rule of 2^power rho(u 2^-power): of the same penalty in another unit
///   unit(power)                 the power for codes where the data alone ask for `power`
///
/// A rule that is marked on_packets has A(t, b), times_slope(v, u, b) and subgradient(u, g, lambda, infinity)
/// for packets, too.
struct NonnegativeShrinkage : Lines {
  static constexpr bool two_sided = false;
  static constexpr char const* name = "NonnegativeElasticNet";
  DETRAME_HOST_DEVICE constexpr NonnegativeShrinkage scaled(int) const { return {}; }
  DETRAME_HOST_DEVICE static constexpr int unit(int power) { return power; }
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar t, Scalar b) const {
    return relu(t - b);
  }
  template <class Scalar>
  DETRAME_HOST_DEVICE static constexpr Scalar value(Scalar u) {
    return u < Scalar(0) ? limits::infinity<Scalar> : u;
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

struct SoftShrinkage : Lines {
  static constexpr bool two_sided = true;
  static constexpr char const* name = "ElasticNet";
  DETRAME_HOST_DEVICE constexpr SoftShrinkage scaled(int) const { return {}; }
  DETRAME_HOST_DEVICE static constexpr int unit(int power) { return power; }
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar t, Scalar b) const {
    return soft_threshold(t, b);
  }
  template <class Scalar>
  DETRAME_HOST_DEVICE static constexpr Scalar value(Scalar u) {
    return u < Scalar(0) ? -u : u;
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

/// Whether rho is |u| on u >= 0: its derivative is 1 wherever it has one.
template <class Rule>
inline constexpr bool one_sided = requires { requires !Rule::two_sided; };

/// lambda rho''(u): what a solved entry adds to the diagonal of H, infinite where it is held, at a kink or by
/// an infinite lambda.
template <class Rule, class Scalar>
DETRAME_HOST_DEVICE constexpr Scalar curvature(Rule const& rule, Scalar u, Scalar lambda) {
  Scalar const of_rho = rule.curvature(u);
  if (of_rho > limits::largest<Scalar> || lambda > limits::largest<Scalar>) return limits::infinity<Scalar>;
  return lambda * of_rho;
}

/// Whether a solved entry stays where it is when the data change a little.
template <class Rule, class Scalar>
DETRAME_HOST_DEVICE constexpr bool held(Rule const& rule, Scalar u, Scalar lambda) {
  return curvature(rule, u, lambda) > limits::largest<Scalar>;
}

/// rho'(u) off the kinks; at a kink 1, so that what it multiplies, 0 there or NaN, stays as it is.
template <class Rule, class Scalar>
DETRAME_HOST_DEVICE constexpr Scalar derivative(Rule const& rule, Scalar u) {
  return held(rule, u, Scalar(1)) ? Scalar(1) : rule.subgradient(u, Scalar(0), Scalar(1));
}

/// -rho'(u) p, where p = 0 at a kink: the share of b in a cotangent of u = A(t, b), p that of t.
template <class Rule>
struct NegativeOfThreshold {
  Rule rule;
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar u, Scalar p) const {
    if constexpr (requires { Rule::two_sided; })  // the same, in a form that compilers make vectors of
      return u > Scalar(0) ? -p : (u < Scalar(0) ? p : Scalar(0));
    else
      return -rule.subgradient(u, Scalar(0), p);
  }
};

/// u <- A(t, b)
template <class Rule>
struct Activate {
  Rule rule;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& u, Scalar t, Scalar b) const {
    u = rule(t, b);
  }
};

/// -distance of t to the nearest kink of u = A(t, b): that of u, where A is no line of slope 1 over the slope
template <class Rule>
struct NegativeKinkDistance {
  Rule rule;
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar t, Scalar b) const {
    Scalar const u = rule(t, b), bend = curvature(rule, u, b), margin = rule.margin(u, u - t, b);
    return bend > Scalar(0) && bend <= limits::largest<Scalar> ? -(margin + bend * margin) : -margin;
  }
};

}  // namespace detrame::inline DETRAME_ABI::formula
