// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/cuda/cholesky.hpp"
#include "detrame/backend/cuda/each.hpp"

namespace detrame::inline DETRAME_ABI {

/// Here the threads of a block work on a column. Members also meet before a verb begins, so that what one of
/// them has read outside of verbs no other overwrites in one.
template <class Scalar_>
class CudaTeam {
  using Factor = device::BlockCholesky<Scalar_>;

 public:
  using Scalar = Scalar_;

  /// The threads of a block, in four warps.
  static constexpr int warps = 4, warp = 32, threads = warps * warp;

  static constexpr Index width = 1;
  static constexpr Index height = warps;
  static constexpr Index tile = 1;

  DETRAME_HOST_DEVICE static constexpr Index factor_size(Index n) { return Factor::size(n); }
  DETRAME_HOST_DEVICE static constexpr Index factor_place(Index i, Index j) { return Factor::place(i, j); }
  DETRAME_HOST_DEVICE static constexpr Index padded(Index n) { return n; }

  /// `parts`: a scalar a warp of shared memory.
  DETRAME_HOST_DEVICE explicit CudaTeam(Scalar* parts) : parts_(parts) {}

  template <class F>
  DETRAME_HOST_DEVICE void each(Index n, F&& f) const {
    device::meet();
    for (Index i = device::member(); i < n; i += device::members()) f(i);
    device::meet();
  }

  template <class F>
  DETRAME_HOST_DEVICE void once(F&& f) const {
    device::meet();
    if (device::member() == 0) f();
    device::meet();
  }

  template <class F>
  DETRAME_HOST_DEVICE Scalar sum(Index n, F&& f) const {
    Scalar part(0);
    device::meet();
    for (Index i = device::member(); i < n; i += device::members()) part += f(i);
    return combined(part, [](Scalar a, Scalar b) { return a + b; });
  }

  template <class F>
  DETRAME_HOST_DEVICE Scalar max(Index n, F&& f, Scalar least = Scalar(0)) const {
    auto const larger = [](Scalar a, Scalar b) { return a > b || a != a ? a : b; };
    Scalar part = least;
    device::meet();
    for (Index i = device::member(); i < n; i += device::members()) part = larger(f(i), part);
    return combined(part, larger);
  }

  DETRAME_HOST_DEVICE void inner_products(Scalar const* A, Index stride, Index n, Index count,
                                          Scalar const* X, Scalar* out) const {
    static_assert(width == 1);
    device::meet();
    Index const a = device::member() / warp, lane = device::member() % warp;  // a warp a column
    Scalar part(0);
    if (a < count)
      for (Index l = lane; l < n; l += warp) part += A[l + a * stride] * X[l];
    part = over_warp(part, [](Scalar s, Scalar t) { return s + t; });
    if (a < count && lane == 0) out[a] = part;
    device::meet();
  }

  DETRAME_HOST_DEVICE Index cholesky(Scalar* F, Index n, Index first) const {
    return Factor::factor(F, n, first);
  }

  DETRAME_HOST_DEVICE void cholesky_solve(Scalar const* F, Index n, Scalar* x) const {
    Factor::solve(F, n, x);
  }

 private:
  /// The parts of a warp, as a tree, in lane 0.
  template <class Combine>
  static DETRAME_HOST_DEVICE Scalar over_warp(Scalar part, [[maybe_unused]] Combine const& combine) {
#if defined(__CUDA_ARCH__)
    for (int distance = warp / 2; distance > 0; distance /= 2)
      part = combine(part, __shfl_down_sync(0xffffffffu, part, distance));
#endif
    return part;
  }

  /// The parts of all members, known to all.
  template <class Combine>
  DETRAME_HOST_DEVICE Scalar combined(Scalar part, Combine const& combine) const {
    part = over_warp(part, combine);
    if (device::member() % warp == 0) parts_[device::member() / warp] = part;
    device::meet();
    Scalar all = parts_[0];
    for (Index w = 1; w * warp < device::members(); ++w) all = combine(all, parts_[w]);
    device::meet();
    return all;
  }

  Scalar* parts_;
};

namespace device {

/// Shared memory of a block before its scratch: the team's parts.
template <class Scalar>
inline constexpr Index parts_bytes = CudaTeam<Scalar>::warps * Index{sizeof(Scalar)};

/// A block a column, with scratch in shared memory, or in a piece of global memory that serves one column
/// after the other. Operations are those of f; it must move what f reads and writes, its scratch only where
/// that is in global memory. One block a multiprocessor is enough to be asked for: else ptxas spills
/// registers to have more.
template <class Scalar, class F, class... Raw>
__global__ void __launch_bounds__(CudaTeam<Scalar>::threads, 1)
    column_kernel(F f, Index N, Scalar* global, Index scratch_size, Raw... raw) {
  extern __shared__ __align__(16) unsigned char shared[];
  CudaTeam<Scalar> const team(reinterpret_cast<Scalar*>(shared));
  Scalar* const scratch = global ? global + Index(blockIdx.x) * scratch_size
                                 : reinterpret_cast<Scalar*>(shared + parts_bytes<Scalar>);
  for (Index j = blockIdx.x; j < N; j += gridDim.x) {
    f(team, j, scratch, raw...);
    __syncthreads();
  }
}

/// A kernel that takes no scratch.
template <class F>
struct WithoutScratch {
  F f;
  template <class Team, class Scalar, class... Raw>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar*, Raw... raw) const {
    f(team, j, raw...);
  }
};

}  // namespace device

template <class Scalar, class F, class... Views>
void each_column(CudaLane<Scalar>& lane, Index N, F const& f, Views&&... views) {
  if (N == 0) return;
  auto const blocks = static_cast<unsigned>(std::min<Index>(N, Index{1} << 20));
  device::column_kernel<Scalar>
      <<<blocks, CudaTeam<Scalar>::threads, device::parts_bytes<Scalar>, lane.stream()>>>(
          device::WithoutScratch<F>{f}, N, static_cast<Scalar*>(nullptr), Index{0}, reader(views).view...);
  device::check_launch("each_column");
}

template <class Scalar, class F, class... Views>
void each_column(Cuda<Scalar>& backend, Tasks tasks, Index scratch_size, F const& f, Views&&... views) {
  Index const N = tasks.count;
  if (N == 0) return;
  constexpr int threads = CudaTeam<Scalar>::threads;
  CudaLane<Scalar>& lane = backend.lane();
  auto const frame = lane.frame();
  auto const kernel = device::column_kernel<Scalar, F, decltype(reader(views).view)...>;
  constexpr Index parts = device::parts_bytes<Scalar>;
  Index const bytes = parts + scratch_size * Index{sizeof(Scalar)};
  bool const fits = bytes <= backend.shared_bytes();
  Index const blocks = std::min<Index>(N, fits ? Index{1} << 20 : Index{4} * backend.processors());
  Scalar* const global = fits ? nullptr : lane.scratch(scratch_size, blocks).raw().data();
  auto const shared = static_cast<std::size_t>(fits ? bytes : parts);
  if (shared > 48 * 1024)  // what a block gets unasked
    DETRAME_CUDA(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)));
  kernel<<<static_cast<unsigned>(blocks), threads, shared, lane.stream()>>>(f, N, global, scratch_size,
                                                                            reader(views).view...);
  device::check_launch("each_column");
}

}  // namespace detrame::inline DETRAME_ABI
