// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/backend/formula/activation.hpp"
#include "detrame/core/host_device.hpp"
#include "detrame/core/limits.hpp"

/// Values and subgradients of the penalties; rules that have data.
namespace detrame::inline DETRAME_ABI::formula {

/// lambda rho(u) + beta/2 u^2, infinity outside the domain of rho. Infinite lambda and beta cost nothing at
/// u = 0, and infinity at any other, 0 as rho may be there.
template <class Rule>
struct PenaltyTerm {
  Rule rule;
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar u, Scalar lambda, Scalar beta) const {
    Scalar const rho = rule.value(u);
    if (rho > limits::largest<Scalar>) return rho;
    if (u == Scalar(0)) return u;
    Scalar const most = lambda > beta ? lambda : beta;
    return most > limits::largest<Scalar> ? rho + most : lambda * rho + beta / Scalar(2) * (u * u);
  }
};

/// The minimum-norm subgradient at u of  1/2 <u - z, Q (u - z)> + psi(u),  with v = (Q (u - z))_i. Outside
/// the domain of psi it is infinite; where v is not finite, neither is it. An infinite beta holds u at 0, as
/// an infinite lambda does.
template <class Rule>
struct Subgradient {
  Rule rule;
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar u, Scalar v, Scalar lambda, Scalar beta) const {
    if (beta > limits::largest<Scalar>) return rule.subgradient(u, v, beta);
    return rule.subgradient(u, v + beta * u, lambda);
  }
};

/// e with |v| in [2^(e - 1), 2^e), for v != 0.
template <class Scalar>
DETRAME_HOST_DEVICE int exponent_of(Scalar v) {
  int exponent = 0;
  std::frexp(v, &exponent);
  return exponent;
}

/// The rule of a box, rho = 0 on [low, high], low <= high, either of which may be infinite: A(t, b) is the
/// projection on it, whatever b is; an infinite one means u = 0.
template <class Bound>
struct Clamp {
  static constexpr bool on_packets = true;
  static constexpr char const* name = "Box";
  Bound low, high;

  DETRAME_HOST_DEVICE Clamp scaled(int power) const {
    return {std::ldexp(low, power), std::ldexp(high, power)};
  }
  /// No u is smaller than what is nearest to 0.
  DETRAME_HOST_DEVICE int unit(int power) const {
    Bound const nearest = (*this)(Bound(0), Bound(0));
    int const most = nearest == Bound(0) ? power : -exponent_of(nearest);
    return power < most ? power : most;
  }
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar t, Scalar b) const {
    Scalar const least = Scalar{} + low, most = Scalar{} + high;
    Scalar const u = t < least ? least : (t > most ? most : t);
    return b > Scalar{} + limits::largest<Bound> ? Scalar{} : u;
  }
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar value(Scalar u) const {
    return u < low || u > high ? limits::infinity<Scalar> : u - u;
  }
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar curvature(Scalar u) const {
    return u == low || u == high ? limits::infinity<Scalar> : Scalar(0);
  }
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar times_slope(Scalar v, Scalar u, Scalar b) const {
    Scalar const least = Scalar{} + low, most = Scalar{} + high;
    Scalar const free = b > Scalar{} + limits::largest<Bound> ? Scalar{} : v;
    return u == least ? Scalar{} : (u == most ? Scalar{} : free);
  }
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar subgradient(Scalar u, Scalar g, Scalar lambda,
                                                   Scalar infinite = limits::infinity<Scalar>) const {
    Scalar const least = Scalar{} + low, most = Scalar{} + high, nothing = g - g;
    Scalar const below = u < most ? g : (g < Scalar{} ? nothing : g);
    Scalar const within = u > least ? below : (below > Scalar{} ? nothing : below);
    Scalar const inside = u < least ? infinite : (u > most ? infinite : within);
    Scalar const at_zero = u == Scalar{} ? nothing : infinite;
    return lambda > Scalar{} + limits::largest<Bound> ? at_zero : inside;
  }
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar kink(Scalar, Scalar p) const {
    return p < Scalar(0) ? Scalar(low) : Scalar(high);
  }
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar margin(Scalar u, Scalar g, Scalar) const {
    if (u == low || u == high) return g < Scalar(0) ? -g : g;
    return u - low < high - u ? u - low : high - u;
  }
};

/// The rule of Huber's penalty, delta > 0: rho(u) = u^2 / (2 delta) where |u| <= delta, |u| - delta/2 beyond.
///
///   A(t, b) = t delta / (delta + b) where |t| <= delta + b, else t - b sign(t)
///
/// rho has no kink; what counts as one is |u| = delta, where its curvature jumps: it is 1/delta there.
template <class Width>
struct HuberShrinkage {
  static constexpr bool on_packets = true;
  static constexpr char const* name = "Huber";
  Width delta;

  DETRAME_HOST_DEVICE HuberShrinkage scaled(int power) const {
    Width const width = std::ldexp(delta, power);
    return {width < limits::smallest<Width> ? limits::smallest<Width> : width};
  }
  /// Nothing larger than 1 is brought near the end of the range with what is small.
  DETRAME_HOST_DEVICE int unit(int power) const {
    int const room = limits::exponent<Width> / 2 - exponent_of(delta), most = room > 0 ? room : 0;
    return power < most ? power : most;
  }
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar t, Scalar b) const {
    Scalar const width = Scalar{} + delta, reach = width + b, slope = width / reach;
    Scalar const curved = slope < Scalar{} + limits::smallest<Width> ? t / reach * width : t * slope;
    return t > reach ? t - b : (t < -reach ? t + b : curved);
  }
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar value(Scalar u) const {
    Scalar const size = u < Scalar(0) ? -u : u;
    return size > delta ? size - delta / Scalar(2) : u / Scalar(2) * (u / delta);
  }
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar curvature(Scalar u) const {
    return u > delta || u < -delta ? Scalar(0) : Scalar(1) / delta;
  }
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar times_slope(Scalar v, Scalar u, Scalar b) const {
    Scalar const width = Scalar{} + delta, curved = v * (width / (width + b));
    return u > width ? v : (u < -width ? v : curved);
  }
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar subgradient(Scalar u, Scalar g, Scalar lambda,
                                                   Scalar infinite = limits::infinity<Scalar>) const {
    Scalar const width = Scalar{} + delta, curved = g + lambda * (u / width);
    Scalar const finite = u > width ? g + lambda : (u < -width ? g - lambda : curved);
    Scalar const at_zero = u == Scalar{} ? g - g : infinite;
    return lambda > Scalar{} + limits::largest<Width> ? at_zero : finite;
  }
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar kink(Scalar u, Scalar p) const {
    Scalar const sign = p < Scalar(0) ? Scalar(-1) : Scalar(1), along = sign * u;
    return sign * (along < -delta ? -delta : along < delta ? delta : limits::infinity<Scalar>);
  }
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar margin(Scalar u, Scalar, Scalar) const {
    Scalar const size = u < Scalar(0) ? -u : u;
    return size > delta ? size - delta : delta - size;
  }
};

}  // namespace detrame::inline DETRAME_ABI::formula
