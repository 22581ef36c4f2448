// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <limits>

#include "detrame/core/matrix_view.hpp"

namespace detrame {

/// Cholesky factors of small matrices, one after the other in one thread, that can be continued.
///
///   A = L L^T,   A: n x n symmetric, positive definite
///
/// Rows are packed in tiles of `tile` rows, a tile column by column, so that every loop below reads memory in
/// order; the tiles of the lower triangle follow one another, so that a larger factor begins with a smaller one.
/// Row i needs the rows before it alone: rows are factored in order, and a factor is continued by more rows.
///
/// The diagonal of a factor holds 1 / l_ii.
template <class Scalar>
class PackedCholesky {
  using Packet = typename Eigen::internal::packet_traits<Scalar>::type;
  static constexpr Index lanes = Eigen::internal::unpacket_traits<Packet>::size;
  static constexpr Index panel = 4;  // columns at once: 2 x 4 accumulators hide the latency of a multiply-add

 public:
  static constexpr Index tile = 2 * lanes < panel ? panel : 2 * lanes;

  /// How many scalars hold a factor of n rows.
  static constexpr Index size(Index n) { return first_of((n + tile - 1) / tile); }
  /// Where entry (i, j) with i >= j lies.
  static constexpr Index place(Index i, Index j) { return first_of(i / tile) + j * tile + i % tile; }
  /// n rounded up to whole tiles.
  static constexpr Index padded(Index n) { return (n + tile - 1) / tile * tile; }

  /// Factors rows first, ..., n - 1, where F holds the rows of A, given the rows before them. Returns how many
  /// rows from the top are factored: n, or the first row whose pivot is not positive beyond its rounding,
  /// n eps a_ii, or not finite. Requires first = 0 modulo tile.
  static Index factor(Scalar* F, Index n, Index first) {
    for (Index t = first / tile; t * tile < n; ++t) {
      Scalar* const L = F + first_of(t);
      Index const left = t * tile, rows = std::min(tile, n - left);
      for (Index p = 0; p < left + rows; ++p) std::fill(L + p * tile + rows, L + (p + 1) * tile, Scalar(0));
      for (Index j = 0; j < left; j += panel) {
        Scalar const* const above = F + first_of(j / tile) + j % tile;
        subtract_products(L, above, j, L + j * tile);
        solve_panel(above + j * tile, L + j * tile);
      }
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
  static constexpr Index parts = tile / lanes;  // packets a tile

  static constexpr Index first_of(Index t) { return tile * tile * (t * (t + 1) / 2); }

  static Packet load(Scalar const* p) { return Eigen::internal::ploadu<Packet>(p); }
  static Packet constant(Scalar s) { return Eigen::internal::pset1<Packet>(s); }
  static Packet multiply_add(Packet a, Packet b, Packet c) { return Eigen::internal::pmadd(a, b, c); }
  static void subtract(Scalar* y, Packet x) {
    Eigen::internal::pstoreu(y, Eigen::internal::psub(load(y), x));
  }

  /// Y_c -= sum_{p < depth} L_p above_pc for the `panel` columns Y_c of a tile.
  static void subtract_products(Scalar const* L, Scalar const* above, Index depth, Scalar* Y) {
    if (depth == 0) return;
    for (Index part = 0; part < parts; part += 2) {
      Packet sum[panel][2];
      for (Index c = 0; c < panel; ++c) sum[c][0] = sum[c][1] = constant(Scalar(0));
      for (Index p = 0; p < depth; ++p) {
        Packet const l0 = load(L + p * tile + part * lanes), l1 = load(L + p * tile + (part + 1) * lanes);
        for (Index c = 0; c < panel; ++c) {
          Packet const a = constant(above[p * tile + c]);
          sum[c][0] = multiply_add(l0, a, sum[c][0]);
          sum[c][1] = multiply_add(l1, a, sum[c][1]);
        }
      }
      for (Index c = 0; c < panel; ++c) {
        subtract(Y + c * tile + part * lanes, sum[c][0]);
        subtract(Y + c * tile + (part + 1) * lanes, sum[c][1]);
      }
    }
  }

  /// Y <- Y T^{-T} for the `panel` columns of a tile and the triangle T that stands above them.
  static void solve_panel(Scalar const* T, Scalar* Y) {
    for (Index c = 0; c < panel; ++c) {
      for (Index b = 0; b < c; ++b)
        for (Index i = 0; i < tile; ++i) Y[c * tile + i] -= Y[b * tile + i] * T[b * tile + c];
      for (Index i = 0; i < tile; ++i) Y[c * tile + i] *= T[c * tile + c];
    }
  }

  /// Factors the block on the diagonal; what stands above the diagonal is not read.
  static Index factor_block(Scalar* L, Index rows, Scalar const* diagonal, Scalar n) {
    for (Index c = 0; c < rows; ++c) {
      Scalar const pivot = L[c * tile + c];
      if (!(pivot > n * std::numeric_limits<Scalar>::epsilon() * diagonal[c] && std::isfinite(pivot))) return c;
      Scalar const inverse = Scalar(1) / std::sqrt(pivot);
      for (Index i = 0; i < tile; ++i) L[c * tile + i] *= inverse;
      for (Index b = c + 1; b < rows; ++b) {
        Scalar const l = L[c * tile + b];
        for (Index i = 0; i < tile; ++i) L[b * tile + i] -= l * L[c * tile + i];
      }
      L[c * tile + c] = inverse;
    }
    return rows;
  }

  /// y -= sum_{p < depth} L_p x_p for the rows of one tile; depth = 0 modulo tile.
  static void subtract_product(Scalar const* L, Index depth, Scalar const* x, Scalar* y) {
    for (Index part = 0; part < parts; ++part) {
      Packet sum[panel];
      for (Packet& s : sum) s = constant(Scalar(0));
      for (Index p = 0; p < depth; p += panel)
        for (Index c = 0; c < panel; ++c)
          sum[c] = multiply_add(load(L + (p + c) * tile + part * lanes), constant(x[p + c]), sum[c]);
      for (Packet const& s : sum) subtract(y + part * lanes, s);
    }
  }

  /// y_p -= <L_p, x> for p < depth.
  static void subtract_adjoint_product(Scalar const* L, Index depth, Scalar const* x, Scalar* y) {
    for (Index p = 0; p < depth; ++p) {
      Packet sum = constant(Scalar(0));
      for (Index part = 0; part < parts; ++part)
        sum = multiply_add(load(L + p * tile + part * lanes), load(x + part * lanes), sum);
      y[p] -= Eigen::internal::predux(sum);
    }
  }
};

}  // namespace detrame
