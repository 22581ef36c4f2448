// expect: PerRow: takes a view
// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"

void add_bias(detrame::Cpu<float>& cpu, detrame::Cpu<float>::Matrix& y,
              detrame::Cpu<float>::Matrix const& c) {
  each(cpu.lane(), detrame::formula::Add(), y, detrame::PerRow{c});
}
