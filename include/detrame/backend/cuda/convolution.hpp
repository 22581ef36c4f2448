// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/convolution_arithmetic.hpp"
#include "detrame/backend/cuda/each.hpp"
#include "detrame/backend/cuda/window_factor.hpp"
#include "detrame/backend/formula/entries.hpp"

/// Every arithmetic is the direct sum here: no rounding is larger than an arithmetic allows, that of
/// Winograd's algorithm is smaller.
namespace detrame::inline DETRAME_ABI {

/// The weights of a window, or of its adjoint, that serve many products: a left factor for each of `groups`
/// of channels, side by side. Those of an adjoint have their taps phase by phase.
template <class Scalar>
struct DeviceConvolution {
  Window window;
  Op op;
  DeviceView<Scalar const> A;  ///< channels written x (taps channels read), a group beside the other
  Index groups = 1;

  DeviceConvolution group(Index g) const {
    Index const cols = A.cols() / groups;
    return {window, op, A.middle_cols(g * cols, cols), 1};
  }
};

namespace device {

/// A(c, (g, place of tap, o)) <- W(o, (g, tap, c)): the left factor of an adjoint.
template <class Scalar>
struct TransposeTaps {
  MatrixView<Scalar> A;
  Geometry at;
  Index rows;  ///< of W
  DETRAME_HOST_DEVICE void operator()(Index o, Index j, Scalar w) const {
    Index const c = j % A.rows(), tap = j / A.rows(), taps = at.kernel * at.kernel;
    A(c, (tap / taps * taps + tap_by_phase(static_cast<int>(tap % taps), at)) * rows + o) = w;
  }
};

/// w <- w + sign (the sum of `parts` matrices side by side)
template <class Scalar>
struct AddParts {
  MatrixView<Scalar const> side_by_side;
  Index parts;
  Scalar sign;
  DETRAME_HOST_DEVICE void operator()(Index i, Index j, Scalar& w) const {
    Index const cols = side_by_side.cols() / parts;
    Scalar sum(0);
    for (Index p = 0; p < parts; ++p) sum += side_by_side(i, p * cols + j);
    w += sign * sum;
  }
};

}  // namespace device

template <class Arithmetic, class Where>
auto prepare_convolution(Arithmetic, Where& where, Window const& window,
                         std::type_identity_t<DeviceView<typename Where::Scalar const>> W, Op op,
                         Index groups = 1) {
  using Scalar = typename Where::Scalar;
  DETRAME_ASSERT(window.fits() && W.cols() % (groups * window.taps()) == 0);
  if (op == Op::none) return DeviceConvolution<Scalar>{window, op, W, groups};
  Index const channels = W.cols() / (groups * window.taps());
  CudaLane<Scalar>& lane = device::lane_of(where);
  DeviceView<Scalar> const A = lane.scratch(channels, groups * window.taps() * W.rows());
  each_indexed(lane, device::TransposeTaps<Scalar>{A.raw(), device::Geometry(window), W.rows()}, W);
  return DeviceConvolution<Scalar>{window, op, A, groups};
}

/// Here an adjoint is a product for each phase of the sites,
/// so that none of its terms is 0 for the stride's sake.
template <class Scalar, class F, class... Args>
void convolve_each(CudaLane<Scalar>& lane, DeviceConvolution<Scalar> const& K,
                   std::type_identity_t<DeviceView<Scalar const>> U, F const& f, Args&&... args) {
  Window const& w = K.window;
  DETRAME_ASSERT(K.groups == 1 && K.A.cols() == w.taps() * U.rows());
  [[maybe_unused]] Index const N =
      K.op == Op::none ? U.cols() / w.sites() * w.out_sites() : U.cols() / w.out_sites() * w.sites();
  DETRAME_ASSERT((detail::argument<Scalar>(args).fits(K.A.rows(), N) && ...));
  auto const launch = [&](DeviceView<Scalar const> A, auto const& factor) {
    device::launch_tiled_product(lane, A.raw(), factor, factor.cols(), Index{1}, f,
                                 detail::argument<Scalar>(args)...);
  };
  device::Geometry const at(w);
  if (K.op == Op::none) return launch(K.A, device::WindowFactor<Scalar, false>(at, U.raw()));
  Index first = 0;  // column of A
  for (int py = 0; py < at.stride; ++py)
    for (int px = 0; px < at.stride; ++px) {
      device::Phase const y(py, at.height, at), x(px, at.width, at);
      Index const depth = y.taps * x.taps * U.rows();
      auto const A = K.A.middle_cols(first, depth);
      first += depth;
      if (at.stride == 1)
        launch(A, device::WindowFactor<Scalar, true>(at, U.raw(), y, x));
      else
        launch(A, device::PhaseFactor<Scalar>(at, U.raw(), y, x));
    }
}

/// The gradient of a window is summed in W_bar itself.
template <class Scalar>
struct DeviceConvolutionGradient {
  DeviceView<Scalar> sum;
};

template <class Arithmetic, class Scalar>
DeviceConvolutionGradient<Scalar> convolution_gradient(Arithmetic, Cuda<Scalar>&,
                                                       std::type_identity_t<DeviceView<Scalar>> W_bar,
                                                       Index = 1) {
  return {W_bar};
}

/// Here positions are cut into parts, a function of the shapes alone,
/// whose sums are added one after the other.
template <class Arithmetic, class Scalar>
void add_convolution_gradient(Arithmetic, CudaLane<Scalar>& lane, Window const& window,
                              std::type_identity_t<DeviceView<Scalar const>> P,
                              std::type_identity_t<DeviceView<Scalar const>> U,
                              std::type_identity_t<Scalar> sign,
                              std::type_identity_t<DeviceView<Scalar>> sum_g) {
  using Tile = device::ProductTile;
  DETRAME_ASSERT(window.fits() && sum_g.rows() == P.rows() && sum_g.cols() == window.taps() * U.rows());
  device::GradientFactor<Scalar> const factor(window, U.raw());
  constexpr Index wanted_blocks = 512, least_depth = 256;
  Index const tiles = std::max<Index>(
      (sum_g.rows() + Tile::rows - 1) / Tile::rows * ((sum_g.cols() + Tile::cols - 1) / Tile::cols), 1);
  Index const parts = std::clamp<Index>(wanted_blocks / tiles, 1, std::max<Index>(P.cols() / least_depth, 1));
  auto const frame = lane.frame();
  DeviceView<Scalar> const sums = lane.scratch(sum_g.rows(), parts * sum_g.cols());
  device::launch_tiled_product(lane, P.raw(), factor, sum_g.cols(), parts, formula::Store(), reader(sums));
  each_indexed(lane, device::AddParts<Scalar>{sums.raw(), parts, sign}, sum_g);
}

template <class Scalar>
void finish_gradient(Cuda<Scalar>&, DeviceConvolutionGradient<Scalar> const&,
                     std::type_identity_t<DeviceView<Scalar>>) {}

}  // namespace detrame::inline DETRAME_ABI
