// SPDX-License-Identifier: Apache-2.0
#include "network.hpp"
#include "zoo.hpp"

std::vector<BenchNetwork> plain_nets() { return bench::plain_nets(MakeBenchNetwork()); }
