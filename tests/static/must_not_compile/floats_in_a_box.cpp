// expect: the scalars differ: a matrix of floats goes to a Cpu<float>, one of doubles to a Cpu<double>
// SPDX-License-Identifier: Apache-2.0
#include "detrame/detrame.hpp"

using namespace detrame;

auto penalty(Cpu<double>& cpu, Eigen::MatrixXf const& beta) { return Box<Cpu<double>>(cpu, -1, 1, beta); }
