// SPDX-License-Identifier: Apache-2.0
// How long do a step of training and a prediction take, network by network, and how much memory?
//
//   bench_train_bench                             the benchmarks
//   bench_train_bench steps NETWORK FILE N COUNT  for compare_pytorch.py: writes a problem, prints the losses
//                                                 of its steps
#include <cstdlib>
#include <iostream>

#include "train_bench/machine.hpp"

std::vector<CpuNetwork> plain_nets();
std::vector<CpuNetwork> res_nets();

namespace {

std::vector<CpuNetwork> networks() {
  std::vector<CpuNetwork> all = plain_nets();
  for (CpuNetwork const& network : res_nets()) all.push_back(network);
  return all;
}

int steps(std::string const& name, std::string const& file, detrame::Index N, int count) {
  for (CpuNetwork const& network : networks())
    if (name == network.name) {
      network.steps(file, N, count, 1);
      return 0;
    }
  std::cerr << "train_bench: there is no network " << name << '\n';
  return 1;
}

void add(std::string const& name, void (*run)(benchmark::State&, detrame::Index, int), detrame::Index N,
         int threads) {
  auto const full = name + "/N:" + std::to_string(N) + "/threads:" + std::to_string(threads);
  benchmark::RegisterBenchmark(full.c_str(), [=](benchmark::State& state) { run(state, N, threads); })
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}

}  // namespace

int main(int count, char** words) {
  if (count == 6 && std::string(words[1]) == "steps")
    return steps(words[2], words[3], std::atoi(words[4]), std::atoi(words[5]));
  for (CpuNetwork const& network : networks())
    for (int threads : {1, 2}) {
      add("train_step/" + std::string(network.name), network.train_step, 64, threads);
      for (detrame::Index N : {64, 1}) {
        add("gradient/" + std::string(network.name), network.gradient, N, threads);
        add("input_gradient/" + std::string(network.name), network.input_gradient, N, threads);
        add("predict/" + std::string(network.name), network.predict, N, threads);
      }
      add("predict_prepared/" + std::string(network.name), network.predict_prepared, 1, threads);
    }
  benchmark::Initialize(&count, words);
  if (benchmark::ReportUnrecognizedArguments(count, words)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
