// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <benchmark/benchmark.h>

#include <cmath>

#include "detrame/core/random.hpp"
#include "detrame/exact/exact_prox.hpp"
#include "detrame/exact/exact_synthesis.hpp"
#include "detrame/metric/transform.hpp"

namespace bench {

using detrame::Backend;
using detrame::ConstView;
using detrame::Index;
using detrame::Matrix;
using detrame::View;

inline constexpr Index exact_k[] = {32, 128, 512}, exact_N[] = {1, 64};

/// Synthesis problems in double: a dictionary of k atoms in m dimensions, and N samples X.
template <Backend B>
struct ExactProblem {
  detrame::Synthesis<B> synthesis;
  Matrix<B> X;  // m x N

  /// k unit-norm Gaussian atoms in m = k / 2 dimensions, and samples with 30 %-dense codes.
  static ExactProblem random(B& backend, Index k, Index N) {
    Index const m = k / 2;
    detrame::Random const entries(1, 0), codes(1, 1), chosen(1, 2);
    auto const place = [](Index i) { return static_cast<std::uint64_t>(i); };
    auto D = detrame::host_matrix<double>(
        m, k, [&](Index i, Index j) { return entries.normal<double>(place(i + m * j)); });
    for (Index j = 0; j < k; ++j) {
      double square = 0;
      for (Index i = 0; i < m; ++i) square += D(i, j) * D(i, j);
      for (Index i = 0; i < m; ++i) D(i, j) /= std::sqrt(square);
    }
    auto const A = detrame::host_matrix<double>(k, N, [&](Index i, Index j) {
      Index const n = i + k * j;
      return chosen.uniform<double>(place(n)) < .3 ? codes.uniform<double>(place(n)) : 0;
    });
    ExactProblem p{{to_device(backend, D), .01, .01, .1, zeros(backend, k, 1)}, zeros(backend, m, N)};
    gemm(backend.lane(), 1, p.synthesis.D, detrame::Op::none, to_device(backend, A), detrame::Op::none, 0,
         p.X);
    return p;
  }

  /// The same problems in the metric form: Z = W X - c.
  Matrix<B> metric_points(B& backend) const {
    auto const t = transform(backend, synthesis);
    Matrix<B> Z;
    resize(backend, Z, t.W.rows(), X.cols());
    auto const frame = backend.lane().frame();
    product_each(backend.lane(), prepare_product(backend, t.W, detrame::Op::none), X,
                 detrame::formula::StoreMinus(), View<B>(Z), detrame::PerRow{ConstView<B>(t.c)});
    return Z;
  }
};

/// Columns a second, and the means of pivots and members of the support.
template <Backend B>
void count(benchmark::State& state, B& backend, detrame::ExactResult<B> const& result) {
  auto const u = to_host(backend, result.u), pivots = to_host(backend, result.pivots);
  auto const N = static_cast<double>(u.cols());
  double exchanges = 0, support = 0;
  for (Index j = 0; j < u.cols(); ++j) {
    exchanges += pivots(0, j);
    for (Index i = 0; i < u.rows(); ++i) support += u(i, j) > 0 ? 1 : 0;
  }
  state.counters["columns/s"] = benchmark::Counter(N, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["pivots"] = exchanges / N;
  state.counters["support"] = support / N;
  state.counters["residual"] = result.largest_residual;
}

}  // namespace bench
