// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>

#include "detrame/backend/cpu/cpu.hpp"

namespace detrame::inline DETRAME_ABI {

namespace detail {
/// Columns a chunk, a multiple of `unit`, and a function of the shapes alone: 64 to 128, as many as a
/// recursion keeps in an L2 cache of 512 KiB; else 256, so that what is read of a large factor serves many
/// columns; more where the batch wants more. Small batches are cut in `parts`, down to 16 columns.
template <class Scalar>
Index chunk_columns(Batch batch, Index scalars_per_column, Index parts) {
  DETRAME_ASSERT(batch.columns >= 0 && batch.unit >= 1 && batch.columns % batch.unit == 0);
  constexpr Index cache_bytes = Index{1} << 19, narrow = 64, most = 128, wide = 256;
  Index const cached =
      cache_bytes / (std::max<Index>(scalars_per_column, 1) * Index{sizeof(Scalar)}) / 16 * 16;
  Index const part = (batch.columns / parts + 15) / 16 * 16;
  Index const width =
      std::clamp<Index>(part, 16, std::max(cached < narrow ? wide : std::min(cached, most), batch.wanted));
  return std::max<Index>(width / batch.unit, 1) * batch.unit;
}
inline constexpr Index fewest_chunks = 4;

/// Of a whole batch.
template <class Scalar>
Work work_of(Batch batch, Index scalars_per_column) {
  auto const columns = static_cast<double>(batch.columns);
  return {columns * batch.flops, columns * static_cast<double>(scalars_per_column * Index{sizeof(Scalar)})};
}
}  // namespace detail

template <class Scalar, class F>
void each_chunk(Cpu<Scalar>& backend, Batch batch, Index scalars_per_column, F&& f) {
  Index const width = detail::chunk_columns<Scalar>(batch, scalars_per_column, detail::fewest_chunks);
  Work const work = detail::work_of<Scalar>(batch, scalars_per_column);
  backend.run((batch.columns + width - 1) / width, work, [&](CpuLane<Scalar>& lane, Index i) {
    auto const frame = lane.frame();
    f(lane, Columns{i * width, std::min(width, batch.columns - i * width)});
  });
}

template <class Scalar, class F>
void each_chunk(CpuLane<Scalar>& lane, Batch batch, Index scalars_per_column, F&& f) {
  Index const width = detail::chunk_columns<Scalar>(batch, scalars_per_column, 1);
  for (Index first = 0; first < batch.columns; first += width) {
    auto const frame = lane.frame();
    f(lane, Columns{first, std::min(width, batch.columns - first)});
  }
}

template <class Scalar, std::size_t n, class F>
void sum_chunks(Cpu<Scalar>& backend, Batch batch, Index scalars_per_column,
                std::array<MatrixView<Scalar>, n> const& sums, F&& f) {
  constexpr Index fewest_groups = 4, most_groups = 16, most_bytes = Index{1} << 25;
  Index const width = detail::chunk_columns<Scalar>(batch, scalars_per_column, detail::fewest_chunks);
  Index const chunks = (batch.columns + width - 1) / width;
  Index size = 0;
  for (auto const& sum : sums) size += sum.rows() * sum.cols();
  Index const affordable =
      std::max(most_bytes / std::max<Index>(size * Index{sizeof(Scalar)}, 1), fewest_groups);
  Index const groups = std::min({chunks, most_groups, affordable});
  if (groups == 0) return;

  auto const frame = backend.partial_sums().frame();
  Scalar* const partials = backend.partial_sums().template take<Scalar>(groups * size);
  backend.run(groups, detail::work_of<Scalar>(batch, scalars_per_column),
              [&](CpuLane<Scalar>& lane, Index g) {
                Scalar* const memory = partials + g * size;
                std::fill_n(memory, size, Scalar(0));
                std::array<MatrixView<Scalar>, n> partial;
                Index offset = 0;
                for (std::size_t s = 0; s < n; ++s) {
                  partial[s] = {memory + offset, sums[s].rows(), sums[s].cols(), sums[s].rows()};
                  offset += sums[s].rows() * sums[s].cols();
                }
                for (Index i = g * chunks / groups; i < (g + 1) * chunks / groups; ++i) {
                  auto const chunk_frame = lane.frame();
                  f(lane, Columns{i * width, std::min(width, batch.columns - i * width)}, partial);
                }
              });

  Index offset = 0;
  for (auto const& sum : sums) {
    Work const work{0, static_cast<double>((groups + 2) * sum.rows() * sum.cols() * Index{sizeof(Scalar)})};
    backend.run(sum.cols(), work, [&](CpuLane<Scalar>&, Index j) {
      Scalar* const total = sum.data() + j * sum.stride();
      for (Index g = 0; g < groups; ++g) {
        Scalar const* const partial = partials + g * size + offset + j * sum.rows();
        for (Index i = 0; i < sum.rows(); ++i) total[i] += partial[i];
      }
    });
    offset += sum.rows() * sum.cols();
  }
}

}  // namespace detrame::inline DETRAME_ABI
