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

/// Problems that dictionary layers solved, columns or images, and how many of them their scalar could not
/// certify, so that they were solved again in double.
struct SolvedAgain {
  Index problems = 0, again = 0;
};

/// Of all exact dictionaries of a network, in the last forward with this tape, before a pullback or after it.
///
/// Tested    tests/network/start_from_dictionary_test.cpp
template <LayerMaps Net>
SolvedAgain solved_again(Net const& net, typename Net::Parameters const& theta,
                         typename Net::Tape const& tape) {
  if constexpr (requires { net.solved_again(theta, tape); }) {
    return net.solved_again(theta, tape);
  } else {
    SolvedAgain sum;
    walk(
        [&](Path const&, auto const&, auto const&, auto const& of_layer) {
          if constexpr (requires { of_layer.solved_in_double.columns(); }) {
            sum.problems += of_layer.code.column_status.cols();
            sum.again += static_cast<Index>(of_layer.solved_in_double.columns().size());
          }
        },
        net, Path(), theta, tape);
    return sum;
  }
}

}  // namespace detrame::inline DETRAME_ABI
