// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/core/abi.hpp"

namespace detrame::inline DETRAME_ABI {

/// Nobody watches long work: an observer of any progress, which never stops it.
struct Unobserved {
  template <class Progress>
  constexpr bool operator()(Progress const&) const {
    return true;
  }
};

}  // namespace detrame::inline DETRAME_ABI
