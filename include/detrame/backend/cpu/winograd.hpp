// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "detrame/backend/cpu/product.hpp"
#include "detrame/backend/cpu/winograd_transforms.hpp"

/// Cross-correlations with 3 x 3 kernels by Winograd's algorithm: products at all points.               (W1)
namespace detrame::inline DETRAME_ABI::detail {

/// The weights of a window of stride 1 with a 3 x 3 kernel, or of its adjoint, which is such a window too, at
/// all points, packed for RegisterTile: [point][panel][channel read][row of the panel].
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
  for_each_task(where, kernel.channels, (points * points + 9) * kernel.out_channels, [&](Index i) {
    for_each_panel(kernel.out_packets(), [&](Index panel, Index rows) {
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
    for_each_panel(kernel.out_packets(), [&](Index panel, Index packets) {
      Scalar const* const A = kernel.data + point * kernel.step() + panel * L * kernel.channels;
      for_each_tile(V.tiles, [&](Index t, Index count) {
        with_tile_size(packets, count, [&]<int rows, int cols>() {
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
    });
}

/// emit(v, channel, site, n) for the entries of V = K U. Memory of the lane: points^2 (channels +
/// out_channels) tiles_at_once scalars.
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
  Scalar const* const zeros = Transforms::zeros(lane, U.stride());
  for (Index first = 0; first < total; first += tiles_at_once) {
    Index const count = std::min(tiles_at_once, total - first);
    Transforms::input(tiles, U, first, count, zeros, V);
    multiply_points(kernel, V, Y);
    Transforms::output(tiles, Y, first, count, kernel.out_channels, emit);
  }
}

/// Where the gradient of W: k x (9 channels) is summed before it is transformed back: a matrix for each point
/// side by side, whose rows and columns are filled up to whole packets.
template <class Scalar, int m>
struct WinogradGradient {
  static constexpr int points = Winograd<m>::points;
  Index k, channels;

  static Index filled(Index n) { return (n + lanes<Scalar> - 1) / lanes<Scalar> * lanes<Scalar>; }
  Index rows() const { return filled(k); }
  Index cols() const { return points * points * filled(channels); }
};

/// sum_p += sign Y_p V_p^T at every point p, over the first `count` tiles.
template <int m, class Scalar>
void add_point_products(PointValues<Scalar> const& Y, PointValues<Scalar> const& V, Index count, Scalar sign,
                        MatrixView<Scalar> sum) {
  constexpr int points = Winograd<m>::points * Winograd<m>::points;
  constexpr Index L = lanes<Scalar>;
  constexpr int width = static_cast<int>(std::min<Index>(L, many_registers ? 8 : 4));
  Index const channels = sum.cols() / points;
  for (Index point = 0; point < points; ++point)
    for_each_panel(Y.packets, [&](Index panel, Index packets) {
      with_constant<tile_rows, 1>(packets, [&]<int rows>() {
        for (Index i = 0; i < channels; i += width) {
          RegisterTile<Scalar, rows, width> tile;
          tile.clear();
          tile.add_product(count, Y.at(point, panel, 0), Y.packet_step, L, V.at(point, i / L, 0) + i % L, L,
                           1);
          Scalar* const to = sum.data() + (point * channels + i) * sum.stride() + panel * L;
          tile.for_each([&](Packet<Scalar> v, Index r, Index j) __attribute__((always_inline)) {
            Scalar* const s = to + j * sum.stride() + r * L;
            store(s, multiply_add(broadcast(sign), v, load<Scalar>(s)));
          });
        }
      });
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
  Scalar const* const zeros = Transforms::zeros(lane, std::max(U.stride(), P.stride()));
  for (Index first = 0; first < total; first += tiles_at_once) {
    Index const count = std::min(tiles_at_once, total - first);
    Transforms::cotangent(tiles, P, first, count, zeros, Y);
    Transforms::input(tiles, U, first, count, zeros, V);
    add_point_products<m>(Y, V, count, sign, sum);
  }
}

/// W_bar += G^T sum G
template <int m, class Scalar>
void finish_winograd_gradient(Cpu<Scalar>& backend, MatrixView<Scalar const> sum, MatrixView<Scalar> W_bar) {
  using Kernel = typename WinogradTransforms<m, Scalar>::Kernel;
  constexpr int points = Winograd<m>::points;
  constexpr Index L = lanes<Scalar>;
  Index const channels = W_bar.cols() / 9, step = sum.cols() / (points * points) * sum.stride();
  for_each_task(backend, channels, (points * points + 9) * W_bar.rows(), [&](Index i) {
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

}  // namespace detrame::inline DETRAME_ABI::detail
