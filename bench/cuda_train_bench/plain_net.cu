// SPDX-License-Identifier: Apache-2.0
#include "../train_bench/zoo.hpp"
#include "machine.hpp"

std::vector<DeviceNetwork> plain_nets() { return bench::plain_nets(MakeDeviceNetwork()); }
