// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

#include "detrame/backend/in_double.hpp"
#include "detrame/core/parameters.hpp"
#include "detrame/layer/concept.hpp"

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
    std::vector<Matrix<Backend>> tensors;
    visit(
        [&](Path const&, auto const&, Matrix<typename Net::Backend> const& p) {
          auto const host = to_host(backend, p);
          tensors.push_back(to_device(
              wide, host_matrix<double>(host.rows(), host.cols(),
                                        [&](Index i, Index j) { return static_cast<double>(host(i, j)); })));
        },
        narrow);
    std::size_t next = 0;
    visit([&](Path const&, auto const&, Matrix<Backend>& p) { p = std::move(tensors[next++]); }, theta);
  }
};

}  // namespace detrame::inline DETRAME_ABI
