// SPDX-License-Identifier: Apache-2.0
// What are the machine's peaks of arithmetic and of memory, and how much does a product of the library's
// backend reach?
#include <benchmark/benchmark.h>

#include <string>

#include "detrame/backend/cpu/backend.hpp"
#include "fma_peak.hpp"

namespace {

using namespace detrame;

void peak(benchmark::State& state, int threads) {
  double flops = 0;
  for (auto _ : state) flops = std::max(flops, fma_peak(threads));
  state.counters["flop/s"] = flops;
}

/// a = b + s c on one thread, in its processor time; the three arrays take `bytes` together. 12 bytes an
/// entry are counted, as STREAM does.
void triad(benchmark::State& state, Index bytes) {
  Index const n = bytes / 12;
  Eigen::VectorXf a = Eigen::VectorXf::Zero(n), b = Eigen::VectorXf::Ones(n), c = b;
  for (auto _ : state) {
    a = b + .5f * c;
    benchmark::ClobberMemory();
  }
  state.counters["B/s"] =
      benchmark::Counter(12. * static_cast<double>(n), benchmark::Counter::kIsIterationInvariantRate);
}

/// V = W U with W: k x k and U: k x N, in chunks of whatever width the backend chooses.
void product(benchmark::State& state, Index k, Index N, int threads) {
  Cpu<float> cpu(threads);
  Cpu<float>::Matrix const W = Cpu<float>::Matrix::Random(k, k), U = Cpu<float>::Matrix::Random(k, N);
  Cpu<float>::Matrix V = Cpu<float>::Matrix::Zero(k, N);
  for (auto _ : state) {
    each_chunk(cpu, Batch{N}, 2 * k, [&](CpuLane<float>& lane, Columns c) {
      gemm(lane, 1, W, Op::none, columns(Cpu<float>::ConstView(U), c), Op::none, 0,
           columns(Cpu<float>::View(V), c));
    });
    benchmark::ClobberMemory();
  }
  double const flops = 2. * static_cast<double>(k * k * N);
  state.counters["flop/s"] = benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["of_peak"] =
      benchmark::Counter(flops / fma_peak(threads), benchmark::Counter::kIsIterationInvariantRate);
}

int const registered = [] {
  for (int threads : {1, 2}) {
    auto const end = "/threads:" + std::to_string(threads);
    benchmark::RegisterBenchmark(("peak/fma/float" + end).c_str(), peak, threads)->Iterations(1);
    for (Index k : {64, 256, 1024})
      benchmark::RegisterBenchmark(("peak/product/float/k:" + std::to_string(k) + "/N:1024" + end).c_str(),
                                   product, k, Index{1024}, threads)
          ->UseRealTime();
  }
  for (Index KiB : {192, 6144, 393216})  // in an L2 cache, beyond it, beyond an L3 cache
    benchmark::RegisterBenchmark(("peak/triad/float/KiB:" + std::to_string(KiB)).c_str(), triad, KiB * 1024);
  return 0;
}();

}  // namespace

BENCHMARK_MAIN();
