// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <benchmark/benchmark.h>

#include "problem.hpp"

/// One network of train_bench, without its type: each is compiled in a unit of its own. A backend is made
/// from `arguments`.
template <class... Arguments>
struct BenchNetwork {
  char const* name;
  void (*train_step)(benchmark::State&, detrame::Index N, Arguments... arguments);
  void (*gradient)(benchmark::State&, detrame::Index N, Arguments... arguments);
  void (*input_gradient)(benchmark::State&, detrame::Index N, Arguments... arguments);
  void (*predict)(benchmark::State&, detrame::Index N, Arguments... arguments);
  void (*predict_prepared)(benchmark::State&, detrame::Index N, Arguments... arguments);
  /// See TrainProblem::steps.
  void (*steps)(std::string const& file, detrame::Index N, int count, Arguments... arguments);
};

/// Makes the networks of a list. Machine says on which Backend, `time_calls(state, backend, f)` and what it
/// counts besides images, `count(state, backend, flops, arguments...)`.
template <class Machine, class... Arguments>
struct MakeBenchNetwork {
  template <detrame::Recipe R>
  BenchNetwork<Arguments...> of(char const* name) const {
    return {name, train_step<R>, gradient<R>, input_gradient<R>, predict<R>, predict_prepared<R>, steps<R>};
  }

 private:
  using B = typename Machine::Backend;
  using Index = detrame::Index;
  template <detrame::Recipe R>
  using Problem = bench::TrainProblem<B, R>;

  /// images/s; flops, which are those of the products alone: `products` times those of one prediction.
  template <detrame::Recipe R>
  static void count(benchmark::State& state, B& backend, Index N, double products, Arguments... arguments) {
    using benchmark::Counter;
    state.counters["images/s"] = Counter(static_cast<double>(N), Counter::kIsIterationInvariantRate);
    Machine::count(state, backend, products * bench::product_flops<typename Problem<R>::Net>(N),
                   arguments...);
  }

  /// f(problem) again and again.
  template <detrame::Recipe R, class F>
  static void time_problem(benchmark::State& state, Index N, double products, F const& f,
                           Arguments... arguments) {
    B backend(arguments...);
    Problem<R> p(backend, N);
    Machine::time_calls(state, backend, [&] { f(p); });
    count<R>(state, backend, N, products, arguments...);
  }

  template <detrame::Recipe R>
  static void train_step(benchmark::State& state, Index N, Arguments... arguments) {
    time_problem<R>(state, N, 3, [](auto& p) { p.step(); }, arguments...);
  }

  template <detrame::Recipe R>
  static void gradient(benchmark::State& state, Index N, Arguments... arguments) {
    time_problem<R>(state, N, 3, [](auto& p) { p.gradient(); }, arguments...);
  }

  template <detrame::Recipe R>
  static void input_gradient(benchmark::State& state, Index N, Arguments... arguments) {
    time_problem<R>(state, N, 2, [](auto& p) { p.input_gradient(); }, arguments...);
  }

  template <detrame::Recipe R>
  static void predict(benchmark::State& state, Index N, Arguments... arguments) {
    time_problem<R>(state, N, 1, [](auto& p) { p.predict(); }, arguments...);
  }

  template <detrame::Recipe R>
  static void predict_prepared(benchmark::State& state, Index N, Arguments... arguments) {
    B backend(arguments...);
    Problem<R> p(backend, N);
    with_inference(backend, p.net, p.theta,
                   [&](auto const& map) { Machine::time_calls(state, backend, [&] { map(p.x, p.y); }); });
    count<R>(state, backend, N, 1, arguments...);
  }

  template <detrame::Recipe R>
  static void steps(std::string const& file, Index N, int count, Arguments... arguments) {
    B backend(arguments...);
    Problem<R>::steps(backend, file, N, count);
  }
};
