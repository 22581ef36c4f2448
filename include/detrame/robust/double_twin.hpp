// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/in_double.hpp"
#include "detrame/layer/host_parameters.hpp"

namespace detrame::inline DETRAME_ABI {

/// A network with the parameters of another one, in double: what a certificate charges for rounding is then
/// next to nothing, and what it proves is proved of this one.                                            (R6)
///
///   DoubleTwin<Net> const twin(backend, theta);                // theta: of a Net in float
///   Certifier certifier(wide, twin.net, twin.theta);           // wide: a DoubleTwin<Net>::Backend
///
/// Requires  a Net that names its recipe, as those that are made of recipes do.
/// Ensures   the same numbers, each of which double holds.
/// Tested    tests/robust/reflected_bounds_test.cpp
template <Layer Net>
struct DoubleTwin {
  using Backend = typename InDouble<typename Net::Backend>::Backend;
  using From = typename Net::FromRecipe;
  using Twin = typename From::template Layer<Net::input, Backend>;

  Twin net{};
  typename Twin::Parameters theta;

  DoubleTwin(typename Net::Backend& backend, typename Net::Parameters const& narrow) {
    Backend wide;
    theta = net.parameters(wide);
    assign_parameters(backend, narrow, wide, theta);
  }
};

}  // namespace detrame::inline DETRAME_ABI
