// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <string>

#include "detrame/operator/convolutional_blocks.hpp"
#include "detrame/prox/unrolled_prox_pullback.hpp"
#include "unrolled_case.hpp"

namespace bench {

/// `images` of edge x edge with C channels, T updates.
struct ConvCase {
  Index C, edge, T, images = 64;

  /// Flops of one product with W~.
  double product() const { return 18. * static_cast<double>(C * C * edge * edge * images); }
  std::string images_name() const { return "/C:" + std::to_string(C) + "/HW:" + std::to_string(edge); }
  std::string name() const {
    return images_name() + "/T:" + std::to_string(T) + "/N:" + std::to_string(images);
  }
};
inline constexpr ConvCase conv_cases[] = {{96, 32, 2}, {96, 32, 5}, {192, 16, 2}, {16, 32, 3}, {64, 8, 3}};

constexpr char const* name_of(Way way) {
  return way == Way::forward            ? "forward"
         : way == Way::forward_pullback ? "forward_pullback"
                                        : "forward_pullback_recompute";
}

/// A layer of 3 x 3 kernels whose iterates stay of the size of their input.
template <Backend B, class Structure>
struct ConvProblem {
  B& backend;
  Structure shape;
  Index T, columns;
  Matrix<B> W_tilde, h, b, Z, U, states, U_bar, Z_bar, W_tilde_bar, h_bar, b_bar;

  ConvProblem(B& backend_, ConvCase const& c, bool store)
      : backend(backend_),
        shape{c.edge, c.edge, 3},
        T(c.T),
        columns(c.images * shape.unit()),
        W_tilde(random_entries(backend, c.C, 9 * c.C, .5f / (3 * std::sqrt(static_cast<float>(c.C))), 0)),
        h(constant(backend, c.C, 1, .9f)),
        b(constant(backend, c.C, 1, .01f)),
        Z(random_entries(backend, c.C, columns, 1, 1)),
        U_bar(constant(backend, c.C, columns, 1)),
        W_tilde_bar(zeros(backend, c.C, 9 * c.C)),
        h_bar(zeros(backend, c.C, 1)),
        b_bar(zeros(backend, c.C, 1)) {
    resize(backend, U, c.C, columns);
    resize(backend, states, c.C, store ? detrame::StoreStates::columns(T, columns) : 0);
    resize(backend, Z_bar, c.C, columns);
  }

  void forward() {
    unrolled_prox(backend, shape, detrame::formula::NonnegativeShrinkage{}, W_tilde, h, b, Z, T, U,
                  View<B>(states));
  }
  void pullback() {
    unrolled_prox_pullback(backend, shape, detrame::formula::NonnegativeShrinkage{}, W_tilde, h, b, Z, T, U,
                           states, U_bar, Z_bar, W_tilde_bar, h_bar, b_bar);
  }
};

}  // namespace bench
