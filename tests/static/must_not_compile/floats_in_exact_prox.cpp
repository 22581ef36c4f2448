// expect: the scalars differ: a matrix of floats goes to a Cpu<float>, one of doubles to a Cpu<double>
// SPDX-License-Identifier: Apache-2.0
#include "detrame/detrame.hpp"

using namespace detrame;

auto solve(Cpu<double>& cpu, DenseMetric<Cpu<double>> const& Q, NonnegativeElasticNet<Cpu<double>> const& psi,
           Eigen::MatrixXf const& z) {
  return exact_prox(cpu, Q, psi, z);
}
