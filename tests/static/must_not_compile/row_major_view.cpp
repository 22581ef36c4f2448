// expect: a view has entries column by column with no gap between them
// SPDX-License-Identifier: Apache-2.0
#include <Eigen/Core>

#include "detrame/core/matrix_view.hpp"

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

auto view_of(RowMajor const& m) { return detrame::MatrixView<float const>(m); }
