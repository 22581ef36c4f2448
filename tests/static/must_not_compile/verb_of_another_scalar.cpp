// expect: a verb's arguments must have the scalar type of its lane
// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"

void add(detrame::Cpu<float>& cpu, detrame::Cpu<double>::Matrix& y) {
  each(cpu.lane(), detrame::formula::Add(), y, y);
}
