// SPDX-License-Identifier: Apache-2.0
// How fast is the convolutional Q-metric ReLU, the unroll and its pullback, against the flops of their Cost lines?
#include <benchmark/benchmark.h>

#include <string>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/operator/convolutional_blocks.hpp"
#include "detrame/prox/unrolled_pullback.hpp"
#include "fma_peak.hpp"

namespace {

using namespace detrame;
using B = Cpu<float>;

/// C channels, images of edge x edge, a 3 x 3 kernel; iterates stay of the size of their input.
template <class Structure>
struct Problem {
  Structure shape;
  B::Matrix W_tilde, h, b, Z, U, states, U_bar, Z_bar, W_tilde_bar, h_bar, b_bar;
  Index T;

  Problem(Index C, Index edge, Index T_, Index images, bool store)
      : shape{edge, edge, 3},
        W_tilde(B::Matrix::Random(C, 9 * C) * (.5f / (3 * std::sqrt(static_cast<float>(C))))),
        h(B::Matrix::Constant(C, 1, .9f)),
        b(B::Matrix::Constant(C, 1, .01f)),
        Z(B::Matrix::Random(C, images * shape.unit())),
        U(C, Z.cols()),
        states(C, store ? StoreStates::columns(T_, Z.cols()) : 0),
        U_bar(B::Matrix::Ones(C, Z.cols())),
        Z_bar(C, Z.cols()),
        W_tilde_bar(B::Matrix::Zero(C, 9 * C)),
        h_bar(B::Matrix::Zero(C, 1)),
        b_bar(B::Matrix::Zero(C, 1)),
        T(T_) {}

  void forward(B& cpu) {
    unrolled_prox(cpu, shape, formula::NonnegativeShrinkage{}, W_tilde, h, b, Z, T, U, B::View(states));
  }
  void pullback(B& cpu) {
    unrolled_prox_pullback(cpu, shape, formula::NonnegativeShrinkage{}, W_tilde, h, b, Z, T, U, states, U_bar,
                           Z_bar, W_tilde_bar, h_bar, b_bar);
  }
};

enum class Way { forward, forward_pullback, forward_pullback_recompute };
constexpr char const* name_of(Way way) {
  return way == Way::forward            ? "forward"
         : way == Way::forward_pullback ? "forward_pullback"
                                        : "forward_pullback_recompute";
}

template <class Structure>
void convolution(benchmark::State& state, Way way, Index C, Index edge, Index T, Index images, int threads) {
  B cpu(threads);
  bool const with_pullback = way != Way::forward;
  Problem<Structure> p(C, edge, T, images, way == Way::forward_pullback);
  for (auto _ : state) {
    p.forward(cpu);
    if (with_pullback) p.pullback(cpu);
    benchmark::ClobberMemory();
  }
  double const product = 18. * static_cast<double>(C * C * edge * edge * images);
  double const flops = product * static_cast<double>(with_pullback ? 3 * T : T);
  state.counters["flop/s"] = benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["of_peak"] =
      benchmark::Counter(flops / fma_peak(threads), benchmark::Counter::kIsIterationInvariantRate);
  auto const MB = [](std::size_t bytes) { return static_cast<double>(bytes) * 1e-6; };
  state.counters["lane_MB"] = MB(cpu.lane().arena().held());
  state.counters["sums_MB"] = MB(cpu.partial_sums().held());
  state.counters["states_MB"] = MB(static_cast<std::size_t>(p.states.size()) * sizeof(float));
}

template <class Structure>
void add(std::string const& arithmetic) {
  struct Case {
    Index C, edge, T;
  };
  for (int threads : {1, 2})
    for (Case const& c :
         {Case{96, 32, 2}, Case{96, 32, 5}, Case{192, 16, 2}, Case{16, 32, 3}, Case{64, 8, 3}})
      for (Way way : {Way::forward, Way::forward_pullback, Way::forward_pullback_recompute}) {
        auto const name = "QMetricReLU/" + arithmetic + "/" + name_of(way) + "/C:" + std::to_string(c.C) +
                          "/HW:" + std::to_string(c.edge) + "/T:" + std::to_string(c.T) +
                          "/N:64/threads:" + std::to_string(threads);
        benchmark::RegisterBenchmark(name.c_str(), convolution<Structure>, way, c.C, c.edge, c.T, Index{64},
                                     threads)
            ->UseRealTime();
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
