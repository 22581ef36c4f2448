// expect: QMetric: the blocks of W~ must divide the channels
// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/q_metric.hpp"

using namespace detrame;

Bind<QMetricReLU<Blocks<3>, Unroll<2>>, Shape{5}, Cpu<float>> layer;
