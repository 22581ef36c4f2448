// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/encode_sparse.hpp"
#include "detrame/exact/exact_margin.hpp"
#include "detrame/exact/exact_prox.hpp"
#include "detrame/exact/exact_prox_pullback.hpp"
#include "detrame/exact/exact_synthesis.hpp"
#include "detrame/exact/exact_synthesis_pullback.hpp"
#include "detrame/metric/dense_metric.hpp"
#include "support.hpp"

/// One batch of exact problems for any backend: its solution, the cotangents, and what is said of both.
namespace detrame::test {

struct ExactOutcome {
  ExactStatus status, synthesis_status;
  double residual, bound, least_margin;
  HostMatrix<double> u, z_bar, Q_bar, lambda_bar, a, D_bar;
  bool prepared_alike;  ///< what was made ready once gives the bits of what is formed in each call
};

template <Backend B>
ExactOutcome exact_outcome(B& b) {
  using Scalar = typename B::Scalar;
  Index const k = 12, N = 33, m = 7;
  DenseMetric<B> const Q(b, in_memory_of(b, definite_matrix<double>(k, 8, seed(1))));
  ElasticNet<B> const psi(b, k, Scalar(.25), Scalar(.125));
  auto const z = random_matrix(b, k, N, seed(2)), u_bar = random_matrix(b, k, N, seed(3));
  auto const found = exact_prox(b, Q, psi, z);
  auto const bar = exact_prox_pullback(b, Q, psi, z, found.u, u_bar);
  auto const margins = in_double(b, ConstView<B>(exact_margin(b, Q, psi, z, found.u)));
  double least = margins(0, 0);
  for (Index j = 1; j < N; ++j) least = std::min(least, margins(0, j));

  Synthesis<B> synthesis;
  synthesis.D = in_memory_of(b, unit_norm_dictionary<double>(m, k, seed(4)));
  synthesis.d = zeros(b, k, 1);
  synthesis.alpha = Scalar(.5);
  synthesis.beta = Scalar(.125);
  synthesis.lambda = Scalar(.25);
  auto const x = random_matrix(b, m, N, seed(5));
  auto const code = exact_synthesis(b, synthesis, x);
  auto const code_bar = exact_synthesis_pullback(b, synthesis, x, code.u, u_bar);
  auto const host = [&](ConstView<B> v) { return in_double(b, v); };
  SparseCoder coder(b, synthesis);
  coder.update(b, synthesis.D);
  coder.update_lambda(b, synthesis.lambda);
  PreparedProx const prepared(b, Q, psi);
  auto const sparse = encode_sparse(b, coder, x);
  HostMatrix<double> dense(k, N);
  for (std::size_t j = 0; j < static_cast<std::size_t>(N); ++j)
    for (auto p = static_cast<std::size_t>(sparse.offsets[j]);
         p < static_cast<std::size_t>(sparse.offsets[j + 1]); ++p)
      dense(sparse.indices[p], static_cast<Index>(j)) = static_cast<double>(sparse.values[p]);
  bool const alike = dense == host(code.u) && host(encode(b, coder, x).u) == host(code.u) &&
                     host(exact_prox(b, prepared, z).u) == host(found.u);
  return {found.status,
          code.status,
          static_cast<double>(found.largest_residual),
          static_cast<double>(found.bound),
          least,
          host(found.u),
          host(bar.z_bar),
          host(bar.Q_bar),
          host(bar.lambda_bar),
          host(code.u),
          host(code_bar.D_bar),
          alike};
}

/// The same on the CPU in double, instantiated in exact_test.cpp.
ExactOutcome exact_outcome_on_cpu();

}  // namespace detrame::test
