// expect: the scalars differ
// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"

void multiply(detrame::Cpu<float>& cpu, detrame::MatrixView<double> x, detrame::MatrixView<double> y) {
  using detrame::Op;
  gemm(cpu.lane(), 1, x, Op::none, x, Op::none, 0, y);
}
