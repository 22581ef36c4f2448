// expect: the scalars differ: a matrix of floats goes to a Cpu<float>, one of doubles to a Cpu<double>
// SPDX-License-Identifier: Apache-2.0
#include <Eigen/Core>

#include "detrame/core/matrix_view.hpp"

auto view_of(Eigen::MatrixXf const& m) { return detrame::MatrixView<double const>(m); }
