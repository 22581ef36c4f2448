// expect: scalar<
// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"

void make(detrame::Cpu<int>& cpu) { detrame::zeros(cpu, 2, 3); }
