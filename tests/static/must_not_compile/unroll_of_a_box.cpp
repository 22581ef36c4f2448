// expect: a recursion knows the rule of its penalty by its type alone: one whose Activation has data
// lines: 80
// SPDX-License-Identifier: Apache-2.0
#include "box.hpp"

int main() {
  Cpu<double> cpu;
  Eigen::MatrixXd const W = Eigen::MatrixXd::Identity(2, 2), h = Eigen::MatrixXd::Ones(2, 1);
  Eigen::MatrixXd U = W;
  using V = ConstView<Cpu<double>>;
  unrolled_prox(cpu, DenseBlocks{1}, BoxRule{0, 1}, V(W), V(h), V(h), V(W), 3, View<Cpu<double>>(U));
}
