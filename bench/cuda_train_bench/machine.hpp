// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../on_device.hpp"
#include "../train_bench/network.hpp"

/// A device, with its events and its memory.
struct OnDevice {
  using Backend = detrame::Cuda<float>;

  template <class F>
  static void time_calls(benchmark::State& state, Backend& gpu, F const& f) {
    bench::time_calls(state, gpu, f);
  }

  static void count(benchmark::State& state, Backend& gpu, double flops) {
    bench::count_flops(state, flops);
    bench::count_memory(state, gpu);
  }
};

using DeviceNetwork = BenchNetwork<>;
using MakeDeviceNetwork = MakeBenchNetwork<OnDevice>;
