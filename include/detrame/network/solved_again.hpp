// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/layer/concept.hpp"

namespace detrame::inline DETRAME_ABI {

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
