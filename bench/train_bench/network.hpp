// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "../fma_peak.hpp"
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/loss/softmax_cross_entropy.hpp"
#include "detrame/network/initialise.hpp"
#include "detrame/train/algorithm2.hpp"

/// One network of train_bench, without its type: each is compiled in a unit of its own.
struct BenchNetwork {
  char const* name;
  void (*train_step)(benchmark::State&, detrame::Index N, int threads);
  void (*predict)(benchmark::State&, detrame::Index N, int threads);
  void (*predict_prepared)(benchmark::State&, detrame::Index N, int threads);
  void (*steps)(std::string const& file, detrame::Index N, int count);  ///< see Problem::steps
};

/// A line of /proc/self/status in MB (1e6 bytes); NaN where there is none.
inline double status_MB(std::string const& line) {
  std::ifstream status("/proc/self/status");
  double kB = 0;
  for (std::string word; status >> word;)
    if (word == line && status >> kB) return kB * 1024e-6;
  return std::numeric_limits<double>::quiet_NaN();
}

/// What the program holds before any case is made.
inline double const resident_at_start_MB = status_MB("VmRSS:");

namespace detail {

using namespace detrame;
using B = Cpu<float>;

/// A network of random parameters, N random images of 3 x 32 x 32 in 10 classes, and what a step writes.
template <Recipe R>
struct Problem {
  using Net = Bind<R, Shape{3, 32, 32}, B>;
  static constexpr Index sites = Net::input.sites(), classes = Net::output.channels;
  static_assert(Net::output == Shape{10});

  B cpu;
  Net net;
  typename Net::Parameters theta;
  TrainingState<Net> state;
  std::vector<int> labels;
  B::Matrix x, targets, y;  // 3 x (sites N), classes x N, classes x N

  Problem(Index N, int threads)
      : cpu(threads),
        theta(net.parameters(cpu)),
        state(training_state(cpu, net)),
        labels(static_cast<std::size_t>(N)),
        y(classes, N) {
    initialise(cpu, theta, RandomStart(), 1);
    Random const pixel(1, 0), label(1, 1);
    x = B::Matrix::NullaryExpr(Net::input.channels, sites * N, [&](Index i, Index j) {
      return 2 * pixel.uniform<float>(static_cast<std::uint64_t>(i + Net::input.channels * j)) - 1;
    });
    for (std::size_t j = 0; j < labels.size(); ++j) labels[j] = static_cast<int>(label.below(classes, j));
    targets = one_hot(cpu, labels, classes);
  }

  /// Algorithm 2 as `fit` takes its steps, on the same batch each time.
  float step(bool dropping = true) {
    Draw const draw{.seed = 1, .step = state.step, .dropping = dropping};
    return train_step(cpu, net, SoftmaxCrossEntropy(), Sgd(), .01, theta, state, B::ConstView(x),
                      B::ConstView(targets), draw);
  }

  void predict() { net.predict(cpu, theta, B::ConstView(x), B::View(y)); }

  /// For compare_pytorch.py: the number of trainable parameters as a 64-bit integer; as floats theta in the order of `visit`,
  /// x, all by columns, and the labels. Prints the losses of `count` steps that drop nothing, each before its step.
  static void steps(std::string const& path, Index N, int count) {
    Problem p(N, 1);
    visit(
        [](std::string_view, Kind kind, auto& m) {
          if (kind == Kind::weight)
            m *= std::sqrt(6.f);  // else nothing of an image arrives at the end of nine layers
        },
        p.theta);
    std::vector<float> numbers;
    visit([&](std::string_view, Kind,
              auto const& m) { numbers.insert(numbers.end(), m.data(), m.data() + m.size()); },
          p.theta);
    std::int64_t const parameters = parameter_count(p.theta);
    numbers.insert(numbers.end(), p.x.data(), p.x.data() + p.x.size());
    numbers.insert(numbers.end(), p.labels.begin(), p.labels.end());
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<char const*>(&parameters), sizeof parameters);
    file.write(reinterpret_cast<char const*>(numbers.data()),
               static_cast<std::streamsize>(sizeof(float) * numbers.size()));
    if (!file.flush()) throw FormatError(message("train_bench: ", path, " cannot be written"));
    for (int i = 0; i < count; ++i) std::printf("%.9g\n", double{p.step(false)});
  }
};

/// images/s; flops, which are those of the products alone; the largest memory that the process ever held, beyond what it
/// started with: that of this case where no other ran before it.
template <Recipe R>
void count(benchmark::State& state, Index N, int threads, double products) {
  using benchmark::Counter;
  auto constexpr rate = Counter::kIsIterationInvariantRate;
  auto const images = static_cast<double>(N);
  double const flops = 2 * products * images * static_cast<double>(multiply_adds<typename Problem<R>::Net>());
  state.counters["peak_MB"] = status_MB("VmHWM:") - resident_at_start_MB;
  state.counters["images/s"] = Counter(images, rate);
  state.counters["flop/s"] = Counter(flops, rate);
  state.counters["of_peak"] = Counter(flops / fma_peak(threads), rate);
}

template <Recipe R>
void train_step_of(benchmark::State& state, Index N, int threads) {
  Problem<R> p(N, threads);
  p.step();  // allocates
  for (auto _ : state) {
    p.step();
    benchmark::ClobberMemory();
  }
  count<R>(state, N, threads, 3);
}

template <Recipe R>
void predict_of(benchmark::State& state, Index N, int threads) {
  Problem<R> p(N, threads);
  p.predict();  // allocates
  for (auto _ : state) {
    p.predict();
    benchmark::ClobberMemory();
  }
  count<R>(state, N, threads, 1);
}

template <Recipe R>
void predict_prepared_of(benchmark::State& state, Index N, int threads) {
  Problem<R> p(N, threads);
  with_inference(p.cpu, p.net, p.theta, [&](auto const& map) {
    map(p.x, p.y);  // allocates
    for (auto _ : state) {
      map(p.x, p.y);
      benchmark::ClobberMemory();
    }
  });
  count<R>(state, N, threads, 1);
}

}  // namespace detail

template <detrame::Recipe R>
BenchNetwork bench_network(char const* name) {
  return {name, detail::train_step_of<R>, detail::predict_of<R>, detail::predict_prepared_of<R>,
          detail::Problem<R>::steps};
}
