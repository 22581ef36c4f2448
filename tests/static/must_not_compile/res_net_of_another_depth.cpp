// expect: ResNet: the depth must be 6 n + 2
// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/network/zoo/res_net.hpp"

using namespace detrame;

Bind<ResNet<Plain, 18>, Shape{3, 32, 32}, Cpu<float>> net;
