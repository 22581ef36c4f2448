// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "detrame/backend/concept.hpp"
#include "detrame/core/window.hpp"

namespace detrame::inline DETRAME_ABI {

/// The data of a synthesis problem whose dictionary is a convolution: each atom, a patch, may stand at every
/// position of a window.                                                                          (M1) (K4)
///
///   x = D a:    the sum over positions s and atoms o of a(o, s) times atom o at s
///   a = D^T x:  a(o, s) = <atom o, patch of x at s>
///
/// Shapes    D: (taps m) x k, a column an atom: m channels of each tap, row by row of the window.  d: k x 1.
///           x: m x (sites images).  a: k x (out_sites images).
/// Requires  a window that fits, alpha > 0, beta >= 0, lambda >= 0; `check` says so.
template <Backend B>
struct ConvolutionalSynthesis {
  using Scalar = typename B::Scalar;

  Window window{};
  Matrix<B> D;
  Scalar alpha, beta, lambda;
  Matrix<B> d;

  ConvolutionalSynthesis() = default;
  ConvolutionalSynthesis(Window const& window_, Kept<B> D_, Scalar alpha_, Scalar beta_, Scalar lambda_,
                         Kept<B> d_)
      : window(window_),
        D(std::move(D_.matrix)),
        alpha(alpha_),
        beta(beta_),
        lambda(lambda_),
        d(std::move(d_.matrix)) {}

  /// Of a window: sums and products of two such sizes can be counted.
  static constexpr Index largest_size = Index{1} << 30;

  Index channels() const { return D.rows() / window.taps(); }

  void check(char const* who) const {
    for (Index const size : {window.height, window.width, window.kernel, window.stride, window.padding})
      if (size > largest_size)
        throw DomainError(
            message(who, ": a window has a size of ", size, ", must be at most ", largest_size));
    if (!window.fits())
      throw DomainError(message(who, ": a window of ", window.kernel, " x ", window.kernel, " with stride ",
                                window.stride, " and padding ", window.padding, " does not fit images of ",
                                window.height, " x ", window.width));
    if (D.cols() < 1 || D.rows() < 1 || D.rows() % window.taps() != 0)
      throw ShapeError(message(who, ": D is ", D.rows(), " x ", D.cols(),
                               ", must have an atom and a multiple of ", window.taps(), " rows"));
    if (d.rows() != D.cols() || d.cols() != 1)
      throw ShapeError(message(who, ": d is ", d.rows(), " x ", d.cols(), ", D has ", D.cols(), " atoms"));
    if (!(alpha > Scalar(0))) throw DomainError(message(who, ": alpha = ", alpha, ", must be > 0"));
    require_at_least(who, "beta", beta, Scalar(0));
    require_at_least(who, "lambda", lambda, Scalar(0));
  }
};
template <class M, class Alpha, class Beta, class Lambda, class V>
ConvolutionalSynthesis(Window, M const&, Alpha, Beta, Lambda, V const&)
    -> ConvolutionalSynthesis<typename HomeOf<M>::Backend>;

}  // namespace detrame::inline DETRAME_ABI
