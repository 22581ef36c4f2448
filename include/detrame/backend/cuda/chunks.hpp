// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include "detrame/backend/cuda/cuda.hpp"

namespace detrame::inline DETRAME_ABI {

template <class Scalar, class F>
void each_chunk(Cuda<Scalar>& backend, Batch batch, Index scalars_per_column, F&& f) {
  each_chunk(backend.lane(), batch, scalars_per_column, f);
}

/// Here a batch is one chunk: small launches would leave a device idle.
template <class Scalar, class F>
void each_chunk(CudaLane<Scalar>& lane, Batch batch, Index, F&& f) {
  DETRAME_ASSERT(batch.columns >= 0 && batch.unit >= 1 && batch.columns % batch.unit == 0);
  if (batch.columns == 0) return;
  auto const frame = lane.frame();
  f(lane, Columns{0, batch.columns});
}

template <class Scalar, std::size_t n, class F>
void sum_chunks(Cuda<Scalar>& backend, Batch batch, Index scalars_per_column,
                std::array<DeviceView<Scalar>, n> const& sums, F&& f) {
  each_chunk(backend, batch, scalars_per_column,
             [&](CudaLane<Scalar>& lane, Columns c) { f(lane, c, sums); });
}

}  // namespace detrame::inline DETRAME_ABI
