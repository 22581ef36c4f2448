// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/concept.hpp"
#include "detrame/core/parameters.hpp"

namespace detrame {

/// What trained parameters are kept to after each step (F3): W~ in D0 (zero diagonal), h in [0, 1], b >= 0;
/// for tied layers alpha >= alpha_min, beta >= 0, lambda >= 0. Everything else is free.
struct Constraints {
  double alpha_min = 1e-3;
};

/// The Euclidean projection of one parameter onto the set that its kind prescribes. NaN stays NaN.
template <Backend B>
void project(B& backend, Constraints const& constraints, Role role, typename B::View p) {
  using Scalar = typename B::Scalar;
  auto& lane = backend.lane();
  switch (role.kind) {
    case Kind::W_tilde: each_indexed(lane, formula::ZeroDiagonal{p.rows(), role.taps}, p); return;
    case Kind::h: each(lane, formula::Between<Scalar>{0, 1}, p); return;
    case Kind::alpha:
      each(lane, formula::AtLeast<Scalar>{static_cast<Scalar>(constraints.alpha_min)}, p);
      return;
    case Kind::b:
    case Kind::lambda:
    case Kind::beta: each(lane, formula::AtLeast<Scalar>{0}, p); return;
    case Kind::weight:
    case Kind::bias:
    case Kind::dictionary:
    case Kind::shift:
    case Kind::gain:
    case Kind::offset:
    case Kind::running_mean:
    case Kind::running_variance: return;
  }
}

/// Projects all parameters.
template <Backend B, class Theta>
void project(B& backend, Constraints const& constraints, Theta& theta) {
  visit([&](std::string_view, Role role, auto& p) { project(backend, constraints, role, p); }, theta);
}

}  // namespace detrame
