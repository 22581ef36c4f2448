// SPDX-License-Identifier: Apache-2.0
#include "machine.hpp"
#include "zoo.hpp"

std::vector<CpuNetwork> res_nets() { return bench::res_nets(MakeCpuNetwork()); }
