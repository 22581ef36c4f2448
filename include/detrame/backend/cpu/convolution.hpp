// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/cpu/direct_convolution.hpp"
#include "detrame/backend/cpu/winograd.hpp"

namespace detrame::inline DETRAME_ABI {

/// The weights of a window, or of its adjoint, that serve many products: a kernel for each group of channels.
template <class Kernel>
struct PreparedConvolution {
  Kernel first;
  Index groups = 1;

  PreparedConvolution group(Index g) const {
    PreparedConvolution out{first, 1};
    out.first.data += g * first.size();
    return out;
  }
};

namespace detail {
template <class Scalar, class Arithmetic>
struct KernelBy;
template <class Scalar>
struct KernelBy<Scalar, Direct> {
  using type = DirectKernel<Scalar>;
};
template <class Scalar, int m>
struct KernelBy<Scalar, Winograd<m>> {
  using type = WinogradKernel<Scalar, m>;
};

template <class Scalar, class Emit>
void kernel_each(CpuLane<Scalar>& lane, DirectKernel<Scalar> const& K, MatrixView<Scalar const> U,
                 Emit const& emit) {
  direct_each(lane, K, U, emit);
}
template <class Scalar, int m, class Emit>
void kernel_each(CpuLane<Scalar>& lane, WinogradKernel<Scalar, m> const& K, MatrixView<Scalar const> U,
                 Emit const& emit) {
  winograd_each(lane, K, U, emit);
}
}  // namespace detail

template <class Arithmetic, class Where>
auto prepare_convolution(Arithmetic, Where& where, Window const& window,
                         std::type_identity_t<MatrixView<typename Where::Scalar const>> W, Op op,
                         Index groups = 1) {
  using Kernel = typename detail::KernelBy<typename Where::Scalar, Arithmetic>::type;
  DETRAME_ASSERT(window.fits() && W.cols() % (groups * window.taps()) == 0);
  DETRAME_ASSERT((std::is_same_v<Arithmetic, Direct> || (window.kernel == 3 && window.stride == 1)));
  Index const cols = W.cols() / groups;
  PreparedConvolution<Kernel> out{Kernel(window, W.rows(), cols / window.taps(), op), groups};
  out.first.data = detail::lane_of(where).scratch(groups * out.first.size(), 1).data();
  for (Index g = 0; g < groups; ++g)
    detail::pack_weights(where, out.group(g).first, W.middle_cols(g * cols, cols));
  return out;
}

template <class Kernel, class Scalar, class F, class... Args>
void convolve_each(CpuLane<Scalar>& lane, PreparedConvolution<Kernel> const& K,
                   std::type_identity_t<MatrixView<Scalar const>> U, F const& f, Args&&... args) {
  DETRAME_ASSERT(K.groups == 1 && K.first.channels == U.rows());
  detail::kernel_each(lane, K.first, U, detail::epilogue<Scalar>(f, args...));
}

/// What the gradients of `groups` windows are summed in.
template <class Arithmetic, class Scalar>
struct ConvolutionGradient {
  MatrixView<Scalar> sum;
  Index groups;
};

template <class Scalar>
ConvolutionGradient<Direct, Scalar> convolution_gradient(Direct, Cpu<Scalar>&,
                                                         std::type_identity_t<MatrixView<Scalar>> W_bar,
                                                         Index groups = 1) {
  return {W_bar, groups};
}
template <int m, class Scalar>
ConvolutionGradient<Winograd<m>, Scalar> convolution_gradient(Winograd<m>, Cpu<Scalar>& backend,
                                                              std::type_identity_t<MatrixView<Scalar>> W_bar,
                                                              Index groups = 1) {
  detail::WinogradGradient<Scalar, m> const shape{W_bar.rows(), W_bar.cols() / (9 * groups)};
  auto const sum = backend.lane().scratch(shape.rows(), groups * shape.cols());
  each(backend.lane(), formula::Fill<Scalar>{Scalar(0)}, sum);
  return {sum, groups};
}

template <class Scalar>
void add_convolution_gradient(Direct, CpuLane<Scalar>& lane, Window const& window,
                              std::type_identity_t<MatrixView<Scalar const>> P,
                              std::type_identity_t<MatrixView<Scalar const>> U,
                              std::type_identity_t<Scalar> sign,
                              std::type_identity_t<MatrixView<Scalar>> sum_g) {
  DETRAME_ASSERT(window.fits() && sum_g.rows() == P.rows() && sum_g.cols() == window.taps() * U.rows());
  detail::add_direct_gradient<Scalar>(lane, window, P, U, sign, sum_g);
}
template <int m, class Scalar>
void add_convolution_gradient(Winograd<m>, CpuLane<Scalar>& lane, Window const& window,
                              std::type_identity_t<MatrixView<Scalar const>> P,
                              std::type_identity_t<MatrixView<Scalar const>> U,
                              std::type_identity_t<Scalar> sign,
                              std::type_identity_t<MatrixView<Scalar>> sum_g) {
  detail::add_winograd_gradient<m, Scalar>(lane, window, P, U, sign, sum_g);
}

template <class Scalar>
void finish_gradient(Cpu<Scalar>&, ConvolutionGradient<Direct, Scalar> const&,
                     std::type_identity_t<MatrixView<Scalar>>) {}
template <int m, class Scalar>
void finish_gradient(Cpu<Scalar>& backend, ConvolutionGradient<Winograd<m>, Scalar> const& gradient,
                     std::type_identity_t<MatrixView<Scalar>> W_bar) {
  Index const cols = W_bar.cols() / gradient.groups, sum_cols = gradient.sum.cols() / gradient.groups;
  for (Index g = 0; g < gradient.groups; ++g)
    detail::finish_winograd_gradient<m, Scalar>(backend, gradient.sum.middle_cols(g * sum_cols, sum_cols),
                                                W_bar.middle_cols(g * cols, cols));
}

}  // namespace detrame::inline DETRAME_ABI
