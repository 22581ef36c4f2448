// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../on_device.hpp"
#include "../train_bench/problem.hpp"

/// One network of cuda_train_bench, without its type: each is compiled in a unit of its own.
struct DeviceNetwork {
  char const* name;
  void (*train_step)(benchmark::State&, detrame::Index N);
  void (*predict)(benchmark::State&, detrame::Index N);
  void (*predict_prepared)(benchmark::State&, detrame::Index N);
  void (*steps)(std::string const& file, detrame::Index N, int count);  ///< see TrainProblem::steps
};

namespace detail {

using namespace detrame;
using B = Cuda<float>;

template <Recipe R>
using Problem = bench::TrainProblem<B, R>;

/// images/s; flops, which are those of the products alone.
template <Recipe R>
void count(benchmark::State& state, B& gpu, Index N, double products) {
  using benchmark::Counter;
  state.counters["images/s"] = Counter(static_cast<double>(N), Counter::kIsIterationInvariantRate);
  bench::count_flops(state, products * bench::product_flops<typename Problem<R>::Net>(N));
  bench::count_memory(state, gpu);
}

/// f(problem) again and again; `products`: how many times those of one prediction it takes.
template <Recipe R, class F>
void time_problem(benchmark::State& state, Index N, double products, F const& f) {
  B gpu;
  Problem<R> p(gpu, N);
  bench::time_calls(state, gpu, [&] { f(p); });
  count<R>(state, gpu, N, products);
}

template <Recipe R>
void train_step_of(benchmark::State& state, Index N) {
  time_problem<R>(state, N, 3, [](auto& p) { p.step(); });
}

template <Recipe R>
void predict_of(benchmark::State& state, Index N) {
  time_problem<R>(state, N, 1, [](auto& p) { p.predict(); });
}

template <Recipe R>
void predict_prepared_of(benchmark::State& state, Index N) {
  B gpu;
  Problem<R> p(gpu, N);
  with_inference(gpu, p.net, p.theta,
                 [&](auto const& map) { bench::time_calls(state, gpu, [&] { map(p.x, p.y); }); });
  count<R>(state, gpu, N, 1);
}

template <Recipe R>
void steps_of(std::string const& file, Index N, int count) {
  B gpu;
  Problem<R>::steps(gpu, file, N, count);
}

}  // namespace detail

/// Makes the networks of a list.
struct MakeDeviceNetwork {
  template <detrame::Recipe R>
  DeviceNetwork of(char const* name) const {
    return {name, detail::train_step_of<R>, detail::predict_of<R>, detail::predict_prepared_of<R>,
            detail::steps_of<R>};
  }
};
