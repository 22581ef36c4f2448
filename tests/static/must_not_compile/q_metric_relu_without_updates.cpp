// expect: QMetric: at least one update
// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/q_metric.hpp"

using namespace detrame;

Bind<QMetricReLU<Full, Unroll<0>>, Shape{5}, Cpu<float>> layer;
