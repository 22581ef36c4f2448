// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>

#include "../on_cpu.hpp"
#include "detrame/backend/cpu/backend.hpp"
#include "problem.hpp"

/// One network of train_bench, without its type: each is compiled in a unit of its own.
struct BenchNetwork {
  char const* name;
  void (*train_step)(benchmark::State&, detrame::Index N, int threads);
  void (*predict)(benchmark::State&, detrame::Index N, int threads);
  void (*predict_prepared)(benchmark::State&, detrame::Index N, int threads);
  void (*steps)(std::string const& file, detrame::Index N, int count);  ///< see TrainProblem::steps
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

template <Recipe R>
using Problem = bench::TrainProblem<B, R>;

/// images/s; flops, which are those of the products alone; the largest memory that the process ever held,
/// beyond what it started with: that of this case where no other ran before it.
template <Recipe R>
void count(benchmark::State& state, Index N, int threads, double products) {
  using benchmark::Counter;
  state.counters["peak_MB"] = status_MB("VmHWM:") - resident_at_start_MB;
  state.counters["images/s"] = Counter(static_cast<double>(N), Counter::kIsIterationInvariantRate);
  bench::count_flops(state, products * bench::product_flops<typename Problem<R>::Net>(N), threads);
}

/// Times the calls of f(), of which one before them allocates.
template <class F>
void time_calls(benchmark::State& state, F const& f) {
  f();
  for (auto _ : state) {
    f();
    benchmark::ClobberMemory();
  }
}

/// f(problem) again and again; `products`: how many times those of one prediction it takes.
template <Recipe R, class F>
void time_problem(benchmark::State& state, Index N, int threads, double products, F const& f) {
  B cpu(threads);
  Problem<R> p(cpu, N);
  time_calls(state, [&] { f(p); });
  count<R>(state, N, threads, products);
}

template <Recipe R>
void train_step_of(benchmark::State& state, Index N, int threads) {
  time_problem<R>(state, N, threads, 3, [](auto& p) { p.step(); });
}

template <Recipe R>
void predict_of(benchmark::State& state, Index N, int threads) {
  time_problem<R>(state, N, threads, 1, [](auto& p) { p.predict(); });
}

template <Recipe R>
void predict_prepared_of(benchmark::State& state, Index N, int threads) {
  B cpu(threads);
  Problem<R> p(cpu, N);
  with_inference(cpu, p.net, p.theta, [&](auto const& map) { time_calls(state, [&] { map(p.x, p.y); }); });
  count<R>(state, N, threads, 1);
}

template <Recipe R>
void steps_of(std::string const& file, Index N, int count) {
  B cpu(1);
  Problem<R>::steps(cpu, file, N, count);
}

}  // namespace detail

/// Makes the networks of a list.
struct MakeBenchNetwork {
  template <detrame::Recipe R>
  BenchNetwork of(char const* name) const {
    return {name, detail::train_step_of<R>, detail::predict_of<R>, detail::predict_prepared_of<R>,
            detail::steps_of<R>};
  }
};
