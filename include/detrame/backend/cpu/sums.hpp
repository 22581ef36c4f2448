// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>

#include "detrame/backend/cpu/each.hpp"

namespace detrame::inline DETRAME_ABI {

template <class Scalar, class F, class First, class... Args>
void row_sums(CpuLane<Scalar>&, std::type_identity_t<MatrixView<Scalar>> out, F const& f, First&& first,
              Args&&... args) {
  auto const lead = detail::argument<Scalar>(first);
  Index const rows = lead.view.rows(), cols = lead.view.cols();
  DETRAME_ASSERT(out.rows() == rows && out.cols() == 1);
  DETRAME_ASSERT((detail::argument<Scalar>(args).fits(rows, cols) && ...));
  for (Index j = 0; j < cols; ++j)
    [&](Scalar* sum, auto... column) {
      for (Index i = 0; i < rows; ++i) sum[i] += f(column[i]...);
    }(out.data(), lead.column(j), detail::argument<Scalar>(args).column(j)...);
}

/// Here by sixteen interleaved partial sums.
template <class Scalar, class F, class First, class... Args>
void column_sums(CpuLane<Scalar>&, std::type_identity_t<MatrixView<Scalar>> out, F const& f, First&& first,
                 Args&&... args) {
  auto const lead = detail::argument<Scalar>(first);
  Index const rows = lead.view.rows(), cols = lead.view.cols();
  DETRAME_ASSERT(out.rows() == 1 && out.cols() == cols);
  DETRAME_ASSERT((detail::argument<Scalar>(args).fits(rows, cols) && ...));
  constexpr Index ways = 16;
  for (Index j = 0; j < cols; ++j)
    out(0, j) = [&](auto... column) {
      Scalar partial[ways] = {};
      Index i = 0;
      for (; i + ways <= rows; i += ways)
        for (Index w = 0; w < ways; ++w) partial[w] += f(column[i + w]...);
      for (; i < rows; ++i) partial[i % ways] += f(column[i]...);
      Scalar sum(0);
      for (Scalar p : partial) sum += p;
      return sum;
    }(lead.column(j), detail::argument<Scalar>(args).column(j)...);
}

template <class Scalar, class F, class First, class... Args>
void column_max(CpuLane<Scalar>&, std::type_identity_t<MatrixView<Scalar>> out, F const& f, First&& first,
                Args&&... args) {
  auto const lead = detail::argument<Scalar>(first);
  Index const rows = lead.view.rows(), cols = lead.view.cols();
  DETRAME_ASSERT(out.rows() == 1 && out.cols() == cols);
  DETRAME_ASSERT((detail::argument<Scalar>(args).fits(rows, cols) && ...));
  for (Index j = 0; j < cols; ++j)
    out(0, j) = [&](auto... column) {
      Scalar largest = -std::numeric_limits<Scalar>::infinity();
      for (Index i = 0; i < rows; ++i) {
        Scalar const v = f(column[i]...);
        if (v > largest || v != v) largest = v;
        if (v != v) break;
      }
      return largest;
    }(lead.column(j), detail::argument<Scalar>(args).column(j)...);
}

template <class Scalar>
Scalar sum_to_host(CpuLane<Scalar>&, std::type_identity_t<MatrixView<Scalar const>> v) {
  Scalar sum(0);
  for (Index j = 0; j < v.cols(); ++j)
    for (Index i = 0; i < v.rows(); ++i) sum += v(i, j);
  return sum;
}

template <class Scalar>
Scalar max_to_host(CpuLane<Scalar>&, std::type_identity_t<MatrixView<Scalar const>> v) {
  Scalar largest = -std::numeric_limits<Scalar>::infinity();
  for (Index j = 0; j < v.cols(); ++j)
    for (Index i = 0; i < v.rows(); ++i) {
      if (v(i, j) != v(i, j)) return v(i, j);
      if (v(i, j) > largest) largest = v(i, j);
    }
  return largest;
}

}  // namespace detrame::inline DETRAME_ABI
