// SPDX-License-Identifier: Apache-2.0
// What do T updates buy? Distance to the exact prox and time, for each recursion, against T.
#include <benchmark/benchmark.h>

#include <cmath>
#include <string>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/core/random.hpp"
#include "detrame/exact/exact_prox.hpp"
#include "detrame/metric/gram_metric.hpp"
#include "detrame/metric/penalty.hpp"
#include "detrame/prox/bounds.hpp"

namespace {

using namespace detrame;
using B = Cpu<double>;
using Matrix = B::Matrix;

Matrix normal(Index rows, Index cols, std::uint64_t seed) {
  Random const random(seed, 0);
  return Matrix::NullaryExpr(rows, cols, [&](Index i, Index j) {
    return random.normal<double>(static_cast<std::uint64_t>(i + j * rows));
  });
}

/// k = 128 unit-norm Gaussian atoms in m = 256 dimensions, alpha = beta = .01, lambda = .1; 64 signals that
/// 30 % of the atoms made. z = Q^{-1} D^T x.
struct Problem {
  B cpu{1};
  GramMetric<B> Q;
  NonnegativeElasticNet<B> psi;
  Matrix z;  // k x N
  Matrix u;  // k x N, exact

  Problem() : Q(cpu, normal(256, 128, 1).colwise().normalized(), .01), psi(cpu, 128, .1, .01) {
    Matrix const D = Eigen::Map<Matrix const>(Q.D().data(), 256, 128);
    Random const kept(3, 0);
    Matrix const codes =
        normal(128, 64, 2).cwiseAbs().cwiseProduct(Matrix::NullaryExpr(128, 64, [&](Index i, Index j) {
          return kept.uniform<double>(static_cast<std::uint64_t>(i + 128 * j)) < .3 ? 1. : 0.;
        }));
    z = Matrix::Zero(128, 64);
    definite_solve(cpu, Q.weights(), Matrix(D.transpose() * (D * codes)), z);
    u = exact_prox(cpu, Q, psi, z).u;
  }
};

/// Exactly T updates of a batch of 64. The time is that of U_T, its residual and its bound.
template <class Scheme>
void depth(benchmark::State& state, Scheme scheme, Index T) {
  static Problem p;
  double error = 0, bound = 0;
  for (auto _ : state) {
    auto const result = metric_prox(p.cpu, p.Q, p.psi, p.z, scheme, Updates{T});
    error = (result.u - p.u).colwise().norm().maxCoeff();
    bound = result.bound;
  }
  state.counters["error"] = error;           // max over columns of |U_T - u*|_2
  state.counters["residual_bound"] = bound;  // (C4), valid whatever happened
  if constexpr (TiedScheme<Scheme, GramMetric<B>>) {
    auto const known = contraction(p.cpu, p.Q, p.psi, scheme);
    state.counters["kappa"] = known.kappa;
    Matrix const u_1 = metric_prox(p.cpu, p.Q, p.psi, p.z, scheme, Unroll<1>{}).u;
    if (auto const a_priori =
            a_priori_bound(known.kappa, norm(p.cpu, known.S, u_1), T))  // no counter: no bound
      state.counters["a_priori_bound_S"] = *a_priori;
  }
  state.counters["seconds_per_sample"] =
      benchmark::Counter(64, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

template <class Scheme>
void add(char const* name, Scheme scheme) {
  for (Index T = 1; T <= 1024; T *= 4)
    benchmark::RegisterBenchmark(("depth/" + std::string(name) + "/k:128/T:" + std::to_string(T)).c_str(),
                                 depth<Scheme>, scheme, T);
}

int const registered = [] {
  add("Jacobi", Jacobi{});
  add("Gershgorin", Gershgorin{});
  add("ForwardBackward", ForwardBackward{.6});
  add("GaussSeidel", GaussSeidel{});
  add("Fista", Fista{});
  return 0;
}();

}  // namespace

BENCHMARK_MAIN();
