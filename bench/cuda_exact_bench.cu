// SPDX-License-Identifier: Apache-2.0
// How long does the exact solver take for a column on a device?
#include "exact_case.hpp"
#include "on_device.hpp"

namespace {

using namespace bench;
using namespace detrame;
using B = Cuda<double>;
using Problem = ExactProblem<B>;

void exact_prox_columns(benchmark::State& state, Index k, Index N) {
  B gpu;
  Problem const p = Problem::random(gpu, k, N);
  auto const Q = p.synthesis.metric(gpu);
  auto const psi = p.synthesis.penalty(gpu);
  B::Matrix const Z = p.metric_points(gpu);
  ExactResult<B> result;
  time_calls(state, gpu, [&] { exact_prox(gpu, Q, psi, Z, result); });
  count(state, gpu, result);
}

void exact_synthesis_columns(benchmark::State& state, Index k, Index N) {
  B gpu;
  Problem const p = Problem::random(gpu, k, N);
  auto const psi = p.synthesis.penalty(gpu);
  ExactResult<B> result;
  time_calls(state, gpu, [&] { exact_synthesis(gpu, p.synthesis, psi, p.X, result); });
  count(state, gpu, result);
}

void add(std::string const& before, Index k, Index N) {
  auto const add_solver = [&](std::string const& name, void (*run)(benchmark::State&, Index, Index)) {
    add_case(before + name + "/k:" + std::to_string(k) + "/N:" + std::to_string(N),
             [=](benchmark::State& state) { run(state, k, N); })
        ->Unit(benchmark::kMicrosecond);
  };
  add_solver("exact_prox", exact_prox_columns);
  add_solver("exact_synthesis", exact_synthesis_columns);
}

}  // namespace

int main(int count, char** words) {
  if (!device_is_here()) return skipped;
  add("tiny/", 8, 3);
  for (Index k : exact_k) {
    for (Index N : exact_N) add("", k, N);
    add("", k, 4096);  // a block a column: a device is idle for the most part with fewer
  }
  return run_cases(count, words);
}
