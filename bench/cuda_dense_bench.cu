// SPDX-License-Identifier: Apache-2.0
// How fast is the dense Q-metric ReLU on a device, against its float peak and its bandwidth?
#include "dense_case.hpp"
#include "on_device.hpp"

namespace {

using namespace bench;
using namespace detrame;

void dense(benchmark::State& state, Way way, DenseCase const& c) {
  Cuda<float> gpu;
  DenseProblem<Cuda<float>> p(gpu, c);
  time_calls(state, gpu, [&] {
    p.forward(way == Way::forward_pullback);
    if (way != Way::forward) p.pullback(way == Way::forward_pullback);
  });
  count_flops(state, c.product() * products(way, c.T));
  if (way != Way::forward_pullback_recompute)
    count_bytes(state,
                unrolled_bytes(way != Way::forward, c.T, 4. * static_cast<double>(c.k * c.N),
                               4. * static_cast<double>(c.k * c.k), c.k <= device::fused_depth ? 0 : 2));
  count_memory(state, gpu);
}

void add(std::string const& before, DenseCase const& c) {
  auto const add_way = [&](std::string const& name, Way way) {
    add_case(before + "QMetricReLU/dense/" + name + c.name(),
             [=](benchmark::State& state) { dense(state, way, c); });
  };
  add_way("forward", Way::forward);
  add_way("forward_pullback", Way::forward_pullback);
  add_way("forward_pullback_recomputed", Way::forward_pullback_recompute);
}

}  // namespace

int main(int count, char** words) {
  if (!device_is_here()) return skipped;
  add("tiny/", {8, 3, 5});
  for (DenseCase const& c : dense_cases) add("", c);
  return run_cases(count, words);
}
