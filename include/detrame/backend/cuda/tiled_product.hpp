// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/cuda/cuda.hpp"

/// Products A B whose right factor is read by a rule, without being formed, and what follows them while their
/// entries are in registers.
namespace detrame::device {

/// A block makes 32 x 128 entries of a product, each thread 4 x 8, from tiles of eight columns of A and eight
/// rows of B in shared memory. Columns of a tile are padded so that threads that go down or along one meet
/// different banks.
struct ProductTile {
  static constexpr int rows = 32, cols = 128, depth = 8, threads = 128;
  static constexpr int of_A = rows * depth / threads, of_B = cols * depth / threads;  // that a thread loads
  static constexpr int own_rows = 4, own_cols = 8, padding = 4;
};

/// What a right factor is. Loader(B, first column, first row, thread): load(end, out) gives the thread's
/// scalars of the next eight rows, 0 from row `end` on, those whose place in the tile is row(thread, r),
/// col(thread, r); it reads no column from `cols` on. place(n) is the column of the result that column n belongs to.
template <class B>
concept RightFactor = requires { typename B::Loader; };

/// The places of a loader whose neighbouring threads read neighbouring rows of B, and of one that reads
/// neighbouring columns.
struct AlongDepth {
  static __device__ int row(int thread, int) { return thread % ProductTile::depth; }
  static __device__ int col(int thread, int r) {
    return thread / ProductTile::depth + r * (ProductTile::threads / ProductTile::depth);
  }
};
struct AlongColumns {
  static __device__ int row(int, int r) { return r; }
  static __device__ int col(int thread, int) { return thread; }
};
static_assert(ProductTile::cols == ProductTile::threads && ProductTile::of_B == ProductTile::depth);

/// f(v, beside...) for v = sum_l A_ml B_ln over part z of `depth`, where `beside` are the entries (m, place(n) + z
/// cols) of their matrices.
///
/// 2 rows cols depth flops. It must move A, what B reads and each argument once; A is read once a tile of 128
/// columns, B once a tile of 32 rows.
///
/// A block moves (32 + 128) depth scalars to shared memory for 32 * 128 depth multiply-adds, 26 for each, and
/// a thread 12 scalars from there to registers for 32. The next tiles are on their way while these are
/// multiplied.
template <class Scalar, RightFactor B, class F, class... Readers>
__global__ void __launch_bounds__(ProductTile::threads)
    tiled_product(MatrixView<Scalar const> A, B factor, Index cols, Index depth, F f, Readers... beside) {
  using T = ProductTile;
  __shared__ __align__(16) Scalar a_tile[T::depth][T::rows + T::padding];
  __shared__ __align__(16) Scalar b_tile[T::depth][T::cols + T::padding];
  int const t = static_cast<int>(threadIdx.x);
  Index const m0 = Index(blockIdx.y) * T::rows, n0 = Index(blockIdx.x) * T::cols;
  Index const begin = blockIdx.z * depth / gridDim.z, end = (blockIdx.z + 1) * depth / gridDim.z;

  Scalar a_next[T::of_A], b_next[T::of_B];
  typename B::Loader loader(factor, n0, begin, t);
  Index const m = m0 + t % T::rows;
  auto const load = [&](Index k) {
    for (int r = 0; r < T::of_A; ++r) {
      Index const l = k + t / T::rows + r * (T::threads / T::rows);
      a_next[r] = m < A.rows() && l < end ? A(m, l) : Scalar(0);
    }
    loader.load(end, b_next);
  };

  Scalar sum[T::own_rows][T::own_cols] = {};
  int const m_own = t % (T::rows / T::own_rows) * T::own_rows, n_own = t / (T::rows / T::own_rows) * 4;
  load(begin);
  for (Index k = begin; k < end; k += T::depth) {
    for (int r = 0; r < T::of_A; ++r)
      a_tile[t / T::rows + r * (T::threads / T::rows)][t % T::rows] = a_next[r];
    for (int r = 0; r < T::of_B; ++r) b_tile[B::Loader::row(t, r)][B::Loader::col(t, r)] = b_next[r];
    __syncthreads();
    if (k + T::depth < end) load(k + T::depth);
#pragma unroll
    for (int l = 0; l < T::depth; ++l) {
      Scalar a[T::own_rows], b[T::own_cols];
      for (int i = 0; i < T::own_rows; ++i) a[i] = a_tile[l][m_own + i];
      for (int j = 0; j < T::own_cols; ++j) b[j] = b_tile[l][n_own + j % 4 + j / 4 * (T::cols / 2)];
      for (int i = 0; i < T::own_rows; ++i)
        for (int j = 0; j < T::own_cols; ++j) sum[i][j] += a[i] * b[j];
    }
    __syncthreads();
  }

#pragma unroll
  for (int j = 0; j < T::own_cols; ++j) {
    Index const n = n0 + n_own + j % 4 + j / 4 * (T::cols / 2), place = factor.place(n) + blockIdx.z * cols;
#pragma unroll
    for (int i = 0; i < T::own_rows; ++i)
      if (m0 + m_own + i < A.rows() && n < cols) f(sum[i][j], beside.column(place)[m0 + m_own + i]...);
  }
}

/// Launches it for a product with `cols` columns, of depth A.cols(), cut into `parts` parts.
template <class Scalar, class B, class F, class... Readers>
void launch_tiled_product(CudaLane<Scalar>& lane, MatrixView<Scalar const> A, B const& factor, Index cols,
                          Index parts, F const& f, Readers const&... beside) {
  using T = ProductTile;
  if (A.rows() == 0 || cols == 0) return;
  auto const tiles = [](Index n, int of) { return static_cast<unsigned>((n + of - 1) / of); };
  dim3 const blocks(tiles(cols, T::cols), tiles(A.rows(), T::rows), static_cast<unsigned>(parts));
  tiled_product<<<blocks, T::threads, 0, lane.stream()>>>(A, factor, cols, A.cols(), f, beside...);
  check_launch("tiled_product");
}

}  // namespace detrame::device
