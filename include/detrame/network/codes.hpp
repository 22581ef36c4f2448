// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "detrame/layer/concept.hpp"

namespace detrame::inline DETRAME_ABI {

/// What a layer of a network codes some samples in.
template <class Scalar>
struct LayerCodes {
  std::string place;     ///< "0.1"
  HostMatrix<Scalar> u;  ///< k x (sites samples)
};

/// u of each layer that codes, Dictionary or QMetric, for the samples of x, in the order of work: that of
/// `forward` in training mode where nothing is dropped.
///
/// Cost      a forward, whose tape is allocated, and a copy of each u
/// Tested    tests/network/start_from_dictionary_test.cpp
template <LayerMaps Net>
std::vector<LayerCodes<typename Net::Backend::Scalar>> codes(typename Net::Backend& backend, Net const& net,
                                                             typename Net::Parameters const& theta,
                                                             ConstView<typename Net::Backend> x) {
  using B = typename Net::Backend;
  if constexpr (requires { net.codes(backend, theta, x); }) {
    return net.codes(backend, theta, x);
  } else {
    std::vector<LayerCodes<typename B::Scalar>> all;
    walk_forward(
        [&](Path const& path, auto const&, auto const&, auto const& of_layer) {
          auto const add = [&](ConstView<B> u) {
            all.push_back({std::string(path.place()), to_host(backend, u)});
          };
          if constexpr (requires { of_layer.code.u; })  // an exact dictionary's
            add(of_layer.code.u);
          else if constexpr (requires { of_layer.u; })
            add(of_layer.u);
        },
        backend, net, theta, x);
    return all;
  }
}

}  // namespace detrame::inline DETRAME_ABI
