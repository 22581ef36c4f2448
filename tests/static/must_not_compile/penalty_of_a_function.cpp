// expect: the argument behind the metric is psi, a type that models Penalty
// SPDX-License-Identifier: Apache-2.0
#include "detrame/detrame.hpp"

using namespace detrame;

auto solve(Cpu<double>& cpu, DenseMetric<Cpu<double>> const& Q, Eigen::MatrixXd const& z) {
  return metric_prox(cpu, Q, [](double u) { return u > 0 ? u : 0; }, z, Gershgorin());
}
