// SPDX-License-Identifier: Apache-2.0
// How long does the exact solver take for a column, and with how many pivots?
//
//   bench_exact_bench                                    the benchmarks
//   bench_exact_bench solve PROBLEM SOLUTION THREADS ROUNDS   for compare_exact.py: solves a file, prints seconds
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/exact/synthesis.hpp"

namespace {

using namespace detrame;
using B = Cpu<double>;
using Matrix = B::Matrix;

/// A dictionary of k unit-norm Gaussian atoms in m = k / 2 dimensions, and N samples with 30 %-dense codes.
struct Problem {
  Synthesis<B> synthesis;
  Matrix X;  // m x N

  static Problem random(Index k, Index N) {
    Index const m = k / 2;
    Random const entries(1, 0), codes(1, 1), chosen(1, 2);
    auto const place = [](Index i) { return static_cast<std::uint64_t>(i); };
    Matrix D(m, k), A(k, N);
    for (Index i = 0; i < m * k; ++i) D.data()[i] = entries.normal<double>(place(i));
    D.colwise().normalize();
    for (Index i = 0; i < k * N; ++i)
      A.data()[i] = chosen.uniform<double>(place(i)) < .3 ? codes.uniform<double>(place(i)) : 0;
    return {{D, .01, .01, .1, Matrix::Zero(k, 1)}, D * A};
  }

  /// m, k, N as 64-bit integers; alpha, beta, lambda, D, X as doubles, by columns.
  static Problem read(std::string const& path) {
    std::ifstream file(path, std::ios::binary);
    std::int64_t size[3];
    double number[3];
    file.read(reinterpret_cast<char*>(size), sizeof size);
    file.read(reinterpret_cast<char*>(number), sizeof number);
    if (!file) throw FormatError(message("exact_bench: ", path, " has no head"));
    Problem p{{Matrix(size[0], size[1]), number[0], number[1], number[2], Matrix::Zero(size[1], 1)},
              Matrix(size[0], size[2])};
    for (Matrix* m : {&p.synthesis.D, &p.X})
      file.read(reinterpret_cast<char*>(m->data()), static_cast<std::streamsize>(sizeof(double)) * m->size());
    if (!file) throw FormatError(message("exact_bench: ", path, " is cut"));
    return p;
  }
};

/// The same problem in the metric form: z = F x - c.
Matrix metric_point(B& cpu, Problem const& p) {
  auto const t = transform(cpu, p.synthesis);
  return (t.W * p.X).colwise() - t.c.col(0);
}

void count(benchmark::State& state, ExactResult<B> const& result) {
  auto const N = static_cast<double>(result.u.cols());
  state.counters["columns/s"] = benchmark::Counter(N, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["pivots"] = result.pivots.mean();
  state.counters["support"] = (result.u.array() > 0).cast<double>().sum() / N;
  state.counters["residual"] = result.largest_residual;
}

void exact_prox_columns(benchmark::State& state, Index k, Index N, int threads) {
  B cpu(threads);
  Problem const p = Problem::random(k, N);
  auto const Q = p.synthesis.metric(cpu);
  auto const psi = p.synthesis.penalty(cpu);
  Matrix const Z = metric_point(cpu, p);
  ExactResult<B> result;
  for (auto _ : state) exact_prox(cpu, Q, psi, Z, result);
  count(state, result);
}

void exact_synthesis_columns(benchmark::State& state, Index k, Index N, int threads) {
  B cpu(threads);
  Problem const p = Problem::random(k, N);
  auto const psi = p.synthesis.penalty(cpu);
  ExactResult<B> result;
  for (auto _ : state) exact_synthesis(cpu, p.synthesis, psi, p.X, result);
  count(state, result);
}

/// The seconds of `rounds` calls of f, each by the clock on the wall and by that of the processor, all threads.
template <class F>
void print_seconds(char const* name, int rounds, F&& f) {
  f();
  std::cout << name;
  for (int round = 0; round < rounds; ++round) {
    auto const start = std::chrono::steady_clock::now();
    std::clock_t const processor = std::clock();
    f();
    double const used = static_cast<double>(std::clock() - processor) / CLOCKS_PER_SEC;
    std::cout << ' ' << std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() << ' '
              << used;
  }
  std::cout << '\n';
}

int solve(std::string const& problem, std::string const& solution, int threads, int rounds) {
  B cpu(threads);
  Problem const p = Problem::read(problem);
  auto const Q = p.synthesis.metric(cpu);
  auto const psi = p.synthesis.penalty(cpu);
  Matrix const Z = metric_point(cpu, p);
  ExactResult<B> prox, synthesis;
  print_seconds("exact_prox", rounds, [&] { exact_prox(cpu, Q, psi, Z, prox); });
  print_seconds("exact_synthesis", rounds, [&] { exact_synthesis(cpu, p.synthesis, psi, p.X, synthesis); });
  require_optimal(prox);
  require_optimal(synthesis);
  std::ofstream file(solution, std::ios::binary);
  for (Matrix const* u : {&prox.u, &synthesis.u})
    file.write(reinterpret_cast<char const*>(u->data()),
               static_cast<std::streamsize>(sizeof(double)) * u->size());
  return file ? 0 : 1;
}

void add(std::string const& name, void (*run)(benchmark::State&, Index, Index, int), Index k, Index N,
         int threads) {
  auto const full =
      name + "/k:" + std::to_string(k) + "/N:" + std::to_string(N) + "/threads:" + std::to_string(threads);
  benchmark::RegisterBenchmark(full.c_str(), [=](benchmark::State& state) { run(state, k, N, threads); })
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond);
}

}  // namespace

int main(int count, char** words) {
  if (count == 6 && std::string(words[1]) == "solve")
    return solve(words[2], words[3], std::atoi(words[4]), std::atoi(words[5]));
  for (Index k : {32, 128, 512})
    for (Index N : {1, 64})
      for (int threads : {1, 2}) {
        add("exact_prox", exact_prox_columns, k, N, threads);
        add("exact_synthesis", exact_synthesis_columns, k, N, threads);
      }
  benchmark::Initialize(&count, words);
  benchmark::RunSpecifiedBenchmarks();
}
