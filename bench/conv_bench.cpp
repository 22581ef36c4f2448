// SPDX-License-Identifier: Apache-2.0
// How fast is the convolutional Q-metric ReLU, the unroll and its pullback,
// against the flops of their Cost lines?
#include "conv_case.hpp"
#include "detrame/backend/cpu/backend.hpp"
#include "on_cpu.hpp"

namespace {

using namespace bench;
using namespace detrame;

template <class Structure>
void convolution(benchmark::State& state, Way way, ConvCase const& c, int threads) {
  Cpu<float> cpu(threads);
  bool const with_pullback = way != Way::forward;
  ConvProblem<Cpu<float>, Structure> p(cpu, c, way == Way::forward_pullback);
  for (auto _ : state) {
    p.forward();
    if (with_pullback) p.pullback();
    benchmark::ClobberMemory();
  }
  count_flops(state, c.product() * static_cast<double>(with_pullback ? 3 * c.T : c.T), threads);
  auto const MB = [](std::size_t bytes) { return static_cast<double>(bytes) * 1e-6; };
  state.counters["lane_MB"] = MB(cpu.lane().arena().held());
  state.counters["sums_MB"] = MB(cpu.partial_sums().held());
  state.counters["states_MB"] = MB(static_cast<std::size_t>(p.states.size()) * sizeof(float));
}

template <class Structure>
void add(std::string const& arithmetic) {
  for (int threads : {1, 2})
    for (ConvCase const& c : conv_cases)
      for (Way way : {Way::forward, Way::forward_pullback, Way::forward_pullback_recompute}) {
        auto const name = "QMetricReLU/" + arithmetic + "/" + name_of(way) + c.name() +
                          "/threads:" + std::to_string(threads);
        benchmark::RegisterBenchmark(name.c_str(), convolution<Structure>, way, c, threads)->UseRealTime();
      }
}

int const registered = [] {
  add<ConvolutionalBlocksBy<Winograd<4>>>("conv");
  add<ConvolutionalBlocksBy<Winograd<2>>>("winograd2");
  add<ConvolutionalBlocks>("direct");
  return 0;
}();

}  // namespace

BENCHMARK_MAIN();
