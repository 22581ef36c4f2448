// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "detrame/backend/cpu/packet.hpp"
#include "detrame/core/matrix_view.hpp"

namespace detrame::inline DETRAME_ABI {

/// Cholesky factors of small matrices, one after the other in one thread, that can be continued.
///
///   A = L L^T,   A: n x n symmetric, positive definite
///
/// Rows are packed in tiles of `tile` rows, a tile column by column, so that every loop below reads memory in
/// order; the tiles of the lower triangle follow one another, so that a larger factor begins with a smaller
/// one. Row i needs the rows before it alone: rows are factored in order,
/// and a factor is continued by more rows.
///
/// The diagonal of a factor holds 1 / l_ii.
template <class Scalar>
class PackedCholesky {
  using Packet = typename Eigen::internal::packet_traits<Scalar>::type;
  static constexpr Index lanes = Eigen::internal::unpacket_traits<Packet>::size;
  static constexpr Index panel = 4;  // columns at once: 2 x 4 accumulators hide the latency of a multiply-add

 public:
  static constexpr Index tile = 2 * lanes < panel ? panel : 2 * lanes;
  static_assert(tile % panel == 0 && tile % (2 * lanes) == 0);

  /// How many scalars hold a factor of n rows.
  static constexpr Index size(Index n) { return first_of((n + tile - 1) / tile); }
  /// Where entry (i, j) with i >= j lies.
  static constexpr Index place(Index i, Index j) { return first_of(i / tile) + j * tile + i % tile; }
  /// n rounded up to whole tiles.
  static constexpr Index padded(Index n) { return (n + tile - 1) / tile * tile; }

  /// Factors rows first, ..., n - 1, where F holds the rows of A, given the rows before them. Returns how
  /// many rows from the top are factored: n, or the first row whose pivot is not positive beyond its
  /// rounding, n eps a_ii, or not finite. Requires first = 0 modulo tile.
  static Index factor(Scalar* F, Index n, Index first) {
    for (Index t = first / tile; t * tile < n; ++t) {
      Scalar* const L = F + first_of(t);
      Index const left = t * tile, rows = std::min(tile, n - left);
      for (Index p = 0; p < left + rows; ++p) std::fill(L + p * tile + rows, L + (p + 1) * tile, Scalar(0));
      for (Index j = 0; j < left; j += panel)
        factor_panel(L, F + first_of(j / tile) + j % tile, j, L + j * tile);
      Scalar diagonal[tile];
      for (Index c = 0; c < rows; ++c) diagonal[c] = L[(left + c) * tile + c];
      for (Index j = 0; j < rows; j += panel) subtract_products(L, L + j, left, L + (left + j) * tile);
      Index const done = factor_block(L + left * tile, rows, diagonal, static_cast<Scalar>(n));
      if (done < rows) return left + done;
    }
    return n;
  }

  /// x <- (L L^T)^{-1} x. x has room for padded(n) scalars.
  static void solve(Scalar const* F, Index n, Scalar* x) {
    std::fill(x + n, x + padded(n), Scalar(0));
    for (Index t = 0; t * tile < n; ++t) {
      Scalar const* const L = F + first_of(t);
      Index const left = t * tile, rows = std::min(tile, n - left);
      subtract_product(L, left, x, x + left);
      for (Index c = 0; c < rows; ++c) {
        Scalar const* const column = L + (left + c) * tile;
        x[left + c] *= column[c];
        for (Index i = c + 1; i < rows; ++i) x[left + i] -= column[i] * x[left + c];
      }
    }
    for (Index t = (n - 1) / tile; t >= 0 && n > 0; --t) {
      Scalar const* const L = F + first_of(t);
      Index const left = t * tile, rows = std::min(tile, n - left);
      for (Index c = rows - 1; c >= 0; --c) {
        Scalar const* const column = L + (left + c) * tile;
        for (Index i = c + 1; i < rows; ++i) x[left + c] -= column[i] * x[left + i];
        x[left + c] *= column[c];
      }
      subtract_adjoint_product(L, left, x + left, x);
    }
  }

 private:
  static constexpr Index first_of(Index t) { return tile * tile * (t * (t + 1) / 2); }

  static Packet load(Scalar const* p) { return Eigen::internal::ploadu<Packet>(p); }
  static Packet constant(Scalar s) { return Eigen::internal::pset1<Packet>(s); }
  static Packet multiply_add(Packet a, Packet b, Packet c) { return Eigen::internal::pmadd(a, b, c); }
  static void subtract(Scalar* y, Packet x) {
    Eigen::internal::pstoreu(y, Eigen::internal::psub(load(y), x));
  }

  /// sum_cp = sum_{p < depth} L_p above_pc for `panel` columns c and two packets of a tile.
  static void add_products(Scalar const* L, Scalar const* above, Index depth, Packet (&sum)[panel][2]) {
    for (Index c = 0; c < panel; ++c) sum[c][0] = sum[c][1] = constant(Scalar(0));
    for (Index p = 0; p < depth; ++p) {
      Packet const l0 = detail::in_register(load(L + p * tile));
      Packet const l1 = detail::in_register(load(L + p * tile + lanes));
      for (Index c = 0; c < panel; ++c) {
        Packet const a = constant(above[p * tile + c]);
        sum[c][0] = multiply_add(l0, a, sum[c][0]);
        sum[c][1] = multiply_add(l1, a, sum[c][1]);
      }
    }
  }

  /// Y_c -= sum_{p < depth} L_p above_pc for the `panel` columns Y_c of a tile.
  static void subtract_products(Scalar const* L, Scalar const* above, Index depth, Scalar* Y) {
    for (Index part = 0; part < tile; part += 2 * lanes) {
      Packet sum[panel][2];
      add_products(L + part, above, depth, sum);
      for (Index c = 0; c < panel; ++c)
        for (Index i = 0; i < 2; ++i) subtract(Y + c * tile + part + i * lanes, sum[c][i]);
    }
  }

  /// The `panel` columns Y_c of a tile become columns of L: Y <- (Y - L above^T) T^{-T}, where the triangle T
  /// stands behind `above` in its tile.
  static void factor_panel(Scalar const* L, Scalar const* above, Index depth, Scalar* Y) {
    Scalar const* const T = above + depth * tile;
    for (Index part = 0; part < tile; part += 2 * lanes) {
      Packet sum[panel][2];
      add_products(L + part, above, depth, sum);
      for (Index c = 0; c < panel; ++c) {
        Packet const inverse = constant(T[c * tile + c]);
        for (Index b = 0; b < c; ++b) {
          Packet const t = constant(T[b * tile + c]);
          for (Index i = 0; i < 2; ++i) sum[c][i] = multiply_add(sum[b][i], t, sum[c][i]);
        }
        for (Index i = 0; i < 2; ++i) {
          Scalar* const y = Y + c * tile + part + i * lanes;
          sum[c][i] = Eigen::internal::pmul(Eigen::internal::psub(load(y), sum[c][i]), inverse);
          Eigen::internal::pstoreu(y, sum[c][i]);
        }
      }
    }
  }

  /// Factors the block on the diagonal; what stands above the diagonal is not read.
  static Index factor_block(Scalar* L, Index rows, Scalar const* diagonal, Scalar n) {
    for (Index c = 0; c < rows; ++c) {
      Scalar* const column = L + c * tile;
      Scalar const pivot = column[c];
      if (!(pivot > n * std::numeric_limits<Scalar>::epsilon() * diagonal[c] && std::isfinite(pivot)))
        return c;
      Scalar const inverse = Scalar(1) / pivot, inverse_root = std::sqrt(inverse);
      for (Index b = c + 1; b < rows; ++b) {
        Packet const l = constant(column[b] * inverse);
        for (Index i = 0; i < tile; i += lanes)
          subtract(L + b * tile + i, Eigen::internal::pmul(l, load(column + i)));
      }
      for (Index i = 0; i < tile; i += lanes)
        Eigen::internal::pstoreu(column + i, Eigen::internal::pmul(load(column + i), constant(inverse_root)));
      column[c] = inverse_root;
    }
    return rows;
  }

  /// y -= sum_{p < depth} L_p x_p for the rows of one tile; depth = 0 modulo tile.
  static void subtract_product(Scalar const* L, Index depth, Scalar const* x, Scalar* y) {
    for (Index part = 0; part < tile; part += lanes) {
      Packet sum[panel];
      for (Packet& s : sum) s = constant(Scalar(0));
      for (Index p = 0; p < depth; p += panel)
        for (Index c = 0; c < panel; ++c)
          sum[c] = multiply_add(load(L + (p + c) * tile + part), constant(x[p + c]), sum[c]);
      for (Packet const& s : sum) subtract(y + part, s);
    }
  }

  /// y_p -= <L_p, x> for p < depth.
  static void subtract_adjoint_product(Scalar const* L, Index depth, Scalar const* x, Scalar* y) {
    for (Index p = 0; p < depth; ++p) {
      Packet sum = constant(Scalar(0));
      for (Index i = 0; i < tile; i += lanes) sum = multiply_add(load(L + p * tile + i), load(x + i), sum);
      y[p] -= Eigen::internal::predux(sum);
    }
  }
};

}  // namespace detrame::inline DETRAME_ABI
