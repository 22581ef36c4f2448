// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/SparseCore>
#include <type_traits>
#include <vector>

#include "detrame/core/matrix_view.hpp"

namespace detrame::inline DETRAME_ABI {

/// A view of compressed columns as a sparse matrix of Eigen's, for whatever has rows, offsets, indices and
/// values, SparseCodes say; it lives as long as those stay. Copies nothing.
template <class Columns>
auto sparse_map(Columns const& columns) {
  using Scalar = typename decltype(columns.values)::value_type;
  return Eigen::Map<Eigen::SparseMatrix<Scalar, Eigen::ColMajor, Index> const>(
      columns.rows, static_cast<Index>(columns.offsets.size()) - 1, static_cast<Index>(columns.values.size()),
      columns.offsets.data(), columns.indices.data(), columns.values.data());
}
template <class Columns>
  requires(!std::is_lvalue_reference_v<Columns>)
auto sparse_map(Columns&&) {
  static_assert(detail::never<Columns>,
                "sparse_map: the columns must outlive their view: give them a name first");
  return 0;
}

}  // namespace detrame::inline DETRAME_ABI
