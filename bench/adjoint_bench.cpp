// SPDX-License-Identifier: Apache-2.0
// What does the adjoint of exact codes cost, beside the codes themselves? Both by turns in one program, in
// processor time: forward_us and pullback_us a column, both_to_forward their sum over the first.
#include <benchmark/benchmark.h>

#include <cmath>
#include <ctime>
#include <string>
#include <vector>

#include "../examples/test_card.hpp"
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/exact/exact_prox.hpp"
#include "detrame/exact/exact_prox_pullback.hpp"
#include "detrame/exact/exact_synthesis_pullback.hpp"
#include "detrame/learn/patches.hpp"
#include "detrame/metric/dense_metric.hpp"
#include "exact_case.hpp"

namespace {

using namespace bench;
using namespace detrame;

/// A problem in either form, and a cotangent of its codes.
template <class Scalar>
struct Case {
  using B = Cpu<Scalar>;
  Synthesis<B> synthesis;
  Matrix<B> X, u_bar;  // m x N, k x N

  /// Patches of 8 x 8 of the test card, mean removed, unit norm; atoms and samples are others of one list.
  static Case patches(Index k, Index N, double lambda) {
    constexpr Index m = 64;
    Cpu<double> cpu(1);
    auto const card = picture::test_card();
    Matrix<Cpu<double>> const image = to_device(
        cpu, host_matrix<double>(1, card.shape.sites(),
                                 [&](Index, Index s) { return static_cast<double>(card.pixels(0, s)); }));
    Matrix<Cpu<double>> const all = detrame::patches(cpu, card.shape, 8, image);
    Random const order(1, 0);
    std::vector<Index> chosen(static_cast<std::size_t>(all.cols()));
    shuffle(order, chosen);
    Matrix<Cpu<double>> both(m, k + N);
    Index count = 0;
    for (std::size_t n = 0; count < k + N; ++n) {
      Eigen::VectorXd patch = all.col(chosen.at(n));
      patch.array() -= patch.mean();
      if (patch.norm() > 1e-2) both.col(count++) = patch / patch.norm();
    }
    return of(both.leftCols(k), both.rightCols(N), 1e-3, 0, lambda);
  }

  static Case gaussian(Index k, Index N) {
    Cpu<double> cpu(1);
    auto const p = ExactProblem<Cpu<double>>::random(cpu, k, N);
    return of(p.synthesis.D, p.X, p.synthesis.alpha, p.synthesis.beta, p.synthesis.lambda);
  }

 private:
  static Case of(Eigen::MatrixXd const& D, Eigen::MatrixXd const& X, double alpha, double beta,
                 double lambda) {
    Random const normal(2, 0);
    Index const k = D.cols();
    return {{D.cast<Scalar>(), static_cast<Scalar>(alpha), static_cast<Scalar>(beta),
             static_cast<Scalar>(lambda), Matrix<B>::Zero(k, 1)},
            X.cast<Scalar>(),
            Matrix<B>::NullaryExpr(k, X.cols(), [&](Index i, Index j) {
              return normal.normal<Scalar>(static_cast<std::uint64_t>(i + k * j));
            })};
  }
};

/// Calls of both by turns, their processor time a column.
template <class B, class Forward, class Pullback>
void by_turns(benchmark::State& state, B& cpu, ExactResult<B> const& result, Forward&& forward,
              Pullback&& pullback) {
  double seconds[2] = {};
  auto const timed = [](double& sum, auto&& call) {
    std::clock_t const start = std::clock();
    call();
    sum += static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  };
  forward();
  pullback();
  for (auto _ : state) {
    timed(seconds[0], forward);
    timed(seconds[1], pullback);
  }
  auto const u = to_host(cpu, result.u);
  double support = 0;
  for (Index j = 0; j < u.cols(); ++j)
    for (Index i = 0; i < u.rows(); ++i) support += u(i, j) != 0 ? 1 : 0;
  double const columns = static_cast<double>(u.cols()),
               calls = columns * static_cast<double>(state.iterations());
  state.counters["support"] = support / columns;
  state.counters["forward_us"] = 1e6 * seconds[0] / calls;
  state.counters["pullback_us"] = 1e6 * seconds[1] / calls;
  state.counters["both_to_forward"] = (seconds[0] + seconds[1]) / seconds[0];
}

template <class Scalar>
void synthesis(benchmark::State& state, Case<Scalar> const& c, int threads, Index factor_bytes) {
  using B = Cpu<Scalar>;
  B cpu(threads);
  auto const psi = c.synthesis.penalty(cpu);
  ExactResult<B> result;
  SynthesisCotangent<B> bar;
  by_turns(
      state, cpu, result,
      [&] { exact_synthesis(cpu, c.synthesis, psi, c.X, result, {.factor_bytes = factor_bytes}); },
      [&] { exact_synthesis_pullback(cpu, c.synthesis, psi, c.X, result.u, c.u_bar, bar, result.factors); });
}

template <class Scalar>
void prox(benchmark::State& state, Case<Scalar> const& c, int threads, Index factor_bytes) {
  using B = Cpu<Scalar>;
  B cpu(threads);
  Index const k = c.synthesis.D.cols();
  Matrix<B> const weights =
      c.synthesis.D.transpose() * c.synthesis.D + c.synthesis.alpha * Matrix<B>::Identity(k, k);
  DenseMetric<B> const Q(cpu, weights);
  Matrix<B> const Z = weights.llt().solve(c.synthesis.D.transpose() * c.X);
  auto const psi = c.synthesis.penalty(cpu);
  ExactResult<B> result;
  ExactProxCotangent<B> bar;
  by_turns(
      state, cpu, result, [&] { exact_prox(cpu, Q, psi, Z, result, {.factor_bytes = factor_bytes}); },
      [&] { exact_prox_pullback(cpu, Q, psi, Z, result.u, c.u_bar, bar, result.factors); });
}

/// A case in one form, with and without factors, on one thread and two.
template <class Scalar, class Make>
void add(std::string const& name, void (*run)(benchmark::State&, Case<Scalar> const&, int, Index),
         Make make) {
  for (Index const megabytes : {0, 64})
    for (int const threads : {1, 2})
      benchmark::RegisterBenchmark((name + (sizeof(Scalar) == 4 ? "/float" : "/double") +
                                    (megabytes > 0 ? "/factors" : "") + "/threads:" + std::to_string(threads))
                                       .c_str(),
                                   [=](benchmark::State& s) { run(s, make(), threads, megabytes << 20); })
          ->UseRealTime();
}

/// The metric form of patches is too near to singular for float.
template <class Scalar>
void add_all() {
  auto const patches = [](Index N) { return [N] { return Case<Scalar>::patches(256, N, .15); }; };
  auto const gaussian = [] { return Case<Scalar>::gaussian(512, 256); };
  add<Scalar>("synthesis/patches/k:256/N:1024", synthesis<Scalar>, patches(1024));
  add<Scalar>("synthesis/patches/k:256/N:64", synthesis<Scalar>, patches(64));
  add<Scalar>("synthesis/gaussian/k:512/N:256", synthesis<Scalar>, gaussian);
  if (sizeof(Scalar) == 8) add<Scalar>("prox/patches/k:256/N:1024", prox<Scalar>, patches(1024));
  add<Scalar>("prox/gaussian/k:512/N:256", prox<Scalar>, gaussian);
}

}  // namespace

int main(int argc, char** argv) {
  add_all<double>();
  add_all<float>();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
