// SPDX-License-Identifier: Apache-2.0
// Compiled by nvcc: what host and device share is clean for both, without Eigen.
#include "detrame/backend/formulas.hpp"
#include "detrame/core/errors.hpp"
#include "detrame/core/host_device.hpp"
#include "detrame/core/host_matrix.hpp"
#include "detrame/core/limits.hpp"
#include "detrame/core/matrix_view.hpp"
#include "detrame/core/parameters.hpp"
#include "detrame/core/random.hpp"
#include "detrame/core/shape.hpp"
#include "detrame/core/version.hpp"
#include "detrame/layer/dropout.hpp"
#include "detrame/layer/patches.hpp"
#include "detrame/prox/unrolled_prox.hpp"

#if defined(EIGEN_WORLD_VERSION)
#error "a header for the device includes Eigen"
#endif

namespace {

using detrame::Index;
using detrame::MatrixView;
using detrame::Random;
namespace formula = detrame::formula;

/// f(y_ij, x_ij) for every entry: a map, as a device would run it.
template <class F, class Scalar>
__global__ void map(F f, MatrixView<Scalar> y, MatrixView<Scalar const> x) {
  Index const i = blockIdx.x * blockDim.x + threadIdx.x, j = blockIdx.y;
  if (i < y.rows() && j < y.cols()) f(y(i, j), x(i, j));
}

/// y_i = sum_j term(x_ij), one thread a row.
template <class Term, class Scalar>
__global__ void sum_rows(Term term, MatrixView<Scalar> y, MatrixView<Scalar const> x) {
  Index const i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= y.rows()) return;
  Scalar sum(0);
  for (Index j = 0; j < x.cols(); ++j) sum += term(x.middle_cols(j, 1)(i, 0));
  y(i, 0) = sum;
}

/// The numbers, activations and fused updates of a layer.
template <class Activation, class Scalar>
__global__ void layer(Random random, MatrixView<Scalar> y) {
  Index const i = threadIdx.x, j = blockIdx.x;
  auto const position = static_cast<std::uint64_t>(i + j * y.rows());
  Scalar g = 0, u = 0;
  formula::FirstUpdate<Activation>{}(random.normal<Scalar>(position), g, u, random.uniform<Scalar>(position),
                                     Scalar(1), Scalar(.1));
  formula::NextUpdate<Activation>{}(Scalar(.5), u, g, Scalar(.1));
  formula::ReluPullback{}(g, u, u);
  y(i, j) = u + g + formula::relu(g) + formula::soft_threshold(g, Scalar(.1)) +
            static_cast<Scalar>(random.below(7, position));
  formula::Dropout<Scalar> const dropout{random, 0, y.rows(), Scalar(.2)};
  dropout(i, j, y(i, j), g);
}

/// Where a window reads, and which windows read a site.
__global__ void places(detrame::Window window, MatrixView<double> y) {
  Index const q = threadIdx.x;
  y(0, q) = static_cast<double>(detrame::detail::site_read(window, q, 0, 1));
  y(1, q) = static_cast<double>(detrame::detail::site_reading(window, q, 0, 1));
}

}  // namespace

void launch(MatrixView<float> y, MatrixView<float const> x, MatrixView<double> z) {
  places<<<1, 32>>>(detrame::Window{4, 8, 3, 1, 1}, z);
  map<<<dim3(1, 1), 32>>>(formula::Relu{}, y, x);
  map<<<dim3(1, 1), 32>>>(formula::Axpy<float>{2}, y, x);
  sum_rows<<<1, 32>>>(formula::Square{}, y, x);
  sum_rows<<<1, 32>>>(formula::Magnitude{}, y, x);
  layer<formula::NonnegativeShrinkage><<<1, 32>>>(Random(1, 2), y);
  layer<formula::SoftShrinkage><<<1, 32>>>(Random(1, 2), z);
}
