// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <string>

#include "detrame/operator/dense_blocks.hpp"
#include "detrame/prox/unrolled_prox_pullback.hpp"
#include "unrolled_case.hpp"

namespace bench {

/// N columns of k rows, T updates.
struct DenseCase {
  Index k, T, N = 1024;

  /// Flops of one product with W~.
  double product() const { return 2. * static_cast<double>(k * k * N); }
  std::string name() const {
    return "/k:" + std::to_string(k) + "/T:" + std::to_string(T) + "/N:" + std::to_string(N);
  }
};
inline constexpr DenseCase dense_cases[] = {{64, 5}, {64, 20}, {256, 5}, {256, 20}, {1024, 5}, {1024, 20}};

/// A layer whose iterates stay of the size of its input: |W~|_2 is about .6.
template <Backend B>
struct DenseProblem {
  B& backend;
  Index T;
  Matrix<B> W_tilde, h, b, Z, U, states, U_bar, Z_bar, W_tilde_bar, h_bar, b_bar;

  DenseProblem(B& backend_, DenseCase const& c)
      : backend(backend_),
        T(c.T),
        W_tilde(random_entries(backend, c.k, c.k, .5f / std::sqrt(static_cast<float>(c.k)), 0)),
        h(constant(backend, c.k, 1, .9f)),
        b(constant(backend, c.k, 1, .01f)),
        Z(random_entries(backend, c.k, c.N, 1, 1)),
        U_bar(constant(backend, c.k, c.N, 1)),
        W_tilde_bar(zeros(backend, c.k, c.k)),
        h_bar(zeros(backend, c.k, 1)),
        b_bar(zeros(backend, c.k, 1)) {
    resize(backend, U, c.k, c.N);
    resize(backend, states, c.k, detrame::StoreStates::columns(T, c.N));
    resize(backend, Z_bar, c.k, c.N);
  }

  void forward(bool store) {
    unrolled_prox(backend, detrame::DenseBlocks{}, detrame::formula::NonnegativeShrinkage{}, W_tilde, h, b, Z,
                  T, U, store ? View<B>(states) : View<B>());
  }
  void pullback(bool stored) {
    unrolled_prox_pullback(backend, detrame::DenseBlocks{}, detrame::formula::NonnegativeShrinkage{}, W_tilde,
                           h, b, Z, T, U, stored ? ConstView<B>(states) : ConstView<B>(), U_bar, Z_bar,
                           W_tilde_bar, h_bar, b_bar);
  }
};

/// How many products one call makes.
constexpr double products(Way way, Index T) {
  return static_cast<double>(way == Way::forward ? T : way == Way::forward_pullback ? 3 * T : 4 * T - 1);
}

}  // namespace bench
