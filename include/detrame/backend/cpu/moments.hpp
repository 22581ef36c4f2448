// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "detrame/backend/cpu/chunks.hpp"
#include "detrame/backend/cpu/each.hpp"
#include "detrame/backend/formula/entries.hpp"
#include "detrame/backend/formula/moments.hpp"

namespace detrame::inline DETRAME_ABI {

namespace detail {
/// out_i += sum_j f(i, x_ij), four columns at a time.
template <class Scalar, class F>
void add_columns(MatrixView<Scalar const> x, Scalar* out, F const& f) {
  Index const rows = x.rows(), cols = x.cols(), step = x.stride();
  Index j = 0;
  for (; j + 4 <= cols; j += 4) {
    Scalar const *const a = &x(0, j), *const b = a + step, *const c = b + step, *const d = c + step;
    for (Index i = 0; i < rows; ++i) out[i] += (f(i, a[i]) + f(i, b[i])) + (f(i, c[i]) + f(i, d[i]));
  }
  for (; j < cols; ++j)
    for (Index i = 0; i < rows; ++i) out[i] += f(i, x(i, j));
}
}  // namespace detail

/// Here a piece is a chunk, which two sweeps find in a cache.
template <class Scalar>
void row_moments(Cpu<Scalar>& backend, std::type_identity_t<MatrixView<Scalar const>> x,
                 std::type_identity_t<MatrixView<Scalar>> mean,
                 std::type_identity_t<MatrixView<Scalar>> variance) {
  Index const rows = x.rows(), N = x.cols();
  DETRAME_ASSERT(mean.rows() == rows && mean.cols() == 1 && variance.rows() == rows && variance.cols() == 1);
  CpuLane<Scalar>& lane = backend.lane();
  each(lane, formula::Fill<Scalar>{0}, mean);
  each(lane, formula::Fill<Scalar>{0}, variance);
  if (N == 0 || rows == 0) return;
  Index const width = detail::chunk_columns<Scalar>(Batch{N}, rows, detail::fewest_chunks);
  Index const pieces = (N + width - 1) / width;
  auto const count = [=](Index p) { return std::min(width, N - p * width); };
  auto const frame = backend.partial_sums().frame();
  MatrixView<Scalar> const of_pieces(backend.partial_sums().template take<Scalar>(2 * pieces * rows), rows,
                                     2 * pieces, rows);
  Scalar const* const first = x.data();
  Work const work{0, static_cast<double>(2 * rows * N * Index{sizeof(Scalar)})};
  backend.run(pieces, work, [&](CpuLane<Scalar>&, Index p) {
    MatrixView<Scalar const> const piece = x.middle_cols(p * width, count(p));
    Scalar *const m = &of_pieces(0, 2 * p), *const squares = &of_pieces(0, 2 * p + 1);
    std::fill_n(m, 2 * rows, Scalar(0));
    detail::add_columns(piece, m, [=](Index i, Scalar x_ij) { return x_ij - first[i]; });
    for (Index i = 0; i < rows; ++i) m[i] /= static_cast<Scalar>(count(p));
    detail::add_columns(piece, squares, [=](Index i, Scalar x_ij) {
      Scalar const deviation = (x_ij - first[i]) - m[i];
      return deviation * deviation;
    });
  });
  for (Index p = 0; p < pieces; ++p)
    each(lane, formula::UniteMoments<Scalar>(p * width, count(p)), mean, variance,
         of_pieces.middle_cols(2 * p, 1), of_pieces.middle_cols(2 * p + 1, 1));
  each(lane, formula::FinishMoments<Scalar>{static_cast<Scalar>(N)}, mean, variance, x.middle_cols(0, 1));
}

}  // namespace detrame::inline DETRAME_ABI
