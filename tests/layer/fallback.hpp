// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "detrame/layer/dictionary.hpp"
#include "detrame/layer/inference_pullback.hpp"
#include "support.hpp"

namespace detrame::test {

/// What a layer gives that solves again in double, and what it solved so.
struct Fallback {
  HostMatrix<double> u, predicted, inference_x_bar, x_bar, D_bar, d_bar, alpha_bar, lambda_bar;
  std::vector<Index> again;
};

/// At alpha = .3, the other parameters as they start.
template <class Layer, Backend B>
Fallback fallback(B& b, HostMatrix<double> const& D, HostMatrix<double> const& images,
                  HostMatrix<double> const& u_bar) {
  Layer const layer{};
  auto theta = layer.parameters(b), theta_bar = layer.parameters(b);
  theta.D = in_memory_of(b, D);
  theta.alpha = in_memory_of(b, HostMatrix<double>(1, 1, .3));
  Matrix<B> const x = in_memory_of(b, images), bar = in_memory_of(b, u_bar);
  typename Layer::Tape tape{};
  Fallback out;
  out.u = in_double(b, layer.forward(b, theta, x, tape, Draw{}));
  Matrix<B> u = zeros(b, u_bar.rows(), u_bar.cols());
  layer.predict(b, theta, x, u);
  out.predicted = in_double(b, ConstView<B>(u));
  Matrix<B> x_bar = x;
  inference_pullback(b, layer, theta, tape, ConstView<B>(bar), View<B>(x_bar));
  out.inference_x_bar = in_double(b, ConstView<B>(x_bar));
  out.x_bar = in_double(b, layer.pullback(b, theta, tape, bar, theta_bar));
  out.D_bar = in_double(b, ConstView<B>(theta_bar.D));
  out.d_bar = in_double(b, ConstView<B>(theta_bar.d));
  out.alpha_bar = in_double(b, ConstView<B>(theta_bar.alpha));
  out.lambda_bar = in_double(b, ConstView<B>(theta_bar.lambda));
  out.again = tape.solved_in_double.columns();
  return out;
}

}  // namespace detrame::test
