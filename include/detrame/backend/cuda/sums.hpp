// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/cuda/each.hpp"
#include "detrame/backend/formula/terms.hpp"
#include "detrame/core/limits.hpp"

namespace detrame::inline DETRAME_ABI {

namespace device {

struct Plus {
  template <class Scalar>
  static DETRAME_HOST_DEVICE Scalar neutral() {
    return Scalar(0);
  }
  template <class Scalar>
  DETRAME_HOST_DEVICE Scalar operator()(Scalar a, Scalar b) const {
    return a + b;
  }
};

/// The larger of the two, NaN if either is.
struct Larger {
  template <class Scalar>
  static DETRAME_HOST_DEVICE Scalar neutral() {
    return -limits::infinity<Scalar>;
  }
  template <class Scalar>
  DETRAME_HOST_DEVICE Scalar operator()(Scalar a, Scalar b) const {
    return a != a || a > b ? a : b;
  }
};

inline constexpr int warp = 32, parts = 8;

/// out(i, s) = what the columns of strip s make of row i, added to what is there or assigned. A block: 32
/// rows and a strip, whose columns eight threads a row share; their parts are combined in order. Every
/// argument is read once.
template <class Combine, class Scalar, class F, class First, class... Rest>
__global__ void reduce_rows(Combine combine, bool add, MatrixView<Scalar> out, F f, Index rows, Index cols,
                            First first, Rest... rest) {
  __shared__ Scalar part[parts][warp];
  Index const i = Index(blockIdx.x) * warp + threadIdx.x;
  Index const strips = gridDim.y, end = (blockIdx.y + 1) * cols / strips;
  Scalar value = Combine::template neutral<Scalar>();
  if (i < rows)
    for (Index j = blockIdx.y * cols / strips + threadIdx.y; j < end; j += parts)
      value = combine(value, Scalar(f(first.column(j)[i], rest.column(j)[i]...)));
  part[threadIdx.y][threadIdx.x] = value;
  __syncthreads();
  if (threadIdx.y > 0 || i >= rows) return;
  for (int p = 1; p < parts; ++p) value = combine(value, part[p][threadIdx.x]);
  Scalar& to = out(i, blockIdx.y);
  to = add ? combine(to, value) : value;
}

/// out(0, j) = what column j gives, by a warp whose lanes are combined as a tree.
/// Every argument is read once.
template <class Combine, class Scalar, class F, class First, class... Rest>
__global__ void reduce_columns(Combine combine, MatrixView<Scalar> out, F f, Index rows, Index cols,
                               First first, Rest... rest) {
  for (Index j = Index(blockIdx.x) * parts + threadIdx.y; j < cols; j += Index(gridDim.x) * parts) {
    Scalar value = Combine::template neutral<Scalar>();
    for (Index i = threadIdx.x; i < rows; i += warp)
      value = combine(value, Scalar(f(first.column(j)[i], rest.column(j)[i]...)));
    for (int distance = warp / 2; distance > 0; distance /= 2)
      value = combine(value, __shfl_down_sync(0xffffffffu, value, distance));
    if (threadIdx.x == 0) out(0, j) = value;
  }
}

/// How many strips the columns are cut into: a function of the shape alone.
inline Index strips(Index cols) { return std::clamp<Index>(cols / 256, 1, 64); }

template <class Combine, class Scalar, class F, class First, class... Rest>
void launch_rows(CudaLane<Scalar>& lane, Combine combine, bool add, MatrixView<Scalar> out, F const& f,
                 First const& first, Rest const&... rest) {
  Index const rows = first.view.rows(), cols = first.view.cols(), n = strips(cols);
  DETRAME_ASSERT(out.rows() == rows && out.cols() == 1);
  DETRAME_ASSERT((rest.fits(rows, cols) && ...));
  if (rows == 0) return;
  dim3 const threads(warp, parts);
  auto const blocks = [&](Index strips) {
    return dim3(static_cast<unsigned>((rows + warp - 1) / warp), static_cast<unsigned>(strips));
  };
  if (n == 1) {
    reduce_rows<<<blocks(1), threads, 0, lane.stream()>>>(combine, add, out, f, rows, cols, first, rest...);
    return check_launch("reduce_rows");
  }
  auto const frame = lane.frame();
  auto const partial = lane.scratch(rows, n).raw();
  reduce_rows<<<blocks(n), threads, 0, lane.stream()>>>(combine, false, partial, f, rows, cols, first,
                                                        rest...);
  check_launch("reduce_rows");
  reduce_rows<<<blocks(1), threads, 0, lane.stream()>>>(combine, add, out, formula::Identity(), rows, n,
                                                        detail::EntryReader<Scalar>{partial});
  check_launch("reduce_rows");
}

template <class Combine, class Scalar, class F, class First, class... Rest>
void launch_columns(CudaLane<Scalar>& lane, Combine combine, MatrixView<Scalar> out, F const& f,
                    First const& first, Rest const&... rest) {
  Index const rows = first.view.rows(), cols = first.view.cols();
  DETRAME_ASSERT(out.rows() == 1 && out.cols() == cols);
  DETRAME_ASSERT((rest.fits(rows, cols) && ...));
  if (cols == 0) return;
  auto const blocks = static_cast<unsigned>(std::min<Index>((cols + parts - 1) / parts, 65536));
  reduce_columns<<<blocks, dim3(warp, parts), 0, lane.stream()>>>(combine, out, f, rows, cols, first,
                                                                  rest...);
  check_launch("reduce_columns");
}

/// All entries combined: along columns first, then the column that is left.
template <class Combine, class Scalar>
Scalar total_to_host(CudaLane<Scalar>& lane, Combine combine, DeviceView<Scalar const> v) {
  auto const frame = lane.frame();
  auto const by_row = lane.scratch(v.rows(), 1).raw(), total = lane.scratch(1, 1).raw();
  launch_rows(lane, combine, false, by_row, formula::Identity(), reader(v));
  launch_columns(lane, combine, total, formula::Identity(), detail::EntryReader<Scalar>{by_row});
  return lane.read_to_host(total.data());
}

}  // namespace device

template <class Scalar, class F, class First, class... Args>
void row_sums(CudaLane<Scalar>& lane, std::type_identity_t<DeviceView<Scalar>> out, F const& f, First&& first,
              Args&&... args) {
  device::launch_rows(lane, device::Plus(), true, out.raw(), f, detail::argument<Scalar>(first),
                      detail::argument<Scalar>(args)...);
}

template <class Scalar, class F, class First, class... Args>
void column_sums(CudaLane<Scalar>& lane, std::type_identity_t<DeviceView<Scalar>> out, F const& f,
                 First&& first, Args&&... args) {
  device::launch_columns(lane, device::Plus(), out.raw(), f, detail::argument<Scalar>(first),
                         detail::argument<Scalar>(args)...);
}

template <class Scalar, class F, class First, class... Args>
void column_max(CudaLane<Scalar>& lane, std::type_identity_t<DeviceView<Scalar>> out, F const& f,
                First&& first, Args&&... args) {
  device::launch_columns(lane, device::Larger(), out.raw(), f, detail::argument<Scalar>(first),
                         detail::argument<Scalar>(args)...);
}

template <class Scalar>
Scalar sum_to_host(CudaLane<Scalar>& lane, std::type_identity_t<DeviceView<Scalar const>> v) {
  return device::total_to_host(lane, device::Plus(), v);
}

template <class Scalar>
Scalar max_to_host(CudaLane<Scalar>& lane, std::type_identity_t<DeviceView<Scalar const>> v) {
  return device::total_to_host(lane, device::Larger(), v);
}

}  // namespace detrame::inline DETRAME_ABI
