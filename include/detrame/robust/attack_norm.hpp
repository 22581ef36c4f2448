// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>

#include "detrame/backend/concept.hpp"
#include "detrame/core/limits.hpp"

namespace detrame::inline DETRAME_ABI {

/// In which norm a perturbation is small.
enum class AttackNorm { l2, l_inf };

/// The norm of entry(0), ..., entry(n - 1), in double; NaN where one is.
template <class Entry>
double norm_in_double(AttackNorm norm, Index n, Entry const& entry) {
  double total = 0;
  for (Index i = 0; i < n; ++i) {
    double const v = std::abs(static_cast<double>(entry(i)));
    if (norm == AttackNorm::l2)
      total += v * v;
    else
      total = v > total || std::isnan(v) ? v : total;
    if (std::isnan(total)) return total;
  }
  return norm == AttackNorm::l2 ? std::sqrt(total) : total;
}

/// Moves the n scalars x towards those of x_0 until |x - x_0| <= radius, as norm_in_double has it of the
/// differences as they are stored: projections leave it exceeded by their rounding.
///
/// Requires  x and x_0 finite, radius >= 0.
/// Ensures   entries stay between those of x_0 and x; where x was within the radius they stay.
/// Tested    tests/robust/perturbation_norms_test.cpp
template <class Scalar>
void keep_within(AttackNorm norm, double radius, Index n, Scalar const* x_0, Scalar* x) {
  auto const difference = [&](Index i) { return static_cast<double>(x[i]) - static_cast<double>(x_0[i]); };
  if (norm == AttackNorm::l_inf) {
    for (Index i = 0; i < n; ++i) {
      if (std::abs(difference(i)) <= radius) continue;
      x[i] = static_cast<Scalar>(static_cast<double>(x_0[i]) + std::copysign(radius, difference(i)));
      while (std::abs(difference(i)) > radius) x[i] = std::nextafter(x[i], x_0[i]);
    }
    return;
  }
  double slack = static_cast<double>(limits::epsilon<Scalar>);
  for (double length = norm_in_double(norm, n, difference); length > radius;
       length = norm_in_double(norm, n, difference)) {
    double const shrunk = std::max(0., radius / length * (1 - slack));
    for (Index i = 0; i < n; ++i)
      x[i] = static_cast<Scalar>(static_cast<double>(x_0[i]) + shrunk * difference(i));
    slack *= 2;
  }
}

namespace detail {

/// The l2 norm of f(0), ..., f(n - 1) by the members of a team, of numbers whose squares may leave the range.
template <class Team, class F>
DETRAME_HOST_DEVICE auto column_norm(Team const& team, Index n, F const& f) {
  using Scalar = typename Team::Scalar;
  Scalar const largest = team.max(n, [=](Index i) {
    Scalar const v = f(i);
    return v < Scalar(0) ? -v : v;
  });
  if (!(largest > Scalar(0))) return largest;
  return largest * std::sqrt(team.sum(n, [=](Index i) {
           Scalar const v = f(i) / largest;
           return v * v;
         }));
}

/// 1, -1, and v where v is 0 or NaN.
template <class Scalar>
DETRAME_HOST_DEVICE constexpr Scalar sign(Scalar v) {
  return v > Scalar(0) ? Scalar(1) : v < Scalar(0) ? Scalar(-1) : v;
}

}  // namespace detail

}  // namespace detrame::inline DETRAME_ABI
