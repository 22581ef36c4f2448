// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include "detrame/backend/cuda/cuda.hpp"

namespace detrame::inline DETRAME_ABI {

/// f(lane, columns) over chunks that together are the batch; a sample is never cut.
///
/// `scalars_per_column`: what f keeps in use for one column, from which the width of a chunk follows.
template <class Scalar, class F>
void each_chunk(Cuda<Scalar>& backend, Batch batch, Index scalars_per_column, F&& f) {
  each_chunk(backend.lane(), batch, scalars_per_column, f);
}

/// The same on one lane, one chunk after the other, for what was prepared before.
///
/// Here a batch is one chunk: small launches would leave a device idle.
template <class Scalar, class F>
void each_chunk(CudaLane<Scalar>& lane, Batch batch, Index, F&& f) {
  DETRAME_ASSERT(batch.columns >= 0 && batch.unit >= 1 && batch.columns % batch.unit == 0);
  if (batch.columns == 0) return;
  auto const frame = lane.frame();
  f(lane, Columns{0, batch.columns});
}

/// As each_chunk, and every chunk adds to sums: f(lane, columns, partial) with partial[n] shaped as sums[n].
/// On return sums[n] has grown by the sum over all chunks, added in a fixed order.
template <class Scalar, std::size_t n, class F>
void sum_chunks(Cuda<Scalar>& backend, Batch batch, Index scalars_per_column,
                std::array<DeviceView<Scalar>, n> const& sums, F&& f) {
  each_chunk(backend, batch, scalars_per_column,
             [&](CudaLane<Scalar>& lane, Columns c) { f(lane, c, sums); });
}

}  // namespace detrame::inline DETRAME_ABI
