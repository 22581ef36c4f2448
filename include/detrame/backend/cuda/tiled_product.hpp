// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>

#include "detrame/backend/cuda/cuda.hpp"

/// Products A B whose right factor is read by a rule, without being formed, and what follows them while their
/// entries are in registers.
namespace detrame::inline DETRAME_ABI::device {

/// A block makes 32 x 128 entries of a product, each thread 4 x 8, from tiles of eight columns of A and eight
/// rows of B in shared memory. Columns of a tile are padded so that threads that go down or along one meet
/// different banks.
struct ProductTile {
  static constexpr int rows = 32, cols = 128, depth = 8, threads = 128;
  static constexpr int of_A = rows * depth / threads, of_B = cols * depth / threads;  // that a thread loads
  static constexpr int own_rows = 4, own_cols = 8, padding = 4;

  template <class Scalar>
  using A = Scalar[depth][rows + padding];
  template <class Scalar>
  using B = Scalar[depth][cols + padding];
  template <class Scalar>
  using Sums = Scalar[own_rows][own_cols];
};

/// How the threads of a block multiply two tiles: rounded(x) is what a factor is in shared memory, add(a, b,
/// sum) adds the tiles' product to the thread's 4 x 8 entries,
/// those of rows row(i) and columns col(j) of the block.
template <class P>
concept TileProduct =
    requires(P const product, typename P::Scalar x, ProductTile::A<typename P::Scalar> const& a,
             ProductTile::B<typename P::Scalar> const& b, ProductTile::Sums<typename P::Scalar>& sum) {
      { P::rounded(x) } -> std::same_as<typename P::Scalar>;
      product.add(a, b, sum);
      { product.row(0) } -> std::same_as<int>;
      { product.col(0) } -> std::same_as<int>;
    };

/// In the scalar itself, entry by entry: 12 scalars from shared memory, as 3 loads, for 32 multiply-adds.
template <class Scalar_>
class FullProduct {
 public:
  using Scalar = Scalar_;
  using T = ProductTile;

  __device__ explicit FullProduct(int thread)
      : row_(thread % (T::rows / T::own_rows) * T::own_rows), col_(thread / (T::rows / T::own_rows) * 4) {}

  static __device__ Scalar rounded(Scalar x) { return x; }
  __device__ int row(int i) const { return row_ + i; }
  __device__ int col(int j) const { return col_ + j % 4 + j / 4 * (T::cols / 2); }

  __device__ void add(T::A<Scalar> const& a_tile, T::B<Scalar> const& b_tile, T::Sums<Scalar>& sum) const {
#pragma unroll
    for (int l = 0; l < T::depth; ++l) {
      Scalar a[T::own_rows], b[T::own_cols];
      for (int i = 0; i < T::own_rows; ++i) a[i] = a_tile[l][row(i)];
      for (int j = 0; j < T::own_cols; ++j) b[j] = b_tile[l][col(j)];
      for (int i = 0; i < T::own_rows; ++i)
        for (int j = 0; j < T::own_cols; ++j) sum[i][j] += a[i] * b[j];
    }
  }

 private:
  int row_, col_;
};

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
/// In code for devices whose tensor cores take no TF32.
class Tf32Product : public FullProduct<float> {
  using FullProduct<float>::FullProduct;
};
#else
/// On tensor cores: factors are rounded to TF32, to nearest, products are exact, and how their sums are
/// rounded is the device's affair. A warp makes 32 x 32 entries, from 2 fragments of A, 16 x 8, and 4 of B, 8
/// x 8.
///
/// For a tile, 256 multiply-adds of a thread, it takes 16 scalars from shared memory, where FullProduct takes
/// 96. Lane 4 g + t has columns t and t + 4 of a fragment of A, and rows t and t + 4 of one of B. As the
/// order of the eight is free, they are rows 2 t and 2 t + 1 of the tiles: the lanes of a load then meet
/// banks 8 t + g, all 32.
class Tf32Product {
 public:
  using Scalar = float;
  using T = ProductTile;
  static_assert(T::depth == 8 && T::own_rows == 4 && T::own_cols == 8 && T::cols == T::threads &&
                2 * T::padding % 32 == 8);

  __device__ explicit Tf32Product(int thread)
      : g_(thread % 32 / 4), t_(thread % 4), first_col_(thread / 32 * 32) {}

  static __device__ float rounded(float x) {
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return __uint_as_float(bits);
  }
  __device__ int row(int i) const { return g_ + 8 * i; }
  __device__ int col(int j) const { return first_col_ + j / 2 * 8 + 2 * t_ + j % 2; }

  __device__ void add(T::A<float> const& a_tile, T::B<float> const& b_tile, T::Sums<float>& sum) const {
    unsigned a[4][2], b[4][2];  // of rows g + 8 i, of columns g + 8 j
#pragma unroll
    for (int l = 0; l < 2; ++l)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        a[i][l] = __float_as_uint(a_tile[2 * t_ + l][row(i)]);
        b[i][l] = __float_as_uint(b_tile[2 * t_ + l][first_col_ + 8 * i + g_]);
      }
#pragma unroll
    for (int i = 0; i < 4; i += 2)
#pragma unroll
      for (int j = 0; j < 4; ++j)
        asm volatile(
            "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
            "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
            : "+f"(sum[i][2 * j]), "+f"(sum[i][2 * j + 1]), "+f"(sum[i + 1][2 * j]),
              "+f"(sum[i + 1][2 * j + 1])
            : "r"(a[i][0]), "r"(a[i + 1][0]), "r"(a[i][1]), "r"(a[i + 1][1]), "r"(b[j][0]), "r"(b[j][1]));
  }

 private:
  int g_, t_, first_col_;
};
#endif
static_assert(TileProduct<FullProduct<double>> && TileProduct<Tf32Product>);

/// What a right factor is. Loader(B, first column, first row, thread): load(end, out) gives the thread's
/// scalars of the next eight rows, 0 from row `end` on, those whose place in the tile is row(thread, r),
/// col(thread, r); it reads no column from `cols` on. place(n) is the column of the result that column n
/// belongs to.
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

/// f(v, beside...) for v = sum_l A_ml B_ln over part z of `depth`, where `beside` are the entries (m,
/// place(n) + z cols) of their matrices.
///
/// 2 rows cols depth flops. It must move A, what B reads and each argument once; A is read once a tile of 128
/// columns, B once a tile of 32 rows.
///
/// A block moves (32 + 128) depth scalars to shared memory for 32 * 128 depth multiply-adds, 26 for each; the
/// Product says how many go from there to registers. The next tiles are on their way
/// while these are multiplied.
template <TileProduct Product, RightFactor B, class F, class... Readers>
__global__ void __launch_bounds__(ProductTile::threads)
    tiled_product(MatrixView<typename Product::Scalar const> A, B factor, Index cols, Index depth, F f,
                  Readers... beside) {
  using T = ProductTile;
  using Scalar = typename Product::Scalar;
  __shared__ __align__(16) T::A<Scalar> a_tile;
  __shared__ __align__(16) T::B<Scalar> b_tile;
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

  Product const product(t);
  T::Sums<Scalar> sum = {};
  load(begin);
  for (Index k = begin; k < end; k += T::depth) {
    for (int r = 0; r < T::of_A; ++r)
      a_tile[t / T::rows + r * (T::threads / T::rows)][t % T::rows] = Product::rounded(a_next[r]);
    for (int r = 0; r < T::of_B; ++r)
      b_tile[B::Loader::row(t, r)][B::Loader::col(t, r)] = Product::rounded(b_next[r]);
    __syncthreads();
    if (k + T::depth < end) load(k + T::depth);
    product.add(a_tile, b_tile, sum);
    __syncthreads();
  }

#pragma unroll
  for (int j = 0; j < T::own_cols; ++j) {
    Index const n = n0 + product.col(j), place = factor.place(n) + blockIdx.z * cols;
#pragma unroll
    for (int i = 0; i < T::own_rows; ++i)
      if (m0 + product.row(i) < A.rows() && n < cols)
        f(sum[i][j], beside.column(place)[m0 + product.row(i)]...);
  }
}

/// Launches it for a product with `cols` columns, of depth A.cols(), cut into `parts` parts, on the tensor
/// cores where the lane says so.
template <class Scalar, class B, class F, class... Readers>
void launch_tiled_product(CudaLane<Scalar>& lane, MatrixView<Scalar const> A, B const& factor, Index cols,
                          Index parts, F const& f, Readers const&... beside) {
  using T = ProductTile;
  if (A.rows() == 0 || cols == 0) return;
  auto const tiles = [](Index n, int of) { return static_cast<unsigned>((n + of - 1) / of); };
  dim3 const blocks(tiles(cols, T::cols), tiles(A.rows(), T::rows), static_cast<unsigned>(parts));
  auto* kernel = tiled_product<FullProduct<Scalar>, B, F, Readers...>;
  if constexpr (std::is_same_v<Scalar, float>)
    if (lane.tf32()) kernel = tiled_product<Tf32Product, B, F, Readers...>;
  kernel<<<blocks, T::threads, 0, lane.stream()>>>(A, factor, cols, A.cols(), f, beside...);
  check_launch("tiled_product");
}

}  // namespace detrame::inline DETRAME_ABI::device
