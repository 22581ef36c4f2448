// expect: the metric was made for another backend, or another scalar, than the first argument
// SPDX-License-Identifier: Apache-2.0
#include "detrame/detrame.hpp"

using namespace detrame;

auto solve(Cpu<double>& cpu, DenseMetric<Cpu<float>> const& Q, NonnegativeElasticNet<Cpu<float>> const& psi,
           Eigen::MatrixXd const& z) {
  return metric_prox(cpu, Q, psi, z, Gershgorin());
}
