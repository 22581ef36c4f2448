// SPDX-License-Identifier: Apache-2.0
#include "detrame/layer/batch_norm.hpp"
#include "detrame/layer/convolution.hpp"
#include "detrame/layer/dense.hpp"
#include "detrame/layer/global_average_pool.hpp"
#include "detrame/layer/q_metric.hpp"
#include "detrame/network/stack.hpp"
#include "machine.hpp"

/// A network for checks of the program itself.
DeviceNetwork tiny_net() {
  using namespace detrame;
  using Tiny = Stack<Convolution<4, 3, Stride<4>>, BatchNorm, QMetricReLU<Convolutional<3>, Unroll<2>>,
                     Convolution<6, 3, Stride<4>>, GlobalAveragePool, Dense<10>>;
  return MakeDeviceNetwork().of<Tiny>("tiny");
}
