// expect: contraction: only a recursion of the form (20) has a kappa, and bounds that follow from it
// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/metric/dense_metric.hpp"
#include "detrame/metric/penalty.hpp"
#include "detrame/prox/bounds.hpp"

int main() {
  using namespace detrame;
  Cpu<double> cpu;
  Cpu<double>::Matrix const I = Cpu<double>::Matrix::Identity(2, 2);
  DenseMetric<Cpu<double>> const Q(cpu, I);
  NonnegativeElasticNet<Cpu<double>> const psi(cpu, 2, .1, .1);
  return a_priori_bound(cpu, Q, psi, I, GaussSeidel{}, 10).has_value();
}
