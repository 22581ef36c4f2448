// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/core/limits.hpp"
#include "detrame/core/matrix_view.hpp"

/// Numbers brought into range by powers of two, which round nothing,
/// and norms that neither overflow nor underflow.
namespace detrame::inline DETRAME_ABI::exact {

/// v 2^power
template <class Scalar>
DETRAME_HOST_DEVICE Scalar scaled(Scalar v, int power) {
  return power == 0 ? v : std::ldexp(v, power);
}

/// The same of a weight, which is infinite where v is, and nowhere else.
template <class Scalar>
DETRAME_HOST_DEVICE Scalar scaled_weight(Scalar v, int power) {
  Scalar const w = scaled(v, power);
  return w > limits::largest<Scalar> && v <= limits::largest<Scalar> ? limits::largest<Scalar> : w;
}

/// An upper bound of v 2^power for v >= 0: what is lost where the result is subnormal is added.
template <class Scalar>
DETRAME_HOST_DEVICE Scalar scaled_up(Scalar v, int power) {
  Scalar const w = scaled(v, power);
  return v > Scalar(0) && w < limits::smallest<Scalar> ? w + limits::least<Scalar> : w;
}

/// The power of two that brings a magnitude v into [1/2, 1); 0 where v is 0 or not finite. At most as large
/// as a scalar.
template <class Scalar>
DETRAME_HOST_DEVICE int to_one(Scalar v) {
  if (!(v > Scalar(0) && v <= limits::largest<Scalar>)) return 0;
  int exponent = 0;
  std::frexp(v, &exponent);
  return exponent < 3 - limits::exponent<Scalar> ? limits::exponent<Scalar> - 3 : -exponent;
}

/// The same where |v| is beyond 2^comfort or its inverse, else 0: products of a few numbers within overflow
/// nowhere, and what of them underflows is below their rounding.
template <class Scalar>
inline constexpr int comfort = limits::exponent<Scalar> / 5;

template <class Scalar>
DETRAME_HOST_DEVICE int into_range(Scalar v) {
  int const power = to_one(v);
  return power < -comfort<Scalar> || power > comfort<Scalar> ? power : 0;
}

/// |f|_2 of f(0), ..., f(n - 1), NaN if one is. Squares that leave the range are summed again, in the same
/// order, scaled.
template <class Team, class F>
DETRAME_HOST_DEVICE typename Team::Scalar norm(Team const& team, Index n, F const& f) {
  using Scalar = typename Team::Scalar;
  Scalar const plain = team.sum(n, [&](Index i) { return f(i) * f(i); });
  constexpr Scalar eps = limits::epsilon<Scalar>, safe = limits::smallest<Scalar> / (eps * eps);
  if (plain >= safe && plain <= limits::largest<Scalar>) return std::sqrt(plain);
  Scalar const largest = team.max(n, [&](Index i) { return std::abs(f(i)); });
  int const power = to_one(largest);
  Scalar const factor = scaled(Scalar(1), power);
  Scalar const square = team.sum(n, [&](Index i) {
    Scalar const v = f(i) * factor;
    return v * v;
  });
  return largest <= limits::largest<Scalar> ? scaled(std::sqrt(square), -power) : largest;
}

/// Of one column: it is solved for the code v = u 2^code, from its data times 2^data,
/// with weights lambda 2^weights.
struct Powers {
  int data = 0, code = 0, weights = 0;
};

}  // namespace detrame::inline DETRAME_ABI::exact
