// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/layer/q_metric_relu.hpp"
#include "detrame/layer/relu.hpp"

namespace detrame {

/// What a network of the zoo takes: the activation behind a convolution with a K x K kernel. A network and its twin
/// differ in nothing else.
struct Plain {
  template <Index K>
  using After = ReLU;
};

/// The twin: W~ a convolution over all channels with the same kernel, h and b one number a channel, T updates. (M5)
template <int T>
struct DeTraMe {
  template <Index K>
  using After = QMetricReLU<Convolutional<K>, Unroll<T>>;
};

}  // namespace detrame
