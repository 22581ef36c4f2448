// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <ctime>

#include "detrame/core/abi.hpp"

namespace detrame::inline DETRAME_ABI {

struct Lap {
  double seconds, processor_seconds;  ///< those of all threads together
};

/// Wall and processor seconds since the last call.
class Stopwatch {
 public:
  Lap lap() {
    auto const now = std::chrono::steady_clock::now();
    auto const processor = std::clock();
    Lap const lap{std::chrono::duration<double>(now - since_).count(),
                  static_cast<double>(processor - processor_since_) / CLOCKS_PER_SEC};
    since_ = now;
    processor_since_ = processor;
    return lap;
  }

 private:
  std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();
  std::clock_t processor_since_ = std::clock();
};

}  // namespace detrame::inline DETRAME_ABI
