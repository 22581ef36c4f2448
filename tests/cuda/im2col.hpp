// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/cuda/backend.hpp"

/// Convolutions as plain products of cuBLAS, with the matrix that the kernels of backend/cuda/ do not form:
/// what those are compared with. Arguments as in backend/cuda/convolution.hpp; a product is kept as it is.
namespace detrame::im2col {

/// m <- what position q reads of channel c through a tap, 0 where that lies outside; `place` is (tap, c).
template <class Scalar>
struct ReadPatch {
  Window window;
  MatrixView<Scalar const> U;

  DETRAME_HOST_DEVICE void operator()(Index place, Index q, Scalar& m) const {
    Window const& w = window;
    Index const tap = place / U.rows(), site = q % w.out_sites();
    Index const y = site / w.out_width() * w.stride + tap / w.kernel - w.padding;
    Index const x = site % w.out_width() * w.stride + tap % w.kernel - w.padding;
    bool const inside = y >= 0 && y < w.height && x >= 0 && x < w.width;
    m = inside ? U(place % U.rows(), q / w.out_sites() * w.sites() + y * w.width + x) : Scalar(0);
  }
};

/// u <- the sum of what `patches` has at the places that read channel c of site j: the adjoint.
template <class Scalar>
struct AddPatches {
  Window window;
  Index channels;
  MatrixView<Scalar const> patches;

  DETRAME_HOST_DEVICE void operator()(Index c, Index j, Scalar& u) const {
    Window const& w = window;
    Index const site = j % w.sites(), first = j / w.sites() * w.out_sites();
    u = Scalar(0);
    for (Index tap = 0; tap < w.taps(); ++tap) {
      Index const y = site / w.width + w.padding - tap / w.kernel,
                  x = site % w.width + w.padding - tap % w.kernel;
      if (y % w.stride != 0 || x % w.stride != 0) continue;
      Index const row = y / w.stride, col = x / w.stride;
      if (y >= 0 && row < w.out_height() && x >= 0 && col < w.out_width())
        u += patches(tap * channels + c, first + row * w.out_width() + col);
    }
  }
};

/// The patches of U, (taps channels) x (out_sites images), until the innermost frame closes.
template <class Scalar>
DeviceView<Scalar> patches_of(CudaLane<Scalar>& lane, Window const& window, DeviceView<Scalar const> U) {
  DeviceView<Scalar> const M =
      lane.scratch(window.taps() * U.rows(), U.cols() / window.sites() * window.out_sites());
  each_indexed(lane, ReadPatch<Scalar>{window, U.raw()}, M);
  return M;
}

/// V = K U
template <class Scalar>
void convolve(CudaLane<Scalar>& lane, Window const& window, std::type_identity_t<DeviceView<Scalar const>> W,
              std::type_identity_t<DeviceView<Scalar const>> U, std::type_identity_t<DeviceView<Scalar>> V) {
  auto const frame = lane.frame();
  gemm(lane, 1, W, Op::none, patches_of(lane, window, U), Op::none, 0, V);
}

/// U_bar = K^T P
template <class Scalar>
void convolve_adjoint(CudaLane<Scalar>& lane, Window const& window,
                      std::type_identity_t<DeviceView<Scalar const>> W,
                      std::type_identity_t<DeviceView<Scalar const>> P,
                      std::type_identity_t<DeviceView<Scalar>> U_bar) {
  auto const frame = lane.frame();
  DeviceView<Scalar> const M = lane.scratch(W.cols(), P.cols());  // taps channels x (out_sites images)
  gemm(lane, 1, W, Op::transposed, P, Op::none, 0, M);
  each_indexed(lane, AddPatches<Scalar>{window, U_bar.rows(), M.raw()}, U_bar);
}

/// W_bar += sign d<K U, P> / dW
template <class Scalar>
void add_gradient(CudaLane<Scalar>& lane, Window const& window,
                  std::type_identity_t<DeviceView<Scalar const>> P,
                  std::type_identity_t<DeviceView<Scalar const>> U, std::type_identity_t<Scalar> sign,
                  std::type_identity_t<DeviceView<Scalar>> W_bar) {
  auto const frame = lane.frame();
  add_outer_product(lane, P, patches_of(lane, window, U), sign, W_bar);
}

}  // namespace detrame::im2col
