// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "detrame/core/matrix_view.hpp"

namespace detrame {

/// A column-major matrix in host memory: what goes to a backend with to_device and comes back with to_host.
template <class Scalar_>
class HostMatrix {
 public:
  using Scalar = Scalar_;
  static constexpr bool IsRowMajor = false;
  static constexpr int InnerStrideAtCompileTime = 1;

  HostMatrix() = default;
  HostMatrix(Index rows, Index cols, Scalar value = Scalar(0))
      : rows_(rows), cols_(cols), entries_(static_cast<std::size_t>(rows * cols), value) {}

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

}  // namespace detrame
