// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/exact_prox.hpp"
#include "detrame/exact/exact_prox_pullback.hpp"
#include "detrame/metric/dense_metric.hpp"
#include "detrame/prox/metric_prox.hpp"
#include "detrame/prox/unrolled_prox_pullback.hpp"
#include "penalties.hpp"

/// Rules that have data, carried by value into kernels: what a box or Huber's penalty makes on any backend.
namespace detrame::test {

struct Found {
  Host exact, bar, swept, accelerated, unrolled, unrolled_bar;
};

template <Backend B, class Of>
Found found(B& b, Of const& of) {
  using Scalar = typename B::Scalar;
  Index const k = 8, N = 33;
  DenseMetric<B> const Q(b, in_memory_of(b, definite_matrix<double>(k, 4, seed(50))));
  auto const psi = of(b, k, .0625);
  auto const z = random_matrix(b, k, N, seed(51)), u_bar = random_matrix(b, k, N, seed(52));
  auto const host = [&](ConstView<B> v) { return in_double(b, v); };
  auto const exact = exact_prox(b, Q, psi, z);
  CHECK(exact.status == ExactStatus::optimal);
  auto const bar = exact_prox_pullback(b, Q, psi, z, exact.u, u_bar);
  Until const until{.tolerance = sizeof(Scalar) == 8 ? 1e-11 : 1e-5};
  auto const swept = metric_prox(b, Q, psi, z, GaussSeidel{}, until),
             accelerated = metric_prox(b, Q, psi, z, Fista{}, until);
  CHECK((swept.status == Status::residual_reached && accelerated.status == Status::residual_reached));
  auto const W =
      in_memory_of(b, mapped([](double w) { return .14 * w; }, normal_matrix<double>(k, k, seed(53))));
  auto const h = in_memory_of(b, Host(k, 1, .75)), t = in_memory_of(b, Host(k, 1, .125));
  Matrix<B> U = zeros(b, k, N), states = zeros(b, k, 2 * N), Z_bar = zeros(b, k, N), W_bar = zeros(b, k, k),
            h_bar = zeros(b, k, 1), b_bar = zeros(b, k, 1);
  unrolled_prox(b, DenseBlocks{1}, psi.activation(), W, h, t, z, 3, U, states);
  unrolled_prox_pullback(b, DenseBlocks{1}, psi.activation(), W, h, t, z, 3, U, states, u_bar, Z_bar, W_bar,
                         h_bar, b_bar);
  return {host(exact.u), host(bar.z_bar), host(swept.u), host(accelerated.u), host(U), host(W_bar)};
}

/// The same on the CPU in double, instantiated in penalty_test.cpp.
Found found_on_cpu(OfBox const& of);
Found found_on_cpu(OfHuber const& of);

}  // namespace detrame::test
