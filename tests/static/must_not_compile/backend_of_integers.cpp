// expect: Cpu: computes in float or double
// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"

detrame::Cpu<int> cpu;
