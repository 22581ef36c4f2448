// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cuda/device_calls.hpp"
#include "detrame/layer/batch_norm.hpp"
#include "detrame/layer/convolution.hpp"
#include "detrame/layer/dense.hpp"
#include "detrame/layer/dropout.hpp"
#include "detrame/layer/global_average_pool.hpp"
#include "detrame/layer/q_metric.hpp"
#include "detrame/layer/relu.hpp"
#include "detrame/loss/softmax_cross_entropy.hpp"
#include "detrame/network/initialise.hpp"
#include "detrame/network/stack.hpp"
#include "detrame/optim/adam_w.hpp"
#include "detrame/train/algorithm2.hpp"
#include "support.hpp"

/// A few steps of Algorithm 2 for a small network on any backend.
namespace detrame::test {

using Small = Stack<Convolution<4, 3>, QMetricReLU<Convolutional<3>, Unroll<2>>, Dropout<Rate{.2}>,
                    Convolution<6, 3, Stride<2>>, BatchNorm, ReLU, GlobalAveragePool, Dense<8>,
                    QMetricReLU<Blocks<2>, Unroll<3>>, Dense<3>>;
inline constexpr Shape small_input{2, 5, 6};

template <Backend B>
using SmallNet = Bind<Small, small_input, B>;

struct Steps {
  std::vector<double> losses;
  std::vector<HostMatrix<double>> theta;
  std::vector<DeviceCalls> calls;  ///< of each step
  friend bool operator==(Steps const&, Steps const&) = default;
};

template <Backend B, class O = Sgd>
Steps some_steps(B& b, O const& optimiser = {}, std::optional<Clip> const& clip = {}) {
  using Net = SmallNet<B>;
  Index const samples = 16;
  std::vector<int> labels;
  for (int j = 0; j < samples; ++j) labels.push_back(j % 3);
  auto const x = random_matrix(b, small_input.channels, small_input.sites() * samples, seed(1));
  auto const targets = one_hot(b, labels, 3);
  Net const net;
  auto theta = net.parameters(b);
  initialise(b, theta, RandomStart{.spread = 0.8}, 2);
  auto state = training_state(b, net, optimiser);
  Steps result;
  for (std::uint64_t step = 0; step < 4; ++step) {
    double loss = 0;
    result.calls.push_back(calls_of([&] {
      loss = static_cast<double>(train_step(b, net, SoftmaxCrossEntropy(), optimiser, .1, theta, state,
                                            ConstView<B>(x), ConstView<B>(targets),
                                            Draw{.seed = 3, .step = step}, clip)
                                     .loss);
    }));
    result.losses.push_back(loss);
  }
  visit([&](std::string_view, Role const&, auto const& p) { result.theta.push_back(in_double(b, p)); },
        theta);
  return result;
}

/// Steps of Nesterov's and of AdamW, with a gradient of this length at most. An epsilon so large keeps small
/// entries of the gradient from having large roundings.
template <Backend B>
Steps nesterov_steps(B& b, std::optional<Clip> const& clip) {
  return some_steps(b, Sgd{.nesterov = true}, clip);
}
template <Backend B>
Steps adam_w_steps(B& b, std::optional<Clip> const& clip) {
  return some_steps(b, AdamW{.epsilon = 1}, clip);
}

/// The same on the CPU in double, instantiated in training_test.cpp.
Steps some_steps_on_cpu();
Steps nesterov_steps_on_cpu(std::optional<Clip> const& clip);
Steps adam_w_steps_on_cpu(std::optional<Clip> const& clip);

}  // namespace detrame::test
