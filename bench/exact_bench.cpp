// SPDX-License-Identifier: Apache-2.0
// How long does the exact solver take for a column, and with how many pivots?
//
//   bench_exact_bench
//       the benchmarks
//   bench_exact_bench solve PROBLEM SOLUTION THREADS ROUNDS
//       for compare_exact.py: solves a file, prints seconds
//   bench_exact_bench encode PROBLEM SOLUTION THREADS ROUNDS nonnegative|signed double|float
//       for compare_sparse.py: the codes alone, and how many columns are not optimal
//   bench_exact_bench encode_sparse PROBLEM THREADS COLUMNS double|float
//       the same of many columns, those of the file over and over, without zeros: seconds, and memory
//   bench_exact_bench path PROBLEM SOLUTION ROUNDS COUNT RATIO
//       for compare_path.py: a path of COUNT values of lambda for each column, one column a call, one thread
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/exact/encode.hpp"
#include "detrame/exact/encode_sparse.hpp"
#include "detrame/exact/regularisation_path.hpp"
#include "exact_case.hpp"

namespace {

using namespace bench;
using namespace detrame;
using B = Cpu<double>;
using Matrix = B::Matrix;
using Problem = ExactProblem<B>;

/// m, k, N as 64-bit integers; alpha, beta, lambda, D, X as doubles, by columns.
Problem read(std::string const& path) {
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

void exact_prox_columns(benchmark::State& state, Index k, Index N, int threads) {
  B cpu(threads);
  Problem const p = Problem::random(cpu, k, N);
  auto const Q = p.synthesis.metric(cpu);
  auto const psi = p.synthesis.penalty(cpu);
  Matrix const Z = p.metric_points(cpu);
  ExactResult<B> result;
  for (auto _ : state) exact_prox(cpu, Q, psi, Z, result);
  count(state, cpu, result);
}

void exact_synthesis_columns(benchmark::State& state, Index k, Index N, int threads) {
  B cpu(threads);
  Problem const p = Problem::random(cpu, k, N);
  auto const psi = p.synthesis.penalty(cpu);
  ExactResult<B> result;
  for (auto _ : state) exact_synthesis(cpu, p.synthesis, psi, p.X, result);
  count(state, cpu, result);
}

void encode_columns(benchmark::State& state, Index k, Index N, int threads) {
  B cpu(threads);
  Problem const p = Problem::random(cpu, k, N);
  SparseCoder const coder(cpu, p.synthesis);
  ExactResult<B> result;
  for (auto _ : state) encode(cpu, coder, p.X, result);
  count(state, cpu, result);
}

/// The seconds of `rounds` calls of f, each by the clock on the wall and by that of the processor,
/// all threads.
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
  Problem const p = read(problem);
  auto const Q = p.synthesis.metric(cpu);
  auto const psi = p.synthesis.penalty(cpu);
  Matrix const Z = p.metric_points(cpu);
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

template <class Scalar>
int encode_file(std::string const& problem, std::string const& solution, int threads, int rounds,
                bool is_signed) {
  using Backend = Cpu<Scalar>;
  Backend cpu(threads);
  Problem const p = read(problem);
  auto const weight = static_cast<Scalar>(p.synthesis.lambda), beta = static_cast<Scalar>(p.synthesis.beta);
  Index const k = p.synthesis.D.cols();
  Synthesis<Backend> const synthesis{p.synthesis.D.template cast<Scalar>(),
                                     static_cast<Scalar>(p.synthesis.alpha), beta, weight,
                                     Backend::Matrix::Zero(k, 1)};
  typename Backend::Matrix const X = p.X.template cast<Scalar>();
  NonnegativeElasticNet<Backend> const nonnegative(cpu, k, weight, beta);
  ElasticNet<Backend> const two_sided(cpu, k, weight, beta);
  ExactResult<Backend> result;
  print_seconds("encode", rounds, [&] {
    if (is_signed)
      exact_synthesis(cpu, synthesis, two_sided, X, result);
    else
      exact_synthesis(cpu, synthesis, nonnegative, X, result);
  });
  std::cout << "not_optimal " << (result.column_status.array() != Scalar(0)).count() << '\n';
  std::ofstream file(solution, std::ios::binary);
  Matrix const u = result.u.template cast<double>();
  file.write(reinterpret_cast<char const*>(u.data()),
             static_cast<std::streamsize>(sizeof(double)) * u.size());
  return file ? 0 : 1;
}

/// A figure of this process in KiB, by its name in /proc.
long memory(std::string const& name) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (word == name + ':') {
      long value = 0;
      status >> value;
      return value;
    }
  return 0;
}

template <class Scalar>
int encode_many(std::string const& problem, int threads, Index columns) {
  using Backend = Cpu<Scalar>;
  Backend cpu(threads);
  Problem p = read(problem);
  Index const k = p.synthesis.D.cols();
  SparseCoder const coder(
      cpu, Synthesis<Backend>{p.synthesis.D.template cast<Scalar>(), static_cast<Scalar>(p.synthesis.alpha),
                              static_cast<Scalar>(p.synthesis.beta), static_cast<Scalar>(p.synthesis.lambda),
                              Backend::Matrix::Zero(k, 1)});
  typename Backend::Matrix X(p.X.rows(), columns);
  for (Index j = 0; j < columns; ++j) X.col(j) = p.X.col(j % p.X.cols()).template cast<Scalar>();
  p = Problem();
  long const before = memory("VmRSS");
  auto const start = std::chrono::steady_clock::now();
  auto const codes = encode_sparse(cpu, coder, X);
  std::chrono::duration<double> const time = std::chrono::steady_clock::now() - start;
  std::size_t const output = codes.offsets.size() * (sizeof(Index) + sizeof(ExactStatus) + sizeof(Scalar)) +
                             codes.values.size() * (sizeof(Index) + sizeof(Scalar));
  auto const mib = [](double bytes) { return bytes / (1 << 20); };
  std::cout << "encode_sparse " << time.count() << " s, " << columns << " columns, " << codes.values.size()
            << " entries, status " << name(codes.status) << "\nMiB: samples "
            << mib(static_cast<double>(sizeof(Scalar)) * static_cast<double>(X.size())) << ", before "
            << mib(1024. * static_cast<double>(before)) << ", codes " << mib(static_cast<double>(output))
            << ", peak " << mib(1024. * static_cast<double>(memory("VmHWM"))) << '\n';
  return codes.status == ExactStatus::optimal ? 0 : 1;
}

int path(std::string const& problem, std::string const& solution, int rounds, Index count, double ratio) {
  B cpu(1);
  Problem const p = read(problem);
  std::vector<std::vector<PathPoint<B>>> paths(static_cast<std::size_t>(p.X.cols()));
  print_seconds("path", rounds, [&] {
    for (Index j = 0; j < p.X.cols(); ++j)
      paths[static_cast<std::size_t>(j)] =
          regularisation_path(cpu, p.synthesis, Matrix(p.X.col(j)), count, ratio);
  });
  Index not_optimal = 0;
  std::ofstream file(solution, std::ios::binary);
  for (auto const& points : paths)
    for (auto const& point : points) {
      not_optimal += point.code.status != ExactStatus::optimal;
      file.write(reinterpret_cast<char const*>(&point.lambda), sizeof point.lambda);
      file.write(reinterpret_cast<char const*>(point.code.u.data()),
                 static_cast<std::streamsize>(sizeof(double)) * point.code.u.size());
    }
  std::cout << "not_optimal " << not_optimal << '\n';
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
  if (count == 8 && std::string(words[1]) == "encode") {
    auto const run = std::string(words[7]) == "float" ? encode_file<float> : encode_file<double>;
    return run(words[2], words[3], std::atoi(words[4]), std::atoi(words[5]),
               std::string(words[6]) == "signed");
  }
  if (count == 6 && std::string(words[1]) == "encode_sparse") {
    auto const run = std::string(words[5]) == "float" ? encode_many<float> : encode_many<double>;
    return run(words[2], std::atoi(words[3]), std::atol(words[4]));
  }
  if (count == 7 && std::string(words[1]) == "path")
    return path(words[2], words[3], std::atoi(words[4]), std::atol(words[5]), std::atof(words[6]));
  for (Index k : exact_k)
    for (Index N : exact_N)
      for (int threads : {1, 2}) {
        add("exact_prox", exact_prox_columns, k, N, threads);
        add("exact_synthesis", exact_synthesis_columns, k, N, threads);
        add("encode", encode_columns, k, N, threads);
      }
  benchmark::Initialize(&count, words);
  benchmark::RunSpecifiedBenchmarks();
}
