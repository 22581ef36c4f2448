// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <benchmark/benchmark.h>

#include <iostream>
#include <string>

#include "detrame/backend/cuda/backend.hpp"

/// Cases on a device: their time by its own events, what they reach of what it can do at most.
namespace bench {

using detrame::Cuda;

/// A pair of events on one stream.
class DeviceTimer {
 public:
  explicit DeviceTimer(cudaStream_t stream) : stream_(stream) {
    DETRAME_CUDA(cudaEventCreate(&begin_));
    DETRAME_CUDA(cudaEventCreate(&end_));
  }
  DeviceTimer(DeviceTimer const&) = delete;
  DeviceTimer& operator=(DeviceTimer const&) = delete;
  ~DeviceTimer() {
    cudaEventDestroy(begin_);
    cudaEventDestroy(end_);
  }

  void start() { DETRAME_CUDA(cudaEventRecord(begin_, stream_)); }

  /// Seconds from start() until the device has done all that was launched meanwhile.
  double stop() {
    DETRAME_CUDA(cudaEventRecord(end_, stream_));
    DETRAME_CUDA(cudaEventSynchronize(end_));
    float milliseconds = 0;
    DETRAME_CUDA(cudaEventElapsedTime(&milliseconds, begin_, end_));
    return 1e-3 * static_cast<double>(milliseconds);
  }

 private:
  cudaStream_t stream_;
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
};

/// Times the calls of f(), one after the other: the host launches the next one while the device works on the
/// last, unless f itself waits. A call before them allocates and loads the kernels.
template <class Scalar, class F>
void time_calls(benchmark::State& state, Cuda<Scalar>& gpu, F&& f) {
  f();
  DeviceTimer timer(gpu.lane().stream());
  timer.start();
  for (auto _ : state) f();
  state.SetIterationTime(timer.stop());  // of all iterations together
}

/// What a device can do at most, by its attributes: 0 where it does not tell its clocks.
struct DevicePeak {
  double float_flops, bytes;  ///< a second

  static DevicePeak of_current() {
    int device = 0;
    DETRAME_CUDA(cudaGetDevice(&device));
    auto const attribute = [&](cudaDeviceAttr what) {
      int value = 0;
      DETRAME_CUDA(cudaDeviceGetAttribute(&value, what, device));
      return static_cast<double>(value);
    };
    double const major = attribute(cudaDevAttrComputeCapabilityMajor),
                 minor = attribute(cudaDevAttrComputeCapabilityMinor);
    // Multiply-adds of a multiprocessor in a cycle: 64 in 7.x and 8.0, 128 in 8.6 and later ones.
    double const multiply_adds = major < 8 || (major == 8 && minor == 0) ? 64 : 128;
    return {
        2 * multiply_adds * attribute(cudaDevAttrMultiProcessorCount) * 1e3 * attribute(cudaDevAttrClockRate),
        // twice a cycle of the memory's clock, over all wires
        2 * 1e3 * attribute(cudaDevAttrMemoryClockRate) * attribute(cudaDevAttrGlobalMemoryBusWidth) / 8};
  }
};

/// A counter of what a call makes, as a rate, and its share of the device's peak where that is known.
inline void count_rate(benchmark::State& state, char const* rate, char const* share, double amount,
                       double peak) {
  using benchmark::Counter;
  state.counters[rate] = Counter(amount, Counter::kIsIterationInvariantRate);
  if (peak > 0) state.counters[share] = Counter(amount / peak, Counter::kIsIterationInvariantRate);
}

/// flop/s of a call's flops in float.
inline void count_flops(benchmark::State& state, double flops) {
  count_rate(state, "flop/s", "of_peak", flops, DevicePeak::of_current().float_flops);
}

/// B/s of the bytes that a call's kernels must move by their comments. What stays in the L2 cache can exceed
/// the memory's bandwidth.
inline void count_bytes(benchmark::State& state, double bytes) {
  count_rate(state, "B/s", "of_bandwidth", bytes, DevicePeak::of_current().bytes);
}

/// Memory that a backend took.
template <class Scalar>
void count_memory(benchmark::State& state, Cuda<Scalar>& gpu) {
  state.counters["device_MB"] = static_cast<double>(gpu.lane().pool()->held()) * 1e-6;
}

/// A case `name`, timed by the device.
template <class F>
benchmark::internal::Benchmark* add_case(std::string const& name, F const& f) {
  return benchmark::RegisterBenchmark((name + "/device").c_str(), f)->UseManualTime();
}

/// Whether there is a device; says so where there is none.
inline bool device_is_here() {
  if (Cuda<float>::available()) return true;
  std::cout << "skipped: no CUDA device here\n";
  return false;
}

/// The exit status of a program without a device.
inline constexpr int skipped = 77;

/// Runs the cases that the words of the command line choose.
inline int run_cases(int count, char** words) {
  benchmark::Initialize(&count, words);
  if (benchmark::ReportUnrecognizedArguments(count, words)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace bench
