// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <thrust/execution_policy.h>
#include <thrust/for_each.h>
#include <thrust/iterator/counting_iterator.h>
#include <thrust/system_error.h>

#include <algorithm>
#include <cuda/std/tuple>
#include <limits>
#include <span>

#include "detrame/backend/cuda/cuda.hpp"
#include "detrame/backend/items.hpp"

namespace detrame::inline DETRAME_ABI {

namespace device {

/// A grid whose threads walk over the entries of a matrix: x along rows, y along columns, as many threads
/// along rows as short columns fill.
struct Grid {
  dim3 blocks, threads;
  Grid(Index rows, Index cols) {
    constexpr Index size = 256, most_blocks = 8192;
    Index x = 1;
    while (x < rows && x < 128) x *= 2;
    Index const y = size / x;
    auto const count = [=](Index n, Index of) {
      return static_cast<unsigned>(std::min((n + of - 1) / of, most_blocks));
    };
    threads = dim3(static_cast<unsigned>(x), static_cast<unsigned>(y));
    blocks = dim3(count(cols, y), std::min(count(rows, x), 64u));
  }
};

/// f(i, j, args_ij...) or f(args_ij...). Moves each argument once; as many threads as entries,
/// up to the grid.
template <bool indexed, class F, class First, class... Rest>
__global__ void each_kernel(F f, Index rows, Index cols, First first, Rest... rest) {
  for (Index j = Index(blockIdx.x) * blockDim.y + threadIdx.y; j < cols; j += Index(gridDim.x) * blockDim.y)
    for (Index i = Index(blockIdx.y) * blockDim.x + threadIdx.x; i < rows; i += Index(gridDim.y) * blockDim.x)
      if constexpr (indexed)
        f(i, j, first.column(j)[i], rest.column(j)[i]...);
      else
        f(first.column(j)[i], rest.column(j)[i]...);
}

template <bool indexed, class Scalar, class F, class First, class... Rest>
void launch_each(CudaLane<Scalar>& lane, F const& f, First const& first, Rest const&... rest) {
  Index const rows = first.view.rows(), cols = first.view.cols();
  DETRAME_ASSERT((rest.fits(rows, cols) && ...));
  if (rows == 0 || cols == 0) return;
  Grid const grid(rows, cols);
  each_kernel<indexed><<<grid.blocks, grid.threads, 0, lane.stream()>>>(f, rows, cols, first, rest...);
  check_launch("each");
}

/// A column-major matrix whose shape stands elsewhere.
template <class Scalar>
struct Strided {
  Scalar* data;
  Index stride;
  DETRAME_HOST_DEVICE Scalar& operator()(int i, int j) const { return data[i + j * stride]; }
};

/// Items as an argument of a kernel, of the 4 KiB that every device takes: no copy to the device is needed.
/// Item n is worked on by the blocks from `first_block` of it to that of the next.
template <class F, class... Scalars>
struct ItemsOfKernel {
  struct One {
    F f;
    int rows, entries, first_block;
    cuda::std::tuple<Strided<Scalars>...> views;
  };
  static constexpr int threads = 256, own = 4;  // entries of a thread
  static constexpr int most = static_cast<int>((4096 - 2 * sizeof(int)) / sizeof(One));
  int count = 0, blocks = 0;
  One items[most];
};

/// f(i, j, args_ij...) for every entry of every item. A block: 1024 entries of one. Moves each argument once,
/// with one division of 32 bits an entry.
template <class Items>
__global__ void __launch_bounds__(Items::threads) each_of_kernel(Items const work) {
  int const block = static_cast<int>(blockIdx.x);
  int n = 0;
  while (n + 1 < work.count && work.items[n + 1].first_block <= block) ++n;
  auto const& item = work.items[n];
  int const first =
      (block - item.first_block) * (Items::threads * Items::own) + static_cast<int>(threadIdx.x);
  for (int r = 0; r < Items::own; ++r) {
    int const entry = first + r * Items::threads;
    if (entry >= item.entries) return;
    int const j = entry / item.rows, i = entry - j * item.rows;
    cuda::std::apply([&](auto const&... view) { item.f(Index(i), Index(j), view(i, j)...); }, item.views);
  }
}

/// Entry n, column by column.
template <class Scalar>
DETRAME_HOST_DEVICE Scalar& entry(MatrixView<Scalar> v, Index n) {
  return v(n % v.rows(), n / v.rows());
}

template <class Scalar>
struct CopyEntry {
  MatrixView<Scalar const> from;
  MatrixView<Scalar> to;
  DETRAME_HOST_DEVICE void operator()(Index n) const { entry(to, n) = entry(from, n); }
};

/// Some columns' places, as an argument of a kernel: no copy to the device is needed.
struct Places {
  static constexpr int most = 256;
  Index from[most];
};

template <class Scalar>
struct CopyColumn {
  MatrixView<Scalar const> from;
  Places places;
  DETRAME_HOST_DEVICE void operator()(Index i, Index j, Scalar& to) const { to = from(i, places.from[j]); }
};

}  // namespace device

template <class Scalar, class F, class First, class... Args>
void each(CudaLane<Scalar>& lane, F const& f, First&& first, Args&&... args) {
  device::launch_each<false>(lane, f, detail::argument<Scalar>(first), detail::argument<Scalar>(args)...);
}

template <class Scalar, class F, class First, class... Args>
void each_indexed(CudaLane<Scalar>& lane, F const& f, First&& first, Args&&... args) {
  device::launch_each<true>(lane, f, detail::argument<Scalar>(first), detail::argument<Scalar>(args)...);
}

/// Here a launch takes as many items as its argument holds.
template <class Scalar, class F, class... Scalars>
void each_of(Cuda<Scalar>& backend, std::span<Item<F, DeviceView<Scalars>...> const> items) {
  using Work = device::ItemsOfKernel<F, Scalars...>;
  static_assert(Work::most >= 1, "each_of: a launch takes formulas of less than 4 KiB");
  Work work;
  auto const launch = [&] {
    if (work.blocks > 0) {
      device::
          each_of_kernel<<<static_cast<unsigned>(work.blocks), Work::threads, 0, backend.lane().stream()>>>(
              work);
      device::check_launch("each_of");
    }
    work.count = work.blocks = 0;
  };
  for (auto const& item : items) {
    if (work.count == Work::most) launch();
    Index const rows = std::get<0>(item.views).rows(), entries = rows * std::get<0>(item.views).cols();
    constexpr Index of_block = Work::threads * Work::own;
    DETRAME_ASSERT(entries <= std::numeric_limits<int>::max() - of_block);
    std::apply(
        [&](auto const&... view) {
          DETRAME_ASSERT(((view.rows() == rows && view.rows() * view.cols() == entries) && ...));
          work.items[work.count++] = {item.f,
                                      static_cast<int>(rows),
                                      static_cast<int>(entries),
                                      work.blocks,
                                      {device::Strided<Scalars>{view.raw().data(), view.raw().stride()}...}};
        },
        item.views);
    work.blocks += static_cast<int>((entries + of_block - 1) / of_block);
  }
  launch();
}

template <class Scalar>
void copy_entries(CudaLane<Scalar>& lane, std::type_identity_t<DeviceView<Scalar const>> from,
                  std::type_identity_t<DeviceView<Scalar>> to) {
  DETRAME_ASSERT(from.rows() * from.cols() == to.rows() * to.cols());
  try {
    thrust::for_each_n(thrust::cuda::par_nosync.on(lane.stream()), thrust::counting_iterator<Index>(0),
                       to.rows() * to.cols(), device::CopyEntry<Scalar>{from.raw(), to.raw()});
  } catch (thrust::system_error const& error) {
    throw DeviceError(message("copy_entries: ", error.what()));
  }
}

template <class Scalar>
void gather_columns(CudaLane<Scalar>& lane, std::type_identity_t<DeviceView<Scalar const>> from,
                    std::span<Index const> indices, std::type_identity_t<DeviceView<Scalar>> out) {
  DETRAME_ASSERT(out.rows() == from.rows() && out.cols() == static_cast<Index>(indices.size()));
  for (Index first = 0; first < out.cols(); first += device::Places::most) {
    Index const count = std::min<Index>(out.cols() - first, device::Places::most);
    device::CopyColumn<Scalar> copy{from.raw(), {}};
    for (Index j = 0; j < count; ++j) {
      copy.places.from[j] = indices[static_cast<std::size_t>(first + j)];
      DETRAME_ASSERT(0 <= copy.places.from[j] && copy.places.from[j] < from.cols());
    }
    each_indexed(lane, copy, out.middle_cols(first, count));
  }
}

}  // namespace detrame::inline DETRAME_ABI
