// expect: the scalars differ: a matrix of floats goes to a Cpu<float>, one of doubles to a Cpu<double>
// SPDX-License-Identifier: Apache-2.0
#include "detrame/detrame.hpp"

using namespace detrame;

using Four = Bind<Dense<4>, Shape{5}, Cpu<double>>;

void predict(Cpu<double>& cpu, Four::Parameters const& theta, Eigen::MatrixXf const& x, Eigen::MatrixXd& y) {
  Four().predict(cpu, theta, x, y);
}
