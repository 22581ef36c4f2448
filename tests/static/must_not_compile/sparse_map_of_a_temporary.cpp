// expect: sparse_map: the columns must outlive their view: give them a name first
// SPDX-License-Identifier: Apache-2.0
#include "detrame/detrame.hpp"

using namespace detrame;

SparseCodes<double> codes();

auto decoded(Eigen::MatrixXd const& D) { return Eigen::MatrixXd(D * sparse_map(codes())); }
