// expect: the scalars differ: a matrix of floats goes to a Cpu<float>, one of doubles to a Cpu<double>
// SPDX-License-Identifier: Apache-2.0
#include "detrame/detrame.hpp"

using namespace detrame;

auto code(Cpu<double>& cpu, Synthesis<Cpu<double>> const& problem, Eigen::MatrixXf const& x) {
  return encode(cpu, SparseCoder(cpu, problem), x);
}
