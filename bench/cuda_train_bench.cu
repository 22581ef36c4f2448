// SPDX-License-Identifier: Apache-2.0
// How long do a step of training and a prediction take on a device, network by network?
//
//   bench_cuda_train_bench                             the benchmarks
//   bench_cuda_train_bench steps NETWORK FILE N COUNT  for compare_pytorch.py: writes a problem, prints the
//   losses of its steps
#include <cstdlib>

#include "cuda_train_bench/machine.hpp"

std::vector<DeviceNetwork> plain_nets();
std::vector<DeviceNetwork> res_nets();
DeviceNetwork tiny_net();

namespace {

using detrame::Index;

std::vector<DeviceNetwork> networks() {
  std::vector<DeviceNetwork> all = plain_nets();
  for (DeviceNetwork const& network : res_nets()) all.push_back(network);
  return all;
}

int steps(std::string const& name, std::string const& file, Index N, int count) {
  std::vector<DeviceNetwork> all = networks();
  all.push_back(tiny_net());
  for (DeviceNetwork const& network : all)
    if (name == network.name) {
      network.steps(file, N, count);
      return 0;
    }
  std::cerr << "cuda_train_bench: there is no network " << name << '\n';
  return 1;
}

void add(std::string const& before, DeviceNetwork const& network, Index N) {
  auto const add_map = [&](std::string const& map, void (*run)(benchmark::State&, Index), Index images) {
    bench::add_case(before + map + "/" + network.name + "/N:" + std::to_string(images),
                    [=](benchmark::State& state) { run(state, images); })
        ->Unit(benchmark::kMillisecond);
  };
  add_map("train_step", network.train_step, N);
  add_map("gradient", network.gradient, N);
  add_map("input_gradient", network.input_gradient, N);
  add_map("predict", network.predict, N);
  add_map("predict", network.predict, 1);
  add_map("predict_prepared", network.predict_prepared, 1);
}

}  // namespace

int main(int count, char** words) {
  if (!bench::device_is_here()) return bench::skipped;
  if (count == 6 && std::string(words[1]) == "steps")
    return steps(words[2], words[3], std::atoi(words[4]), std::atoi(words[5]));
  add("tiny/", tiny_net(), 3);
  for (DeviceNetwork const& network : networks()) add("", network, 64);
  return bench::run_cases(count, words);
}
