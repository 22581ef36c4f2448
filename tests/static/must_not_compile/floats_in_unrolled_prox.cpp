// expect: the scalars differ: a matrix of floats goes to a Cpu<float>, one of doubles to a Cpu<double>
// SPDX-License-Identifier: Apache-2.0
#include "detrame/detrame.hpp"

using namespace detrame;

void unroll(Cpu<double>& cpu, Recurrence<Cpu<double>> const& r, Eigen::MatrixXf const& z,
            Eigen::MatrixXd& u) {
  unrolled_prox(cpu, r.structure, formula::NonnegativeShrinkage(), r.W_tilde, r.h, r.b, z, 3, u);
}
