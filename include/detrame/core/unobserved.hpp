// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace detrame {

/// Nobody watches long work: an observer of any progress, which never stops it.
struct Unobserved {
  template <class Progress>
  constexpr bool operator()(Progress const&) const {
    return true;
  }
};

}  // namespace detrame
