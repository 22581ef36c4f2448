// expect: the first argument is the backend that computes, such as a Cpu<double>
// SPDX-License-Identifier: Apache-2.0
#include "detrame/detrame.hpp"

using namespace detrame;

auto learnt(Eigen::MatrixXd const& x) { return learn_dictionary(x, LearningOptions{.atoms = 4}); }
