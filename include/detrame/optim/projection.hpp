// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/backend/concept.hpp"
#include "detrame/core/limits.hpp"
#include "detrame/core/parameters.hpp"

namespace detrame::inline DETRAME_ABI {

namespace formula {

/// A projection of Algorithm 2: p in [low, high], NaN stays NaN; then the zero diagonal.
template <class Scalar>
struct Projection {
  Scalar low = -limits::infinity<Scalar>, high = limits::infinity<Scalar>;
  ZeroDiagonal diagonal{};
  DETRAME_HOST_DEVICE void operator()(Index i, Index j, Scalar& p) const {
    p = p < low ? low : (p > high ? high : p);
    diagonal(i, j, p);
  }
};

}  // namespace formula

/// What trained parameters are kept to after each step is said by their roles (F3): an interval, and whether
/// they are in D0. From the ends of an open interval, such as alpha > 0, they stay away by the margin.
struct Constraints {
  double margin = 1e-3;
};

namespace detail {
/// An end of an interval with a margin, rounded inwards: towards -infinity or infinity.
template <class Scalar>
Scalar end_within(double end, double margin, double inwards) {
  double const at = inwards > 0 ? end + margin : end - margin;
  Scalar const rounded = static_cast<Scalar>(at);
  bool const outside = inwards > 0 ? rounded < at : rounded > at;
  bool const touches = margin > 0 && std::isfinite(end) && static_cast<double>(rounded) == end;
  return outside || touches ? std::nextafter(rounded, static_cast<Scalar>(inwards)) : rounded;
}
}  // namespace detail

/// The Euclidean projection onto the set that a parameter's role prescribes, as a formula of its entries. NaN
/// stays NaN.
///
/// Requires  a set that is not empty, else DomainError.
template <class Scalar>
formula::Projection<Scalar> projection(Constraints const& constraints, Role const& role, Index rows) {
  double const margin = role.open ? constraints.margin : 0;
  if (!(role.low + margin <= role.high - margin))
    throw DomainError(message("projection: ", role.name, " in [", role.low + margin, ", ", role.high - margin,
                              "], which is empty"));
  return {.low = detail::end_within<Scalar>(role.low, margin, limits::infinity<double>),
          .high = detail::end_within<Scalar>(role.high, margin, -limits::infinity<double>),
          .diagonal = role.taps > 0 && !role.free_diagonal ? formula::ZeroDiagonal(rows, role.taps)
                                                           : formula::ZeroDiagonal()};
}

/// Projects one parameter.
template <Backend B>
void project(B& backend, Constraints const& constraints, Role const& role, View<B> p) {
  each_indexed(backend.lane(), projection<typename B::Scalar>(constraints, role, p.rows()), p);
}

/// Projects all parameters.
template <Backend B, class Theta>
void project(B& backend, Constraints const& constraints, Theta& theta) {
  using Scalar = typename B::Scalar;
  Items<B, formula::Projection<Scalar>, View<B>> items(backend);
  visit([&](std::string_view, Role const& role,
            auto& p) { items.add(projection<Scalar>(constraints, role, p.rows()), p); },
        theta);
  items.finish();
}

}  // namespace detrame::inline DETRAME_ABI
