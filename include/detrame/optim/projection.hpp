// SPDX-License-Identifier: Apache-2.0
#pragma once

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

/// What trained parameters are kept to after each step (F3): W~ in D0 (zero diagonal), h in [0, 1], b >= 0;
/// for tied layers alpha >= alpha_min, beta >= 0, lambda >= 0. Everything else is free.
struct Constraints {
  double alpha_min = 1e-3;
};

/// The Euclidean projection onto the set that a parameter's role prescribes, as a formula of its entries. NaN
/// stays NaN.
template <class Scalar>
formula::Projection<Scalar> projection(Constraints const& constraints, Role role, Index rows) {
  switch (role.kind) {
    case Kind::W_tilde: return {.diagonal = formula::ZeroDiagonal(rows, role.taps)};
    case Kind::h: return {.low = 0, .high = 1};
    case Kind::alpha: return {.low = static_cast<Scalar>(constraints.alpha_min)};
    case Kind::b:
    case Kind::lambda:
    case Kind::beta: return {.low = 0};
    case Kind::weight:
    case Kind::bias:
    case Kind::dictionary:
    case Kind::shift:
    case Kind::gain:
    case Kind::offset:
    case Kind::running_mean:
    case Kind::running_variance: break;
  }
  return {};
}

/// Projects one parameter.
template <Backend B>
void project(B& backend, Constraints const& constraints, Role role, View<B> p) {
  each_indexed(backend.lane(), projection<typename B::Scalar>(constraints, role, p.rows()), p);
}

/// Projects all parameters.
template <Backend B, class Theta>
void project(B& backend, Constraints const& constraints, Theta& theta) {
  using Scalar = typename B::Scalar;
  Items<B, formula::Projection<Scalar>, View<B>> items(backend);
  visit([&](std::string_view, Role role,
            auto& p) { items.add(projection<Scalar>(constraints, role, p.rows()), p); },
        theta);
  items.finish();
}

}  // namespace detrame::inline DETRAME_ABI
