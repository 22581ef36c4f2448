// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/layer/convolution.hpp"
#include "detrame/layer/q_metric.hpp"
#include "detrame/layer/relu.hpp"
#include "detrame/network/stack.hpp"

namespace detrame::inline DETRAME_ABI {

/// What a network of the zoo takes: the activation behind a convolution with a K x K kernel. A network and
/// its twin differ in nothing else.
struct Plain {
  template <Index K>
  using After = ReLU;
};

/// The twin: W~ a convolution over all channels, its kernel the same, h and b a number a channel.        (M5)
template <int T>
struct DeTraMe {
  template <Index K>
  using After = QMetricReLU<Convolutional<K>, Unroll<T>>;
};

/// What a twin is compared with that has as many convolutions and weights as it: in place of the Q-metric
/// ReLU with T = 1 a convolution over all channels with the same kernel, with a ReLU behind it.
struct Deepened {
  template <Index K>
  struct After {
    static constexpr Shape output(Shape in) { return in; }
    template <Shape in, Backend B>
    using Layer = Bind<Stack<ReLU, Convolution<in.channels, K>, ReLU>, in, B>;
  };
};

}  // namespace detrame::inline DETRAME_ABI
