// expect: lambda_max: psi must be a Shrinkage
// SPDX-License-Identifier: Apache-2.0
#include "detrame/detrame.hpp"

using namespace detrame;

auto threshold(Cpu<double>& cpu, DenseMetric<Cpu<double>> const& Q, Eigen::MatrixXd const& z) {
  return lambda_max(cpu, Q, Box<Cpu<double>>(cpu, Q.dim(), -1, 1), z);
}
