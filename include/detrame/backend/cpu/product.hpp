// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "detrame/backend/cpu/epilogue.hpp"
#include "detrame/backend/cpu/gemm.hpp"
#include "detrame/backend/cpu/register_tile.hpp"

namespace detrame::inline DETRAME_ABI {

namespace detail {

/// f(i) for i = 0, ..., count - 1: on the threads of a backend, or on one lane. scalars: what one reads and
/// writes.
template <class Scalar, class F>
void for_each_task(Cpu<Scalar>& backend, Index count, Index scalars, F&& f) {
  Work const work{0, static_cast<double>(count) * static_cast<double>(scalars * Index{sizeof(Scalar)})};
  backend.run(count, work, [&](CpuLane<Scalar>&, Index i) { f(i); });
}
template <class Scalar, class F>
void for_each_task(CpuLane<Scalar>&, Index count, Index, F&& f) {
  for (Index i = 0; i < count; ++i) f(i);
}
template <class Scalar>
CpuLane<Scalar>& lane_of(Cpu<Scalar>& backend) {
  return backend.lane();
}
template <class Scalar>
CpuLane<Scalar>& lane_of(CpuLane<Scalar>& lane) {
  return lane;
}

/// How the right factor of a tile lies in memory: `segments` runs of `depth` rows, the entry of row l and
/// column j of run s at s segment_step + l step + j col_step.
struct Strides {
  Index segments, depth, segment_step, step, col_step;
};

/// out = A B for `rows` packets and `cols` columns; A packed, [segment][l][packet][lane]; out:
/// [col][packet][lane].
template <int rows, int cols, class Scalar>
void multiply_tile(Scalar const* A, Scalar const* B, Strides const& at, Scalar* out) {
  constexpr Index L = lanes<Scalar>;
  RegisterTile<Scalar, rows, cols> sums;
  sums.clear();
  for (Index s = 0; s < at.segments; ++s)
    sums.add_product(at.depth, A + s * at.depth * rows * L, L, rows * L, B + s * at.segment_step, at.step,
                     at.col_step);
  sums.for_each([&](Packet<Scalar> v, Index i, Index j)
                    __attribute__((always_inline)) { store(out + (j * rows + i) * L, v); });
}

/// take(tile, first column, columns) for tiles that together are `cols` columns of A B, of `rows` packets;
/// tile: [col][packet][lane]. Sizes are not template arguments here, so that what is taken is compiled once.
template <class Scalar, class Take>
void multiply_panel(Index rows, Scalar const* A, Scalar const* B, Strides const& at, Index cols,
                    Take const& take) {
  alignas(64) Scalar tile[tile_cols * tile_rows * lanes<Scalar>];
  for_each_tile(cols, [&](Index j, Index count) {
    with_tile_size(rows, count,
                   [&]<int r, int c>() { multiply_tile<r, c>(A, B + j * at.col_step, at, tile); });
    take(tile, j, count);
  });
}

/// A matrix packed for multiply_panel: panels of rows, each [l][row].
template <class Scalar>
struct PackedMatrix {
  Index rows, depth;
  Scalar* data;

  static Index packets(Index rows) { return (rows + lanes<Scalar> - 1) / lanes<Scalar>; }
  /// Scalars that it takes.
  static Index size(Index rows, Index depth) { return packets(rows) * lanes<Scalar> * depth; }
};

/// Packs columns [0, depth) of a matrix whose entry (i, l) is at(i, l), one panel;
/// rows beyond the matrix are zeros.
template <class Scalar, class At>
void pack_panel(PackedMatrix<Scalar> const& to, Index panel, Index panel_rows, At const& at) {
  constexpr Index L = lanes<Scalar>;
  Scalar* out = to.data + panel * L * to.depth;
  Index const first = panel * L, n = std::min(panel_rows * L, to.rows - first);
  for (Index l = 0; l < to.depth; ++l, out += panel_rows * L) {
    for (Index i = 0; i < n; ++i) out[i] = at(first + i, l);
    std::fill(out + n, out + panel_rows * L, Scalar(0));
  }
}

/// Packs a whole matrix, on the backend's threads or on a lane.
template <class Where, class Scalar, class At>
void pack(Where& where, PackedMatrix<Scalar> const& to, At const& at) {
  Index const packets = PackedMatrix<Scalar>::packets(to.rows);
  Index const panels = (packets + tile_rows - 1) / tile_rows;  // those of for_each_panel
  for_each_task(where, panels, 2 * tile_rows * lanes<Scalar> * to.depth, [&](Index i) {
    pack_panel(to, tile_rows * i, std::min<Index>(tile_rows, packets - tile_rows * i), at);
  });
}

/// f(first, count) over blocks of the columns of a right factor of `depth` rows, that stay in half an L2
/// cache of 512 KiB.
template <class Scalar, class F>
void for_each_block(Index depth, Index cols, F&& f) {
  Index const bytes = std::max<Index>(depth, 1) * Index{sizeof(Scalar)};
  Index const block = std::max<Index>((Index{1} << 18) / bytes / tile_cols, 1) * tile_cols;
  for (Index first = 0; first < cols; first += block) f(first, std::min(block, cols - first));
}

/// emit(v, row, column, n) for the entries of A B. B_lj: B + l + j B_col.
template <class Scalar, class Emit>
void multiply(PackedMatrix<Scalar> const& A, Scalar const* B, Index B_col, Index cols, Emit const& emit) {
  constexpr Index L = lanes<Scalar>;
  Strides const at{1, A.depth, 0, 1, B_col};
  for_each_block<Scalar>(A.depth, cols, [&](Index first, Index count) {
    for_each_panel(A.packets(A.rows), [&](Index panel, Index rows) {
      Index const n = std::min(rows * L, A.rows - panel * L);
      multiply_panel(rows, A.data + panel * L * A.depth, B + first * B_col, at, count,
                     [&](Scalar const* tile, Index j, Index width) {
                       for (Index c = 0; c < width; ++c)
                         emit(tile + c * rows * L, panel * L, first + j + c, n);
                     });
    });
  });
}

/// sign A packed into memory of the lane.
template <class Scalar>
PackedMatrix<Scalar> packed(CpuLane<Scalar>& lane, MatrixView<Scalar const> A, Scalar sign) {
  PackedMatrix<Scalar> const to{A.rows(), A.cols(),
                                lane.scratch(PackedMatrix<Scalar>::size(A.rows(), A.cols()), 1).data()};
  pack(lane, to, [&](Index i, Index l) { return sign * A(i, l); });
  return to;
}

/// C += A B^T for A: m x n, and B of `cols` rows: B_jl at s segment_step + l step + j. The n = segments depth
/// columns are taken one segment after another.
template <class Scalar>
void add_outer(PackedMatrix<Scalar> const& A, Scalar const* B, Strides at, Index cols, Scalar* C,
               Index C_step) {
  if (A.depth == 0) return;  // B may have no memory
  constexpr Index L = lanes<Scalar>;
  at.col_step = 1;
  for_each_block<Scalar>(A.depth, cols, [&](Index first, Index count) {
    for_each_panel(A.packets(A.rows), [&](Index panel, Index rows) {
      Index const n = std::min(rows * L, A.rows - panel * L);
      multiply_panel(rows, A.data + panel * L * A.depth, B + first, at, count,
                     [&](Scalar const* tile, Index j, Index width) {
                       for (Index c = 0; c < width; ++c) {
                         Scalar* const to = C + panel * L + (first + j + c) * C_step;
                         for (Index i = 0; i < n; ++i) to[i] += tile[c * rows * L + i];
                       }
                     });
    });
  });
}

}  // namespace detail

/// A left factor that serves many products: op(A) of each of `groups` matrices side by side,
/// packed for the processor.
template <class Scalar>
struct PreparedProduct {
  detail::PackedMatrix<Scalar> packed;
  Index groups = 1;

  PreparedProduct group(Index g) const {
    return {{packed.rows, packed.depth, packed.data + g * packed.size(packed.rows, packed.depth)}, 1};
  }
};

template <class Where>
auto prepare_product(Where& where, std::type_identity_t<MatrixView<typename Where::Scalar const>> A, Op op,
                     Index groups = 1) {
  using Scalar = typename Where::Scalar;
  Index const cols = A.cols() / groups;
  Index const rows = op == Op::none ? A.rows() : cols, depth = op == Op::none ? cols : A.rows();
  Index const size = detail::PackedMatrix<Scalar>::size(rows, depth);
  PreparedProduct<Scalar> const out{{rows, depth, detail::lane_of(where).scratch(groups * size, 1).data()},
                                    groups};
  for (Index g = 0; g < groups; ++g) {
    auto const block = A.middle_cols(g * cols, cols);
    if (op == Op::none)
      detail::pack(where, out.group(g).packed, [&](Index i, Index l) { return block(i, l); });
    else
      detail::pack(where, out.group(g).packed, [&](Index i, Index l) { return block(l, i); });
  }
  return out;
}

template <class Scalar, class F, class... Args>
void product_each(CpuLane<Scalar>&, PreparedProduct<Scalar> const& A,
                  std::type_identity_t<MatrixView<Scalar const>> B, F const& f, Args&&... args) {
  DETRAME_ASSERT(A.packed.depth == B.rows());
  detail::multiply(A.packed, B.data(), B.stride(), B.cols(), detail::epilogue<Scalar>(f, args...));
}

template <class Scalar>
void add_outer_product(CpuLane<Scalar>& lane, std::type_identity_t<MatrixView<Scalar const>> A,
                       std::type_identity_t<MatrixView<Scalar const>> B, std::type_identity_t<Scalar> sign,
                       std::type_identity_t<MatrixView<Scalar>> C) {
  DETRAME_ASSERT(A.cols() == B.cols() && C.rows() == A.rows() && C.cols() == B.rows());
  auto const frame = lane.frame();
  if (B.stride() * Index{sizeof(Scalar)} % 1024 == 0 &&
      B.cols() > 1) {  // columns that share a few sets of the cache
    Index const apart = 64 / Index{sizeof(Scalar)};
    MatrixView<Scalar> const copy{lane.scratch(B.rows() + apart, B.cols()).data(), B.rows(), B.cols(),
                                  B.rows() + apart};
    each(lane, formula::Assign{}, copy, B);
    B = copy;
  }
  detail::add_outer(detail::packed(lane, A, sign), B.data(), {1, A.cols(), 0, B.stride(), 1}, B.rows(),
                    C.data(), C.stride());
}

}  // namespace detrame::inline DETRAME_ABI
