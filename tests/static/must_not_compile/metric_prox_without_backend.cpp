// expect: the first argument is the backend that computes, such as a Cpu<double>
// SPDX-License-Identifier: Apache-2.0
#include "detrame/detrame.hpp"

using namespace detrame;

auto solve(DenseMetric<Cpu<double>> const& Q, NonnegativeElasticNet<Cpu<double>> const& psi,
           Eigen::MatrixXd const& z) {
  return metric_prox(Q, psi, z, Gershgorin());
}
