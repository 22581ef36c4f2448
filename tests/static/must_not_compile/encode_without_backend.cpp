// expect: the first argument is the backend that computes, such as a Cpu<double>
// SPDX-License-Identifier: Apache-2.0
#include "detrame/detrame.hpp"

using namespace detrame;

auto code(Synthesis<Cpu<double>> const& problem, Eigen::MatrixXd const& x) { return encode(problem, x); }
