// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "detrame/core/sizes.hpp"

namespace detrame::inline DETRAME_ABI {

/// A column-major matrix in host memory: what goes to a backend with to_device and comes back with to_host.
///
/// Requires  sizes >= 0 whose bytes an Index can count, else ShapeError.
/// Tested    tests/core/sizes_test.cpp
template <class Scalar_>
class HostMatrix {
 public:
  using Scalar = Scalar_;
  static constexpr bool IsRowMajor = false;
  static constexpr int InnerStrideAtCompileTime = 1;

  HostMatrix() = default;
  HostMatrix(Index rows, Index cols, Scalar value = Scalar(0))
      : rows_(rows), cols_(cols), entries_(count(rows, cols), value) {}

  Index rows() const { return rows_; }
  Index cols() const { return cols_; }
  Index outerStride() const { return rows_; }
  Scalar* data() { return entries_.data(); }
  Scalar const* data() const { return entries_.data(); }
  Scalar& operator()(Index i, Index j) { return entries_[static_cast<std::size_t>(i + j * rows_)]; }
  Scalar const& operator()(Index i, Index j) const {
    return entries_[static_cast<std::size_t>(i + j * rows_)];
  }

  friend bool operator==(HostMatrix const&, HostMatrix const&) = default;

 private:
  static std::size_t count(Index rows, Index cols) {
    if (!product_of_sizes({rows, cols, Index{sizeof(Scalar)}}))
      throw ShapeError(message("HostMatrix: ", rows, " x ", cols, " entries of ", sizeof(Scalar),
                               " bytes, must be sizes >= 0 whose product can be counted in ",
                               8 * sizeof(Index) - 1, " bits"));
    return static_cast<std::size_t>(rows * cols);
  }

  Index rows_ = 0;
  Index cols_ = 0;
  std::vector<Scalar> entries_;
};

/// The matrix with entry (i, j) = f(i, j).
template <class Scalar, class F>
HostMatrix<Scalar> host_matrix(Index rows, Index cols, F&& f) {
  HostMatrix<Scalar> m(rows, cols);
  for (Index j = 0; j < cols; ++j)
    for (Index i = 0; i < rows; ++i) m(i, j) = f(i, j);
  return m;
}

}  // namespace detrame::inline DETRAME_ABI
