// expect: the scalars differ: a matrix of floats goes to a Cpu<float>, one of doubles to a Cpu<double>
// SPDX-License-Identifier: Apache-2.0
#include "detrame/detrame.hpp"

using namespace detrame;

auto problem(Eigen::MatrixXd const& D, Eigen::MatrixXf const& d) { return Synthesis{D, .1, .1, .1, d}; }
