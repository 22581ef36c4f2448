// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "detrame/backend/cpu/packet.hpp"

/// The one micro-kernel of all products: a tile of sums that stays in registers.
namespace detrame::inline DETRAME_ABI::detail {

/// `rows` packets by `cols` columns of a product A B. With as many sums as hide the latency of a
/// multiply-add, and few enough that they, a column of A and an entry of B fit the registers.
template <class Scalar, int rows, int cols>
struct RegisterTile {
  Packet<Scalar> sum[cols][rows];

  [[gnu::always_inline]] void clear() {
    for_each([](Packet<Scalar>& s, Index, Index) { s = broadcast(Scalar(0)); });
  }

  /// sum_ij += sum_{l < depth} A_il B_lj. Row i of A: a packet at i `A_row` + l `A_step`. B_lj at l `B_step`
  /// + j `B_col`.
  [[gnu::always_inline]] void add_product(Index depth, Scalar const* A, Index A_row, Index A_step,
                                          Scalar const* B, Index B_step, Index B_col) {
    for (Index l = 0; l < depth; ++l, A += A_step, B += B_step) {
      Packet<Scalar> a[rows];
#pragma GCC unroll 8
      for (int i = 0; i < rows; ++i) a[i] = in_register(load(A + i * A_row));
#pragma GCC unroll 16
      for (int j = 0; j < cols; ++j) {
        Packet<Scalar> const b = broadcast(B[j * B_col]);
#pragma GCC unroll 8
        for (int i = 0; i < rows; ++i) sum[j][i] = multiply_add(a[i], b, sum[j][i]);
      }
    }
  }

  /// f(sum_ij, i, j), with i in packets.
  template <class F>
  [[gnu::always_inline]] void for_each(F&& f) {
#pragma GCC unroll 16
    for (int j = 0; j < cols; ++j)
#pragma GCC unroll 8
      for (int i = 0; i < rows; ++i) f(sum[j][i], Index{i}, Index{j});
  }
};

/// How many packets of rows and how many columns a tile has at most: its sums, the packets of A and one of B
/// fill the registers.
inline constexpr int tile_rows = 2, tile_cols = many_registers ? 12 : 6;

/// A product's columns are cut into tiles of tile_cols, 4 and 1: f(first column, columns).
template <class F>
[[gnu::always_inline]] inline void for_each_tile(Index cols, F&& f) {
  for (Index j = 0; j < cols;) {
    Index const left = cols - j;
    Index const count = left >= tile_cols && left != 8 ? tile_cols : left >= 4 ? 4 : 1;  // 8 = 4 + 4
    f(j, count);
    j += count;
  }
}

/// The packets of a matrix's rows are cut into panels of tile_rows, the last perhaps of 1: f(first packet,
/// packets), top down.
template <class F>
[[gnu::always_inline]] inline void for_each_panel(Index packets, F&& f) {
  for (Index p = 0; p < packets; p += tile_rows) f(p, std::min<Index>(tile_rows, packets - p));
}

/// f.operator()<n>(), for n one of the values.
template <int value, int... others, class F>
[[gnu::always_inline]] inline void with_constant(Index n, F&& f) {
  if constexpr (sizeof...(others) > 0)
    if (n != value) return with_constant<others...>(n, f);
  f.template operator()<value>();
}

/// f.operator()<rows, cols>(), for a panel of `rows` packets and a tile of `cols` columns.
template <class F>
[[gnu::always_inline]] inline void with_tile_size(Index rows, Index cols, F&& f) {
  with_constant<tile_rows, 1>(rows, [&]<int r>() __attribute__((always_inline)) {
    with_constant<tile_cols, 4, 1>(
        cols, [&]<int c>() __attribute__((always_inline)) { f.template operator()<r, c>(); });
  });
}

}  // namespace detrame::inline DETRAME_ABI::detail
