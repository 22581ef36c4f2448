// expect: a recursion knows the rule of its penalty by its type alone: one whose Activation has data
// lines: 80
// SPDX-License-Identifier: Apache-2.0
#include "box.hpp"

int main() {
  Cpu<double> cpu;
  Eigen::MatrixXd const Q = Eigen::MatrixXd::Identity(2, 2);
  Box const psi{{0, 1}, Eigen::MatrixXd::Zero(2, 1)};
  metric_prox(cpu, DenseMetric<Cpu<double>>(cpu, Q), psi, Q, GaussSeidel{}, Unroll<3>{});
}
