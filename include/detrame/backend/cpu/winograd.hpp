// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <iterator>
#include <utility>

#include "detrame/backend/arithmetic.hpp"
#include "detrame/backend/cpu/epilogue.hpp"
#include "detrame/backend/cpu/product.hpp"
#include "detrame/core/window.hpp"

/// Cross-correlations with 3 x 3 kernels by Winograd's algorithm.                                         (W1)
namespace detrame::detail {

/// A matrix with a row for each point of the algorithm, known when compiling, applied to packets. Rows 2 q - 1 and 2 q belong to p
/// and -p: they agree in the even columns and are opposite in the odd ones, so that a sum for each half serves both.
template <auto const& M, class Scalar>
struct PointMatrix {
  using P = Packet<Scalar>;
  static constexpr int rows = static_cast<int>(std::size(M)), cols = static_cast<int>(std::size(M[0]));
  static_assert(
      [] {
        for (int q = 1; q + 1 < rows; q += 2)
          for (int j = 0; j < cols; ++j)
            if (M[q + 1][j] != (j % 2 == 0 ? M[q][j] : -M[q][j])) return false;
        return true;
      }(),
      "rows of p and -p must follow one another");

  /// y_i = sum_j M_ij x_j. x and y: packets at distances of x_step, y_step.
  template <int x_step = 1, int y_step = 1>
  [[gnu::always_inline]] static void expand(P const* x, P* y) {
    y[0] = row_sum<0, 0, 1, x_step>(x);
#pragma GCC unroll 4
    for (int q = 1; q + 1 < rows; q += 2) {
      P const even = q == 1 ? row_sum<1, 0, 2, x_step>(x) : row_sum<rows - 3, 0, 2, x_step>(x);
      P const odd = q == 1 ? row_sum<1, 1, 2, x_step>(x) : row_sum<rows - 3, 1, 2, x_step>(x);
      y[q * y_step] = add(even, odd);
      y[(q + 1) * y_step] = subtract(even, odd);
    }
    y[(rows - 1) * y_step] = row_sum<rows - 1, 0, 1, x_step>(x);
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
    each_column([&]<int j>() __attribute__((always_inline)) { x[j * x_step] = column_sum<j>(half[j % 2]); });
  }

 private:
  template <class F>
  [[gnu::always_inline]] static void each_column(F&& f) {
    [&]<int... j>(std::integer_sequence<int, j...>) __attribute__((always_inline)) {
      (f.template operator()<j>(), ...);
    }(std::make_integer_sequence<int, cols>());
  }

  /// m x + sum, where sum counts from the second term on.
  template <bool first>
  [[gnu::always_inline]] static P term(double m, P x, P sum) {
    if constexpr (first) return m == 1 ? x : multiply(broadcast(static_cast<Scalar>(m)), x);
    return m == 1 ? add(x, sum) : multiply_add(broadcast(static_cast<Scalar>(m)), x, sum);
  }

  /// sum_j M_ij x_j over j = first, first + step, ...
  template <int i, int first, int step, int x_step>
  [[gnu::always_inline]] static P row_sum(P const* x) {
    static constexpr int begin = [] {
      for (int j = first; j < cols; j += step)
        if (M[i][j] != 0) return j;
      return cols;
    }();
    P sum = broadcast(Scalar(0));
    each_column([&]<int j>() __attribute__((always_inline)) {
      if constexpr (M[i][j] != 0 && j >= first && (j - first) % step == 0)
        sum = term < j == begin > (M[i][j], x[j * x_step], sum);
    });
    return sum;
  }

  /// sum_i M_ij half_i, a pair of rows counting as one.
  template <int j>
  [[gnu::always_inline]] static P column_sum(P const* half) {
    P sum = M[0][j] != 0 ? term<true>(M[0][j], half[0], half[0]) : term<true>(M[1][j], half[1], half[1]);
    [&]<int... q>(std::integer_sequence<int, q...>) __attribute__((always_inline)) {
      (
          [&]() __attribute__((always_inline)) {
            constexpr int i = 2 * q + 1;
            if constexpr (i < rows - 1 && M[i][j] != 0 && !(i == 1 && M[0][j] == 0))
              sum = term<false>(M[i][j], half[i], sum);
          }(),
          ...);
    }(std::make_integer_sequence<int, rows / 2>());
    if constexpr (M[rows - 1][j] != 0) sum = term<false>(M[rows - 1][j], half[rows - 1], sum);
    return sum;
  }
};

/// The tiles of the images that a window writes: m x m sites each, image by image, row by row.
template <int m>
struct Tiles {
  Window window;
  Index rows = (window.out_height() + m - 1) / m, cols = (window.out_width() + m - 1) / m;

  Index per_image() const { return rows * cols; }
  /// The upper left site of tile t: its image, row and column.
  struct Place {
    Index image, y, x;
  };
  Place operator[](Index t) const {
    Index const in_image = t % per_image();
    return {t / per_image(), in_image / cols * m, in_image % cols * m};
  }
};

/// How many tiles are transformed and multiplied at a time: their products with a point's weights are long enough to be fast, and
/// what is kept of them stays in the caches.
inline constexpr Index tiles_at_once = 64;

/// A batch of tiles at all points: [point][packet of channels][tile][lane]. Tiles are filled up to a multiple of four; from one packet
/// of channels to the next it is an odd multiple, and between points a little more, so that few of these addresses share a set
/// of the cache.
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
  using Input = PointMatrix<Winograd<m>::B_T, Scalar>;
  using Output = PointMatrix<Winograd<m>::A, Scalar>;
  using Kernel = PointMatrix<winograd_G<m>, Scalar>;

  /// The second half of a transform: d, a row for each point, times M^T, to tile t of a packet of channels.
  template <class M>
  [[gnu::always_inline]] static void expand_rows(Packet<Scalar> const* d, PointValues<Scalar> const& to,
                                                 Index packet, Index t) {
    Scalar* const values = to.at(0, packet, t);
#pragma GCC unroll 8
    for (int i = 0; i < points; ++i) {
      Packet<Scalar> row[points];
      M::expand(d + i * M::cols, row);
#pragma GCC unroll 8
      for (int j = 0; j < points; ++j) store(values + (i * points + j) * to.point_step, row[j]);
    }
  }

  /// V = B^T d B for `count` tiles from the first-th on, of images U: channels x (sites images).
  static void input(Tiles<m> const& tiles, MatrixView<Scalar const> U, Index first, Index count,
                    Scalar const* zeros, PointValues<Scalar> const& V) {
    constexpr Index L = lanes<Scalar>;
    Window const& w = tiles.window;
    for (Index t = 0; t < count; ++t) {
      auto const place = tiles[first + t];
      Scalar const*
          site[points * points];  // where the values of the tile stand, the zeros around the image too
      for (Index i = 0; i < points; ++i)
        for (Index j = 0; j < points; ++j) {
          Index const y = place.y + i - w.padding, x = place.x + j - w.padding;
          bool const inside = 0 <= y && y < w.height && 0 <= x && x < w.width;
          site[i * points + j] =
              inside ? U.data() + (place.image * w.sites() + y * w.width + x) * U.stride() : zeros;
        }
      for (Index p = 0; p < V.packets; ++p) {
        Index const c = p * L;
        Packet<Scalar> d[points * points];
        if (c + L <= U.rows())
#pragma GCC unroll 8
          for (int j = 0; j < points; ++j) {
            Packet<Scalar> column[points];
#pragma GCC unroll 8
            for (int i = 0; i < points; ++i) column[i] = load(site[i * points + j] + c);
            Input::template expand<1, points>(column, d + j);
          }
        else
          for (int j = 0; j < points; ++j) {
            Packet<Scalar> column[points];
            for (int i = 0; i < points; ++i) column[i] = load(site[i * points + j] + c, U.rows() - c);
            Input::template expand<1, points>(column, d + j);
          }
        expand_rows<Input>(d, V, p, t);
      }
    }
  }

  /// Y = sign A P A^T, the adjoint of the output transform, for `count` tiles of P: channels x (sites images).
  static void cotangent(Tiles<m> const& tiles, MatrixView<Scalar const> P, Scalar sign, Index first,
                        Index count, Scalar const* zeros, PointValues<Scalar> const& Y) {
    constexpr Index L = lanes<Scalar>;
    Window const& w = tiles.window;
    for (Index t = 0; t < count; ++t) {
      auto const place = tiles[first + t];
      Scalar const* site[m * m];
      for (Index i = 0; i < m; ++i)
        for (Index j = 0; j < m; ++j) {
          Index const y = place.y + i, x = place.x + j;
          site[i * m + j] =
              y < w.out_height() && x < w.out_width()
                  ? P.data() + (place.image * w.out_sites() + y * w.out_width() + x) * P.stride()
                  : zeros;
        }
      for (Index p = 0; p < Y.packets; ++p) {
        Index const c = p * L, n = std::min(L, P.rows() - c);
        Packet<Scalar> d[points * m];
#pragma GCC unroll 4
        for (int j = 0; j < m; ++j) {
          Packet<Scalar> column[m];
#pragma GCC unroll 4
          for (int i = 0; i < m; ++i) {
            Scalar const* const from = site[i * m + j] + c;
            column[i] = multiply(broadcast(sign), n == L ? load(from) : load(from, n));
          }
          Output::template expand<1, m>(column, d + j);
        }
        expand_rows<Output>(d, Y, p, t);
      }
    }
  }

  /// emit(v, channel, site, n) for the sites of `count` tiles, v = A^T Y A.
  template <class Emit>
  static void output(Tiles<m> const& tiles, PointValues<Scalar> const& Y, Index first, Index count,
                     Index channels, Emit const& emit) {
    constexpr Index L = lanes<Scalar>;
    Window const& w = tiles.window;
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

/// The weights of a window of stride 1 with a 3 x 3 kernel, or of its adjoint, which is such a window too, at all points, packed for
/// RegisterTile: [point][panel][channel read][row of the panel].
template <class Scalar, int m>
struct WinogradKernel {
  static constexpr int points = Winograd<m>::points;
  bool adjoint;
  Window window;                 ///< that slides over what is read
  Index out_channels, channels;  ///< written and read
  Scalar* data = nullptr;

  WinogradKernel(Window const& w, Index k, Index c, Op op)
      : adjoint(op == Op::transposed),
        window(adjoint ? Window{w.out_height(), w.out_width(), 3, 1, 2 - w.padding} : w),
        out_channels(adjoint ? c : k),
        channels(adjoint ? k : c) {}

  Index out_packets() const { return (out_channels + lanes<Scalar> - 1) / lanes<Scalar>; }
  /// Scalars from one point to the next, and in all.
  Index step() const { return out_packets() * lanes<Scalar> * channels; }
  Index size() const { return points * points * step(); }
};

/// G W G^T of the weights W: k x (9 channels), on a backend's threads or on a lane.
template <class Where, class Scalar, int m>
void pack_weights(Where& where, WinogradKernel<Scalar, m> const& kernel, MatrixView<Scalar const> W) {
  using Kernel = typename WinogradTransforms<m, Scalar>::Kernel;
  constexpr int points = Winograd<m>::points;
  constexpr Index L = lanes<Scalar>;
  Index const c = W.cols() / 9;
  for_each_task(where, kernel.channels, [&](Index i) {
    for_each_panel(kernel.out_packets(), [&]<int rows>(Index panel) {
      for (Index r = 0; r < rows; ++r) {
        Index const o = (panel + r) * L, n = std::min(L, kernel.out_channels - o);
        Packet<Scalar> g[9], half[points * 3];
        for (Index tap = 0; tap < 9; ++tap)
          g[tap] =
              kernel.adjoint ? gather(&W(i, (8 - tap) * c + o), W.stride(), n) : load(&W(o, tap * c + i), n);
        for (int x = 0; x < 3; ++x) Kernel::template expand<3, 3>(g + x, half + x);
        Scalar* const to = kernel.data + panel * L * kernel.channels + (i * rows + r) * L;
        for (int y = 0; y < points; ++y) {
          Packet<Scalar> at[points];
          Kernel::expand(half + y * 3, at);
          for (int x = 0; x < points; ++x) store(to + (y * points + x) * kernel.step(), at[x]);
        }
      }
    });
  });
}

/// Y = W V at every point.
template <class Scalar, int m>
void multiply_points(WinogradKernel<Scalar, m> const& kernel, PointValues<Scalar> const& V,
                     PointValues<Scalar> const& Y) {
  constexpr Index L = lanes<Scalar>;
  constexpr int points = Winograd<m>::points * Winograd<m>::points;
  for (Index point = 0; point < points; ++point)
    for_each_panel(kernel.out_packets(), [&]<int rows>(Index panel) {
      Scalar const* const A = kernel.data + point * kernel.step() + panel * L * kernel.channels;
      for_each_tile(V.tiles, [&]<int cols>(Index t) {
        RegisterTile<Scalar, rows, cols> sums;
        sums.clear();
        Scalar const *a = A, *v = V.at(point, 0, t);
        Index c = 0;
        for (; c + L <= kernel.channels; c += L, a += L * rows * L, v += V.packet_step)
          sums.add_product(L, a, L, rows * L, v, 1, L);
        if (c < kernel.channels) sums.add_product(kernel.channels - c, a, L, rows * L, v, 1, L);
        Scalar* const y = Y.at(point, panel, t);
        sums.for_each([&](Packet<Scalar> s, Index i, Index j)
                          __attribute__((always_inline)) { store(y + i * Y.packet_step + j * L, s); });
      });
    });
}

/// emit(v, channel, site, n) for the entries of V = K U. Memory of the lane: points^2 (channels + out_channels) tiles_at_once scalars.
template <class Scalar, int m, class Emit>
void winograd_each(CpuLane<Scalar>& lane, WinogradKernel<Scalar, m> const& kernel, MatrixView<Scalar const> U,
                   Emit const& emit) {
  using Transforms = WinogradTransforms<m, Scalar>;
  constexpr int points = Transforms::points * Transforms::points;
  auto const frame = lane.frame();
  Tiles<m> const tiles{kernel.window};
  Index const total = U.cols() / kernel.window.sites() * tiles.per_image();
  Index const most = std::min(total, tiles_at_once);
  PointValues<Scalar> const V(lane, points, kernel.channels, most),
      Y(lane, points + 1, kernel.out_channels, most);
  auto const zeros = lane.scratch(kernel.channels + lanes<Scalar>, 1);
  std::fill_n(zeros.data(), zeros.rows(), Scalar(0));
  for (Index first = 0; first < total; first += tiles_at_once) {
    Index const count = std::min(tiles_at_once, total - first);
    Transforms::input(tiles, U, first, count, zeros.data(), V);
    multiply_points(kernel, V, Y);
    Transforms::output(tiles, Y, first, count, kernel.out_channels, emit);
  }
}

/// Where the gradient of W: k x (9 channels) is summed before it is transformed back: a matrix for each point side by side, whose rows
/// and columns are filled up to whole packets.
template <class Scalar, int m>
struct WinogradGradient {
  static constexpr int points = Winograd<m>::points;
  Index k, channels;

  static Index filled(Index n) { return (n + lanes<Scalar> - 1) / lanes<Scalar> * lanes<Scalar>; }
  Index rows() const { return filled(k); }
  Index cols() const { return points * points * filled(channels); }
};

/// sum_p += Y_p V_p^T at every point p, over the first `count` tiles.
template <int m, class Scalar>
void add_point_products(PointValues<Scalar> const& Y, PointValues<Scalar> const& V, Index count,
                        MatrixView<Scalar> sum) {
  constexpr int points = Winograd<m>::points * Winograd<m>::points;
  constexpr Index L = lanes<Scalar>;
  constexpr int width = static_cast<int>(std::min<Index>(L, many_registers ? 8 : 4));
  Index const channels = sum.cols() / points;
  for (Index point = 0; point < points; ++point)
    for_each_panel(Y.packets, [&]<int rows>(Index panel) {
      for (Index i = 0; i < channels; i += width) {
        RegisterTile<Scalar, rows, width> tile;
        tile.clear();
        tile.add_product(count, Y.at(point, panel, 0), Y.packet_step, L, V.at(point, i / L, 0) + i % L, L, 1);
        Scalar* const to = sum.data() + (point * channels + i) * sum.stride() + panel * L;
        tile.for_each([&](Packet<Scalar> v, Index r, Index j) __attribute__((always_inline)) {
          Scalar* const s = to + j * sum.stride() + r * L;
          store(s, add(load<Scalar>(s), v));
        });
      }
    });
}

/// sum_p += sign (A P A^T)_p (B^T U B)_p^T at every point p, over all tiles of all images.
template <int m, class Scalar>
void add_winograd_gradient(CpuLane<Scalar>& lane, Window const& window, MatrixView<Scalar const> P,
                           MatrixView<Scalar const> U, Scalar sign, MatrixView<Scalar> sum) {
  using Transforms = WinogradTransforms<m, Scalar>;
  constexpr int points = Winograd<m>::points * Winograd<m>::points;
  auto const frame = lane.frame();
  Tiles<m> const tiles{window};
  Index const total = U.cols() / window.sites() * tiles.per_image(), most = std::min(total, tiles_at_once);
  PointValues<Scalar> const V(lane, points, U.rows(), most), Y(lane, points + 1, P.rows(), most);
  auto const zeros = lane.scratch(std::max(U.rows(), P.rows()) + lanes<Scalar>, 1);
  std::fill_n(zeros.data(), zeros.rows(), Scalar(0));
  for (Index first = 0; first < total; first += tiles_at_once) {
    Index const count = std::min(tiles_at_once, total - first);
    Transforms::cotangent(tiles, P, sign, first, count, zeros.data(), Y);
    Transforms::input(tiles, U, first, count, zeros.data(), V);
    add_point_products<m>(Y, V, count, sum);
  }
}

/// W_bar += G^T sum G
template <int m, class Scalar>
void finish_winograd_gradient(Cpu<Scalar>& backend, MatrixView<Scalar const> sum, MatrixView<Scalar> W_bar) {
  using Kernel = typename WinogradTransforms<m, Scalar>::Kernel;
  constexpr int points = Winograd<m>::points;
  constexpr Index L = lanes<Scalar>;
  Index const channels = W_bar.cols() / 9, step = sum.cols() / (points * points) * sum.stride();
  for_each_task(backend, channels, [&](Index i) {
    for (Index o = 0; o < W_bar.rows(); o += L) {
      Scalar const* const from = sum.data() + i * sum.stride() + o;
      Packet<Scalar> half[points * 3];
      for (int y = 0; y < points; ++y) {
        Packet<Scalar> at[points];
        for (int x = 0; x < points; ++x) at[x] = load(from + (y * points + x) * step);
        Kernel::contract(at, half + y * 3);
      }
      for (int x = 0; x < 3; ++x) {
        Packet<Scalar> g[3];
        Kernel::template contract<3>(half + x, g);
        for (int y = 0; y < 3; ++y) {
          alignas(64) Scalar entries[L];
          store(entries, g[y]);
          Scalar* const to = &W_bar(o, (y * 3 + x) * channels + i);
          for (Index l = 0; l < std::min(L, W_bar.rows() - o); ++l) to[l] += entries[l];
        }
      }
    }
  });
}

}  // namespace detrame::detail
