// expect: a view has entries column by column with no gap between them
// SPDX-License-Identifier: Apache-2.0
#include <Eigen/Core>

#include "detrame/core/matrix_view.hpp"

using Strided = Eigen::Map<Eigen::MatrixXd, 0, Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>>;

auto view_of(Strided const& m) { return detrame::MatrixView<double const>(m); }
