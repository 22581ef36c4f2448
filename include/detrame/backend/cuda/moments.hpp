// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/cuda/each.hpp"
#include "detrame/backend/cuda/sums.hpp"
#include "detrame/backend/formula/entries.hpp"
#include "detrame/backend/formula/moments.hpp"

namespace detrame::inline DETRAME_ABI {

namespace device {

/// Of some numbers: how many, their mean, the sum of their squared deviations from it.
template <class Scalar>
struct Moments {
  int count;
  Scalar mean, squares;

  __device__ void unite(Moments const& others) {
    if (others.count == 0) return;
    formula::UniteMoments<Scalar>(count, others.count)(mean, squares, others.mean, others.squares);
    count += others.count;
  }
};

/// What the threads of a row have, united in order, in the first of them.
template <class Scalar>
__device__ Moments<Scalar> over_parts(Moments<Scalar> own) {
  __shared__ Moments<Scalar> part[parts][warp];
  part[threadIdx.y][threadIdx.x] = own;
  __syncthreads();
  if (threadIdx.y == 0)
    for (int p = 1; p < parts; ++p) own.unite(part[p][threadIdx.x]);
  return own;
}

/// Where strip s of `strips` begins.
inline __device__ Index strip_begin(Index s, Index strips, Index cols) { return s * cols / strips; }

/// mean(i, s), squares(i, s) = those of x_ij - x_i0 over the columns of strip s. A block: 32 rows and a
/// strip, whose columns eight threads a row share, eight at a time. Reads x once; six operations an entry,
/// and some thirty for every eight.
template <class Scalar>
__global__ void strip_moments(MatrixView<Scalar const> x, MatrixView<Scalar> mean,
                              MatrixView<Scalar> squares) {
  constexpr int at_once = 8;
  Index const i = Index(blockIdx.x) * warp + threadIdx.x, strips = gridDim.y;
  Index const end = strip_begin(blockIdx.y + 1, strips, x.cols());
  Moments<Scalar> own{0, 0, 0};
  if (i < x.rows()) {
    Scalar const first = x(i, 0);
    for (Index j = strip_begin(blockIdx.y, strips, x.cols()) + threadIdx.y; j < end; j += parts * at_once) {
      Index const left = (end - j + parts - 1) / parts;
      int const count = left < at_once ? static_cast<int>(left) : at_once;
      Scalar d[at_once];
#pragma unroll
      for (int r = 0; r < at_once; ++r) d[r] = r < count ? x(i, j + r * parts) - first : Scalar(0);
      Moments<Scalar> these{count, 0, 0};
#pragma unroll
      for (int r = 0; r < at_once; ++r) these.mean += d[r];
      these.mean /= static_cast<Scalar>(count);
#pragma unroll
      for (int r = 0; r < at_once; ++r)
        if (r < count) these.squares += (d[r] - these.mean) * (d[r] - these.mean);
      own.unite(these);
    }
  }
  own = over_parts(own);
  if (threadIdx.y > 0 || i >= x.rows()) return;
  mean(i, blockIdx.y) = own.mean;
  squares(i, blockIdx.y) = own.squares;
}

/// The moments of all strips, united: eight threads a row. Reads what the strips have once.
template <class Scalar>
__global__ void unite_strips(MatrixView<Scalar const> x, MatrixView<Scalar const> of_strips, Index strips,
                             MatrixView<Scalar> mean, MatrixView<Scalar> variance) {
  Index const i = Index(blockIdx.x) * warp + threadIdx.x, N = x.cols();
  Moments<Scalar> own{0, 0, 0};
  if (i < x.rows())
    for (Index s = threadIdx.y; s < strips; s += parts)
      own.unite({static_cast<int>(strip_begin(s + 1, strips, N) - strip_begin(s, strips, N)), of_strips(i, s),
                 of_strips(i, strips + s)});
  own = over_parts(own);
  if (threadIdx.y > 0 || i >= x.rows()) return;
  formula::FinishMoments<Scalar>{static_cast<Scalar>(N)}(own.mean, own.squares, x(i, 0));
  mean(i, 0) = own.mean;
  variance(i, 0) = own.squares;
}

}  // namespace device

/// Here a piece is what a thread reads at a time, eight columns; then come the threads of a row, then strips.
template <class Scalar>
void row_moments(Cuda<Scalar>& backend, std::type_identity_t<DeviceView<Scalar const>> x,
                 std::type_identity_t<DeviceView<Scalar>> mean,
                 std::type_identity_t<DeviceView<Scalar>> variance) {
  using device::parts, device::warp;
  constexpr Index least_strip = 256, most_strips = 256;
  Index const rows = x.rows(), N = x.cols(), strips = std::clamp<Index>(N / least_strip, 1, most_strips);
  DETRAME_ASSERT(mean.rows() == rows && mean.cols() == 1 && variance.rows() == rows && variance.cols() == 1);
  CudaLane<Scalar>& lane = backend.lane();
  if (rows == 0) return;
  if (N == 0) {
    each(lane, formula::Fill<Scalar>{0}, mean);
    each(lane, formula::Fill<Scalar>{0}, variance);
    return;
  }
  auto const frame = lane.frame();
  DeviceView<Scalar> const of_strips = lane.scratch(rows, 2 * strips);
  auto const blocks = static_cast<unsigned>((rows + warp - 1) / warp);
  dim3 const threads(warp, parts);
  device::strip_moments<<<dim3(blocks, static_cast<unsigned>(strips)), threads, 0, lane.stream()>>>(
      x.raw(), of_strips.middle_cols(0, strips).raw(), of_strips.middle_cols(strips, strips).raw());
  device::check_launch("strip_moments");
  device::unite_strips<<<blocks, threads, 0, lane.stream()>>>(
      x.raw(), DeviceView<Scalar const>(of_strips).raw(), strips, mean.raw(), variance.raw());
  device::check_launch("unite_strips");
}

}  // namespace detrame::inline DETRAME_ABI
