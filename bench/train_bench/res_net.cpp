// SPDX-License-Identifier: Apache-2.0
#include "detrame/network/zoo/res_net.hpp"

#include "network.hpp"

std::vector<BenchNetwork> res_nets() {
  using namespace detrame;
  return {bench_network<ResNet<Plain, 8>>("resnet8"),
          bench_network<ResNet<DeTraMe<3>, 8>>("detrame_resnet8_T3")};
}
