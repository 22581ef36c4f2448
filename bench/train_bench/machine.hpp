// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>

#include "../on_cpu.hpp"
#include "detrame/backend/cpu/backend.hpp"
#include "network.hpp"

/// A line of /proc/self/status in MB (1e6 bytes); NaN where there is none.
inline double status_MB(std::string const& line) {
  std::ifstream status("/proc/self/status");
  double kB = 0;
  for (std::string word; status >> word;)
    if (word == line && status >> kB) return kB * 1024e-6;
  return std::numeric_limits<double>::quiet_NaN();
}

/// What the program holds before any case is made.
inline double const resident_at_start_MB = status_MB("VmRSS:");

/// The CPU, with so many threads.
struct OnCpu {
  using Backend = detrame::Cpu<float>;

  /// Times the calls of f(), of which one before them allocates.
  template <class F>
  static void time_calls(benchmark::State& state, Backend&, F const& f) {
    f();
    for (auto _ : state) {
      f();
      benchmark::ClobberMemory();
    }
  }

  /// The largest memory that the process ever held, beyond what it started with, too: that of this case where
  /// no other ran before it.
  static void count(benchmark::State& state, Backend&, double flops, int threads) {
    state.counters["peak_MB"] = status_MB("VmHWM:") - resident_at_start_MB;
    bench::count_flops(state, flops, threads);
  }
};

using CpuNetwork = BenchNetwork<int>;  // the number of threads
using MakeCpuNetwork = MakeBenchNetwork<OnCpu, int>;
