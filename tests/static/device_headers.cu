// SPDX-License-Identifier: Apache-2.0
// Compiled by nvcc: what host and device share is clean for both, without Eigen.
#include "detrame/backend/formulas.hpp"
#include "detrame/core/errors.hpp"
#include "detrame/core/host_device.hpp"
#include "detrame/core/host_matrix.hpp"
#include "detrame/core/matrix_view.hpp"
#include "detrame/core/parameters.hpp"
#include "detrame/core/random.hpp"
#include "detrame/core/shape.hpp"
#include "detrame/core/version.hpp"

#if defined(EIGEN_WORLD_VERSION)
#error "a header for the device includes Eigen"
#endif

__global__ void relu_of(detrame::MatrixView<float> y) {
  for (detrame::Index j = 0; j < y.cols(); ++j) {
    for (detrame::Index i = 0; i < y.rows(); ++i) y(i, j) = detrame::formula::relu(y(i, j));
  }
}

__global__ void assign_all(detrame::MatrixView<double> y, double x) {
  for (detrame::Index j = 0; j < y.cols(); ++j) {
    for (detrame::Index i = 0; i < y.rows(); ++i) detrame::formula::Assign{}(y(i, j), x);
  }
}
