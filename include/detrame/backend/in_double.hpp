// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/core/abi.hpp"

namespace detrame::inline DETRAME_ABI {

template <class Scalar>
class Cpu;

/// The backend that works in double where the numbers of B do not suffice: the CPU,
/// unless B has one of its own.
template <class B>
struct InDouble {
  using Backend = Cpu<double>;
};

}  // namespace detrame::inline DETRAME_ABI
