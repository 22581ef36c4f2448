// SPDX-License-Identifier: Apache-2.0
// What do attacks cost beside the forwards and pullbacks that they are made of? The s/step of PGD stands
// beside one forward and pullback, that of DeepFool beside one forward and the gradients of ten logits.
#include <benchmark/benchmark.h>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/network/initialise.hpp"
#include "detrame/network/zoo/res_net.hpp"
#include "detrame/robust/deep_fool.hpp"
#include "detrame/robust/network_scores.hpp"
#include "detrame/robust/pgd.hpp"
#include "detrame/robust/pixel_scores.hpp"

namespace {

using namespace detrame;
using B = Cpu<float>;

/// A network at its start, and images of pixels that it reads normalised.
template <Recipe R>
struct Case {
  using Net = Bind<R, Shape{3, 32, 32}, B>;
  B cpu;
  typename Net::Parameters theta;
  NetworkScores<Net> network;
  PixelScores<NetworkScores<Net>> map;
  Matrix<B> x, x_bar;
  Matrix<B> y_bar;
  std::vector<int> labels;

  Case(Index n, int threads)
      : cpu(threads),
        theta(started(cpu)),
        network(cpu, Net(), theta),
        map(network, {.491, .482, .447}, {.247, .243, .262}),
        x(to_device(cpu, host_matrix<float>(3, 1024 * n,
                                            [random = Random(1, 0)](Index c, Index j) {
                                              return random.uniform<float>(std::uint64_t(c + 3 * j));
                                            }))),
        x_bar(zeros(cpu, 3, 1024 * n)),
        y_bar(to_device(cpu, HostMatrix<float>(10, n, 1.f))),
        labels(predicted_labels(map, x)) {}

  static typename Net::Parameters started(B& cpu) {
    auto theta = Net().parameters(cpu);
    initialise(cpu, theta, ReluStart(), 1);
    return theta;
  }
};

void count(benchmark::State& state, double steps, Index images) {
  using benchmark::Counter;
  state.counters["s/step"] = Counter(steps, Counter::kIsIterationInvariantRate | Counter::kInvert);
  state.counters["images"] = static_cast<double>(images);
}

/// One forward, and so many pullbacks.
template <Recipe R>
void gradients(benchmark::State& state, int pullbacks, Index n, int threads) {
  Case<R> c(n, threads);
  c.network.scores(c.x);  // allocates
  for (auto _ : state) {
    c.network.scores(c.x);
    for (int k = 0; k < pullbacks; ++k) c.network.pullback(c.y_bar, c.x_bar);
    benchmark::ClobberMemory();
  }
  count(state, 1, n);
}

template <Recipe R>
void pgd_steps(benchmark::State& state, Index n, int threads) {
  Case<R> c(n, threads);
  for (auto _ : state)
    benchmark::DoNotOptimize(
        pgd(c.map, c.x, c.labels,
            {.region = {AttackNorm::l2, .5}, .step = .1, .steps = 20, .stop_when_fooled = false}));
  count(state, 20, n);
}

template <Recipe R>
void deep_fool_steps(benchmark::State& state, Index n, int threads) {
  Case<R> c(n, threads);
  double steps = 0;
  for (auto _ : state) {
    auto const found = deep_fool(c.map, c.x, {});
    steps = 0;
    for (auto const& image : found.images) steps += image.steps;
  }
  count(state, steps / static_cast<double>(n), n);
}

template <Recipe R>
void add(std::string const& name) {
  for (int const threads : {1, 2})
    for (Index const n : {1, 64}) {
      auto const end = "/" + name + "/N:" + std::to_string(n) + "/threads:" + std::to_string(threads);
      auto const one = [&](std::string const& what, auto const& run) {
        benchmark::RegisterBenchmark((what + end).c_str(), run)->UseRealTime()->Unit(benchmark::kMillisecond);
      };
      one("forward_and_pullback", [=](benchmark::State& state) { gradients<R>(state, 1, n, threads); });
      one("pgd", [=](benchmark::State& state) { pgd_steps<R>(state, n, threads); });
      one("ten_logits", [=](benchmark::State& state) { gradients<R>(state, 10, n, threads); });
      one("deep_fool", [=](benchmark::State& state) { deep_fool_steps<R>(state, n, threads); });
    }
}

}  // namespace

int main(int count, char** words) {
  add<ResNet<Plain, 8>>("resnet8");
  add<ResNet<DeTraMe<3>, 8>>("detrame_resnet8_T3");
  benchmark::Initialize(&count, words);
  if (benchmark::ReportUnrecognizedArguments(count, words)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
