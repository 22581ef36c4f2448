// SPDX-License-Identifier: Apache-2.0
#include "machine.hpp"
#include "zoo.hpp"

std::vector<CpuNetwork> plain_nets() { return bench::plain_nets(MakeCpuNetwork()); }
