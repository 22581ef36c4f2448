// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/dense.hpp"
#include "detrame/layer/dropout.hpp"
#include "detrame/layer/q_metric.hpp"
#include "detrame/layer/reshape.hpp"
#include "detrame/loss/softmax_cross_entropy.hpp"
#include "detrame/network/initialise.hpp"
#include "detrame/network/stack.hpp"
#include "detrame/train/dataset.hpp"
#include "support.hpp"

/// What tests of training share: samples, a network, its parameters on the host.
namespace detrame::test {

using Cross = SoftmaxCrossEntropy;

/// Three classes around centres of their own, a sample of shape 2 x 1 x 3.
template <Backend B>
Dataset<B> clusters(B& b, Index samples, std::uint64_t n) {
  std::vector<int> labels;
  for (Index j = 0; j < samples; ++j) labels.push_back(static_cast<int>(j % 3));
  auto const noise = normal_matrix<double>(6, samples, seed(n)),
             centre = normal_matrix<double>(6, 3, seed(1));
  auto const x = host_matrix<typename B::Scalar>(2, 3 * samples, [&](Index i, Index j) {
    Index const row = i + 2 * (j % 3), sample = j / 3;
    return static_cast<typename B::Scalar>(2 * centre(row, sample % 3) + 0.5 * noise(row, sample));
  });
  return dataset(b, Shape{2, 1, 3}, x, labels, 3);
}

using Small = Stack<Dense<6>, QMetricReLU<Blocks<2>, Unroll<3>>, Dropout<Rate{.2}>, Flatten, Dense<12>,
                    QMetricReLU<Full, Unroll<2>>, Dense<3>>;

template <Backend B>
using SmallNet = Bind<Small, Shape{2, 1, 3}, B>;

/// All parameters, one after the other.
template <Backend B, class Theta>
std::vector<HostMatrix<typename B::Scalar>> on_host(B& b, Theta const& theta) {
  std::vector<HostMatrix<typename B::Scalar>> all;
  visit([&](std::string_view, Role const&, auto const& p) { all.push_back(to_host(b, p)); }, theta);
  return all;
}

}  // namespace detrame::test
