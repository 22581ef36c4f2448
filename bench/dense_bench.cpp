// SPDX-License-Identifier: Apache-2.0
// How fast is the dense Q-metric ReLU, the unroll and its pullback, against the flops of their Cost lines?
#include "dense_case.hpp"
#include "detrame/backend/cpu/backend.hpp"
#include "on_cpu.hpp"

namespace {

using namespace bench;
using namespace detrame;

void dense(benchmark::State& state, Way way, DenseCase const& c, int threads) {
  Cpu<float> cpu(threads);
  DenseProblem<Cpu<float>> p(cpu, c);
  for (auto _ : state) {
    p.forward(way == Way::forward_pullback);
    if (way != Way::forward) p.pullback(way == Way::forward_pullback);
    benchmark::ClobberMemory();
  }
  count_flops(state, c.product() * products(way, c.T), threads);
}

int const registered = [] {
  auto const add = [](std::string const& name, Way way, DenseCase const& c, int threads) {
    auto const full = "QMetricReLU/dense/" + name + c.name() + "/threads:" + std::to_string(threads);
    benchmark::RegisterBenchmark(full.c_str(), dense, way, c, threads)->UseRealTime();
  };
  for (int threads : {1, 2})
    for (DenseCase const& c : dense_cases) {
      add("forward", Way::forward, c, threads);
      add("forward_pullback", Way::forward_pullback, c, threads);
      add("forward_pullback_recomputed", Way::forward_pullback_recompute, c, threads);
    }
  return 0;
}();

}  // namespace

BENCHMARK_MAIN();
