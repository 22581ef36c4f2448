// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <iterator>
#include <utility>

#include "detrame/backend/convolution_arithmetic.hpp"
#include "detrame/backend/cpu/cpu.hpp"
#include "detrame/backend/cpu/packet.hpp"
#include "detrame/core/window.hpp"

/// The transforms of Winograd's algorithm, between images and values at its points.                      (W1)
namespace detrame::inline DETRAME_ABI::detail {

/// A matrix with a row for each point of the algorithm, known when compiling, applied to packets. Rows 2 q -
/// 1 and 2 q belong to p and -p: they agree in the even columns and are opposite in the odd ones, so that a
/// sum for each half serves both.
template <auto const& M, class Scalar>
struct PointMatrix {
  using P = Packet<Scalar>;
  static constexpr int rows = static_cast<int>(std::size(M)), cols = static_cast<int>(std::size(M[0]));
  static constexpr double entry(int i, int j) {
    return M[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)];
  }
  static_assert(
      [] {
        for (int q = 1; q + 1 < rows; q += 2)
          for (int j = 0; j < cols; ++j)
            if (entry(q + 1, j) != (j % 2 == 0 ? entry(q, j) : -entry(q, j))) return false;
        return true;
      }(),
      "rows of p and -p must follow one another");

  /// A column of row i among first, first + step, ... whose entry, the `unit`, divides the others without
  /// rounding, if there is one.
  template <int i, int first, int step>
  static constexpr int unit_column = [] {
    int any = -1;
    for (int u = first; u < cols; u += step) {
      bool exact = entry(i, u) != 0;
      if (exact) any = u;
      for (int j = first; exact && j < cols; j += step) {
        double const ratio = entry(i, j) / entry(i, u);
        exact = ratio == static_cast<float>(ratio);
      }
      if (exact) return u;
    }
    return any;
  }();
  template <int i, int first, int step>
  static constexpr double unit = M[i][unit_column<i, first, step>];

  /// y_i = sum_j M_ij x_j. x and y: packets at distances of x_step, y_step.
  template <int x_step = 1, int y_step = 1>
  [[gnu::always_inline]] static void expand(P const* x, P* y) {
    y[0] = times(unit<0, 0, 1>, row_sum<0, 0, 1, x_step>(x));
    each<pairs>([&]<int pair>() __attribute__((always_inline)) {
      constexpr int q = 2 * pair + 1;
      P const even = times(unit<q, 0, 2>, row_sum<q, 0, 2, x_step>(x)), odd = row_sum<q, 1, 2, x_step>(x);
      y[q * y_step] = plus(even, unit<q, 1, 2>, odd);
      y[(q + 1) * y_step] = plus(even, -unit<q, 1, 2>, odd);
    });
    y[(rows - 1) * y_step] = times(unit<rows - 1, 0, 1>, row_sum<rows - 1, 0, 1, x_step>(x));
  }

  /// x_j = sum_i M_ij y_i
  template <int y_step = 1, int x_step = 1>
  [[gnu::always_inline]] static void contract(P const* y, P* x) {
    P half[2][rows];  // what the even and the odd columns see of row i
    half[0][0] = half[1][0] = y[0];
    half[0][rows - 1] = half[1][rows - 1] = y[(rows - 1) * y_step];
#pragma GCC unroll 4
    for (int q = 1; q + 1 < rows; q += 2) {
      half[0][q] = add(y[q * y_step], y[(q + 1) * y_step]);
      half[1][q] = subtract(y[q * y_step], y[(q + 1) * y_step]);
    }
    each<cols>([&]<int j>() __attribute__((always_inline)) { x[j * x_step] = column_sum<j>(half[j % 2]); });
  }

 private:
  static constexpr int pairs = rows / 2 - 1;

  /// f.operator()<j>() for j = 0, ..., n - 1.
  template <int n, class F>
  [[gnu::always_inline]] static void each(F&& f) {
    [&]<int... j>(std::integer_sequence<int, j...>) __attribute__((always_inline)) {
      (f.template operator()<j>(), ...);
    }(std::make_integer_sequence<int, n>());
  }

  [[gnu::always_inline]] static P times(double m, P x) {
    return m == 1 ? x : multiply(broadcast(static_cast<Scalar>(m)), x);
  }
  /// sum + m x
  [[gnu::always_inline]] static P plus(P sum, double m, P x) {
    if (m == 1) return add(sum, x);
    if (m == -1) return subtract(sum, x);
    return multiply_add(broadcast(static_cast<Scalar>(m)), x, sum);
  }

  /// sum_j M_ij x_j over j = first, first + step, ..., divided by the unit.
  template <int i, int first, int step, int x_step>
  [[gnu::always_inline]] static P row_sum(P const* x) {
    constexpr int u = unit_column<i, first, step>;
    P sum = x[u * x_step];
    each<cols>([&]<int j>() __attribute__((always_inline)) {
      if constexpr (j != u && M[i][j] != 0 && j >= first && (j - first) % step == 0)
        sum = plus(sum, M[i][j] / unit<i, first, step>, x[j * x_step]);
    });
    return sum;
  }

  /// sum_i M_ij half_i, a pair of rows counting as one.
  template <int j>
  [[gnu::always_inline]] static P column_sum(P const* half) {
    constexpr int first = M[0][j] != 0 ? 0 : 1;
    P sum = times(M[first][j], half[first]);
    each<pairs>([&]<int pair>() __attribute__((always_inline)) {
      constexpr int i = 2 * pair + 1;
      if constexpr (M[i][j] != 0 && i != first) sum = plus(sum, M[i][j], half[i]);
    });
    if constexpr (M[rows - 1][j] != 0) sum = plus(sum, M[rows - 1][j], half[rows - 1]);
    return sum;
  }
};

/// How many tiles are transformed and multiplied at a time: their products with a point's weights are long
/// enough to be fast, and what is kept of them stays in the caches.
inline constexpr Index tiles_at_once = 64;

/// A batch of tiles at all points: [point][packet of channels][tile][lane]. Tiles are filled up to a multiple
/// of four; from one packet of channels to the next it is an odd multiple, and between points a little more,
/// so that few of these addresses share a set of the cache.
template <class Scalar>
struct PointValues {
  Scalar* data;
  Index packets, tiles, packet_step, point_step;

  PointValues(CpuLane<Scalar>& lane, int points, Index channels, Index tiles_)
      : packets((channels + lanes<Scalar> - 1) / lanes<Scalar>),
        tiles((tiles_ + 3) / 4 * 4),
        packet_step((tiles / 4 | 1) * 4 * lanes<Scalar>),
        point_step(packets * packet_step + 16) {
    data = lane.scratch(points * point_step + 272, 1).data() + 272 * (points % 2);
  }
  Scalar* at(Index point, Index packet, Index tile) const {
    return data + point * point_step + packet * packet_step + tile * lanes<Scalar>;
  }
};

/// The matrices of an algorithm as PointMatrix.
template <int m, class Scalar>
struct WinogradTransforms {
  static constexpr int points = Winograd<m>::points;
  using Input = PointMatrix<winograd_B_T<m>, Scalar>;
  using Output = PointMatrix<winograd_A<m>, Scalar>;
  using Kernel = PointMatrix<winograd_G<m>, Scalar>;

  // Whatever a loop reads is passed by value: a store of a packet may change all that
  // somebody else can reach.

  /// The second half of a transform: d, a row for each point, times M^T, to the values of a tile, `step` from
  /// point to point.
  template <class M>
  [[gnu::always_inline]] static void expand_rows(Packet<Scalar> const* d, Scalar* values, Index step) {
#pragma GCC unroll 8
    for (int i = 0; i < points; ++i) {
      Packet<Scalar> row[points];
      M::expand(d + i * M::cols, row);
#pragma GCC unroll 8
      for (int j = 0; j < points; ++j) store(values + (i * points + j) * step, row[j]);
    }
  }

  /// The n x n sites of an image from row y and column x on, some of which may lie beyond it.
  template <int n>
  struct Patch {
    Scalar const* row[n];  ///< at the first column of the image that the patch has, or zeros
    Index stride, before, inside;

    [[gnu::always_inline]] Patch(MatrixView<Scalar const> image, Index height, Index width, Index y, Index x,
                                 Scalar const* zeros)
        : stride(image.stride()), before(std::max<Index>(-x, 0)), inside(std::min<Index>(width - x, n)) {
#pragma GCC unroll 8
      for (Index i = 0; i < n; ++i)
        row[i] =
            0 <= y + i && y + i < height ? image.data() + ((y + i) * width + x + before) * stride : zeros;
    }

    /// Column j of `channels` channels from c on.
    [[gnu::always_inline]] void read(Index j, Index c, Index channels, Packet<Scalar>* column) const {
      Index const at = (j - before) * stride + c;
      if (j < before || j >= inside)
#pragma GCC unroll 8
        for (int i = 0; i < n; ++i) column[i] = broadcast(Scalar(0));
      else if (channels >= lanes<Scalar>)
#pragma GCC unroll 8
        for (int i = 0; i < n; ++i) column[i] = load(row[i] + at);
      else
        for (int i = 0; i < n; ++i) column[i] = load(row[i] + at, channels);
    }
  };
  /// Zeros for the rows of a patch that lie beyond an image with such a stride.
  static Scalar const* zeros(CpuLane<Scalar>& lane, Index stride) {
    auto const z = lane.scratch(points * stride + lanes<Scalar>, 1);
    std::fill_n(z.data(), z.rows(), Scalar(0));
    return z.data();
  }

  /// V = B^T d B for `count` tiles from the first-th on, of images U: channels x (sites images).
  static void input(Tiles<m> const& tiles, MatrixView<Scalar const> U, Index first, Index count,
                    Scalar const* zeros, PointValues<Scalar> const& V) {
    Window const& w = tiles.window;
    expand_tiles<Input>(tiles, U, w.height, w.width, w.padding, first, count, zeros, V);
  }

  /// Y = A P A^T, the adjoint of the output transform, for `count` tiles of P: channels x (sites images).
  static void cotangent(Tiles<m> const& tiles, MatrixView<Scalar const> P, Index first, Index count,
                        Scalar const* zeros, PointValues<Scalar> const& Y) {
    Window const& w = tiles.window;
    expand_tiles<Output>(tiles, P, w.out_height(), w.out_width(), 0, first, count, zeros, Y);
  }

  /// M d M^T for patches d of images of height x width that begin `before` rows and
  /// columns before their tiles.
  template <class M>
  static void expand_tiles(Tiles<m> tiles, MatrixView<Scalar const> images, Index height, Index width,
                           Index before, Index first, Index count, Scalar const* zeros,
                           PointValues<Scalar> to) {
    for (Index t = 0; t < count; ++t) {
      auto const place = tiles[first + t];
      Patch<M::cols> const patch(images.middle_cols(place.image * height * width, height * width), height,
                                 width, place.y - before, place.x - before, zeros);
      for (Index p = 0; p < to.packets; ++p) {
        Index const c = p * lanes<Scalar>;
        Packet<Scalar> d[points * M::cols];
#pragma GCC unroll 8
        for (int j = 0; j < M::cols; ++j) {
          Packet<Scalar> column[M::cols];
          patch.read(j, c, images.rows() - c, column);
          M::template expand<1, M::cols>(column, d + j);
        }
        expand_rows<M>(d, to.at(0, p, t), to.point_step);
      }
    }
  }

  /// emit(v, channel, site, n) for the sites of `count` tiles, v = A^T Y A.
  template <class Emit>
  static void output(Tiles<m> tiles, PointValues<Scalar> Y, Index first, Index count, Index channels,
                     Emit emit) {
    constexpr Index L = lanes<Scalar>;
    Window const w = tiles.window;
    for (Index t = 0; t < count; ++t) {
      auto const place = tiles[first + t];
      Index const y_end = std::min<Index>(m, w.out_height() - place.y),
                  x_end = std::min<Index>(m, w.out_width() - place.x);
      Index const site = place.image * w.out_sites() + place.y * w.out_width() + place.x;
      for (Index p = 0; p < Y.packets; ++p) {
        Packet<Scalar> d[m * points];
        Scalar const* const from = Y.at(0, p, t);
#pragma GCC unroll 8
        for (int j = 0; j < points; ++j) {
          Packet<Scalar> column[points];
#pragma GCC unroll 8
          for (int i = 0; i < points; ++i) column[i] = load(from + (i * points + j) * Y.point_step);
          Output::template contract<1, points>(column, d + j);
        }
        Index const n = std::min(L, channels - p * L);
        if (n == L && y_end == m && x_end == m)
#pragma GCC unroll 4
          for (int y = 0; y < m; ++y) {
            Packet<Scalar> v[m];
            Output::contract(d + y * points, v);
#pragma GCC unroll 4
            for (int x = 0; x < m; ++x) emit(v[x], p * L, site + y * w.out_width() + x, L);
          }
        else
          for (int y = 0; y < y_end; ++y) {
            Packet<Scalar> v[m];
            Output::contract(d + y * points, v);
            for (int x = 0; x < x_end; ++x) emit(v[x], p * L, site + y * w.out_width() + x, n);
          }
      }
    }
  }
};

}  // namespace detrame::inline DETRAME_ABI::detail
