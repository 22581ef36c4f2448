// SPDX-License-Identifier: Apache-2.0
#include "../train_bench/zoo.hpp"
#include "machine.hpp"

std::vector<DeviceNetwork> res_nets() { return bench::res_nets(MakeDeviceNetwork()); }
