// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "detrame/layer/concept.hpp"

namespace detrame::inline DETRAME_ABI {

/// What a Q-metric layer of a network reads, or a part of a `Mixed` one.
template <class Scalar>
struct RecurrenceInput {
  std::string place;     ///< "3.branch.2", to which ".W_tilde" is added; "3.branch.2.1" of a part
  Shape shape;           ///< of a sample
  HostMatrix<Scalar> z;  ///< channels x (sites samples)
};

/// z of each W~, its channels alone, for the samples of x, in the order of work: that of `forward` in
/// training mode where nothing is dropped. BatchNorm takes the statistics of these samples.
///
/// Cost      a forward, whose tape is allocated, and a copy of each z
/// Tested    tests/network/recurrence_inputs_test.cpp
template <LayerMaps Net>
auto recurrence_inputs(typename Net::Backend& backend, Net const& net, typename Net::Parameters const& theta,
                       ConstView<typename Net::Backend> x) {
  using B = typename Net::Backend;
  if constexpr (requires { net.recurrence_inputs(backend, theta, x); }) {
    return net.recurrence_inputs(backend, theta, x);
  } else {
    std::vector<RecurrenceInput<typename B::Scalar>> all;
    walk_forward(
        [&]<class L>(Path const& path, L const&, auto const& parameters, auto const& of_layer) {
          if constexpr (requires { ConstView<B>(of_layer.z); }) {
            constexpr std::string_view name = "W_tilde";
            Index first = 0;  // the channel of z where the next W~ begins
            L::Parameters::visit(
                [&](std::string_view full, Role const& role, auto const& p) {
                  if (role.name != name) return;
                  Index const k = p.cols() / role.taps;
                  std::string place(full.substr(0, full.size() - name.size()));
                  if (!place.empty()) place.pop_back();
                  all.push_back({std::move(place), Shape{k, L::input.height, L::input.width},
                                 to_host(backend, ConstView<B>(of_layer.z).middle_rows(first, k))});
                  first += k;
                },
                path, parameters);
          }
        },
        backend, net, theta, x);
    return all;
  }
}

}  // namespace detrame::inline DETRAME_ABI
