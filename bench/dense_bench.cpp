// SPDX-License-Identifier: Apache-2.0
// How fast is the dense Q-metric ReLU, the unroll and its pullback, against the flops of their Cost lines?
#include <benchmark/benchmark.h>

#include <string>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/operator/dense_blocks.hpp"
#include "detrame/prox/unrolled_pullback.hpp"
#include "fma_peak.hpp"

namespace {

using namespace detrame;
using B = Cpu<float>;

/// A layer whose iterates stay of the size of its input: |W~|_2 is about .6.
struct Problem {
  B::Matrix W_tilde, h, b, Z, U, states, U_bar, Z_bar, W_tilde_bar, h_bar, b_bar;
  Index T;

  Problem(Index k, Index T_, Index N)
      : W_tilde(B::Matrix::Random(k, k) *
                (.5f / std::sqrt(static_cast<float>(k)))),  // entries in (-1, 1), scaled
        h(B::Matrix::Constant(k, 1, .9f)),
        b(B::Matrix::Constant(k, 1, .01f)),
        Z(B::Matrix::Random(k, N)),
        U(k, N),
        states(k, StoreStates::columns(T_, N)),
        U_bar(B::Matrix::Ones(k, N)),
        Z_bar(k, N),
        W_tilde_bar(B::Matrix::Zero(k, k)),
        h_bar(B::Matrix::Zero(k, 1)),
        b_bar(B::Matrix::Zero(k, 1)),
        T(T_) {}

  void forward(B& cpu, bool store) {
    unrolled_prox(cpu, DenseBlocks{}, formula::NonnegativeShrinkage{}, W_tilde, h, b, Z, T, U,
                  store ? B::View(states) : B::View());
  }
  void pullback(B& cpu, bool stored) {
    unrolled_prox_pullback(cpu, DenseBlocks{}, formula::NonnegativeShrinkage{}, W_tilde, h, b, Z, T, U,
                           stored ? B::ConstView(states) : B::ConstView(), U_bar, Z_bar, W_tilde_bar, h_bar,
                           b_bar);
  }
};

enum class What { forward, forward_pullback, forward_pullback_recomputed };

void dense(benchmark::State& state, What what, Index k, Index T, Index N, int threads) {
  B cpu(threads);
  Problem p(k, T, N);
  for (auto _ : state) {
    p.forward(cpu, what == What::forward_pullback);
    if (what != What::forward) p.pullback(cpu, what == What::forward_pullback);
    benchmark::ClobberMemory();
  }
  double const product = 2. * static_cast<double>(k * k * N);
  double const flops = product * static_cast<double>(what == What::forward            ? T
                                                     : what == What::forward_pullback ? 3 * T
                                                                                      : 4 * T - 1);
  state.counters["flop/s"] = benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["of_peak"] =
      benchmark::Counter(flops / fma_peak(threads), benchmark::Counter::kIsIterationInvariantRate);
}

int const registered = [] {
  auto const add = [](char const* name, What what, Index k, Index T, int threads) {
    auto const full = "QMetricReLU/dense/" + std::string(name) + "/k:" + std::to_string(k) +
                      "/T:" + std::to_string(T) + "/N:1024/threads:" + std::to_string(threads);
    benchmark::RegisterBenchmark(full.c_str(), dense, what, k, T, Index{1024}, threads)->UseRealTime();
  };
  for (int threads : {1, 2})
    for (Index k : {64, 256, 1024})
      for (Index T : {5, 20}) {
        add("forward", What::forward, k, T, threads);
        add("forward_pullback", What::forward_pullback, k, T, threads);
        add("forward_pullback_recomputed", What::forward_pullback_recomputed, k, T, threads);
      }
  return 0;
}();

}  // namespace

BENCHMARK_MAIN();
