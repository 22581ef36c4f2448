// SPDX-License-Identifier: Apache-2.0
#include "network.hpp"
#include "zoo.hpp"

std::vector<BenchNetwork> res_nets() { return bench::res_nets(MakeBenchNetwork()); }
