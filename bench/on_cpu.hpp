// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <benchmark/benchmark.h>

#include "fma_peak.hpp"

namespace bench {

/// flop/s of a call's flops, and their share of what was measured on `threads` threads.
inline void count_flops(benchmark::State& state, double flops, int threads) {
  using benchmark::Counter;
  state.counters["flop/s"] = Counter(flops, Counter::kIsIterationInvariantRate);
  state.counters["of_peak"] = Counter(flops / fma_peak(threads), Counter::kIsIterationInvariantRate);
}

}  // namespace bench
