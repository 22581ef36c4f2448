// SPDX-License-Identifier: Apache-2.0
#include "detrame/network/zoo/plain_net.hpp"

#include "network.hpp"

std::vector<BenchNetwork> plain_nets() {
  using namespace detrame;
  return {bench_network<PlainNet3<Plain>>("plain3"), bench_network<PlainNet3<DeTraMe<5>>>("detrame3_T5"),
          bench_network<PlainNet9<Plain>>("plain9"), bench_network<PlainNet9<DeTraMe<2>>>("detrame9_T2")};
}
