// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/convolution_arithmetic.hpp"
#include "detrame/core/sizes.hpp"
#include "detrame/core/window.hpp"
#include "detrame/operator/concept.hpp"

namespace detrame::inline DETRAME_ABI {

/// Cross-correlations of images, block-diagonal over `groups` of channels: stride 1, zeros outside ("same"
/// padding), an odd kernel.                                                                             (K1)
///
///   v(o, y, x) = sum_{i in o's group, dy, dx} W[o, i, dy, dx] u(i, y + dy - r, x + dx - r)
///   r = (kernel - 1) / 2
///
/// As a matrix of all channels and sites of an image W~ is block-Toeplitz; its diagonal is zero where
/// W[c, c, r, r] = 0.
///
/// `Arithmetic` computes products and gradients: Direct, or Winograd<m>.                                 (W1)
///
/// Shapes    W: kg x (kernel^2 k) with kg = k / groups, a group beside the other; in a group the matrices of
///           the taps, row by row of the kernel.  U, V, P, args: views of k x (sites images).
/// Requires  groups >= 1 divides k, kernel odd (3 for Winograd<m>), an image of a pixel or more; `check`
///           throws DomainError.
/// Ensures   the laws of operator/concept.hpp up to the rounding of Arithmetic; kernel = 1 is DenseBlocks; an
///           image depends on no other.
/// Cost      map, add_gradient: 2 kernel^2 k kg N flops by direct sums. No im2col matrix is formed.
/// Tested    tests/operator/convolutional_blocks_test.cpp
template <class Arithmetic>
struct ConvolutionalBlocksBy {
  Index height, width, kernel;
  Index groups = 1;

  constexpr Index taps() const { return kernel * kernel; }
  constexpr Index weight_rows(Index k) const { return k / groups; }
  constexpr Index weight_cols(Index k) const { return taps() * k; }
  constexpr Index unit() const { return height * width; }
  constexpr Batch batch(Index N) const { return {N, unit(), wanted_columns<Arithmetic>}; }
  constexpr Window window() const { return {height, width, kernel, 1, (kernel - 1) / 2}; }

  void check(char const* who, Index k) const {
    if (height < 1 || width < 1)
      throw DomainError(message(who, ": images of ", height, " x ", width, " pixels, must have one or more"));
    if (kernel < 1 || kernel % 2 == 0)
      throw DomainError(message(who, ": kernel = ", kernel, ", must be odd and >= 1"));
    if (!std::is_same_v<Arithmetic, Direct> && kernel != 3)
      throw DomainError(message(who, ": kernel = ", kernel, ", must be 3 for Winograd's algorithm"));
    if (groups < 1) throw DomainError(message(who, ": groups = ", groups, ", must be >= 1"));
    if (k % groups != 0)
      throw DomainError(
          message(who, ": ", groups, " groups of equal size cannot be made of ", k, " channels"));
    if (!product_of_sizes({kernel, kernel, k}) || !product_of_sizes({height, width, k}))
      throw DomainError(message(who, ": ", k, " channels, a kernel of ", kernel, " and images of ", height,
                                " x ", width, " pixels have more entries than can be counted"));
  }

  /// W~, or W~^T, ready for products.
  template <class Where, class Weights>
  auto prepare(Where& where, Weights const& W, Op op) const {
    return prepare_convolution(Arithmetic(), where, window(), W, op, groups);
  }

  /// f(v_ij, args_ij...) for every entry of V = K U, K as prepared.
  template <class Lane, class Prepared, class Batch, class F, class... Args>
  void map(Lane& lane, Prepared const& K, Batch const& U, F const& f, Args const&... args) const {
    Index const kg = U.rows() / groups;
    for (Index g = 0; g < groups; ++g)
      convolve_each(lane, K.group(g), group_rows(U, g, kg), f, group_rows(args, g, kg)...);
  }

  /// The gradient in steps: what is summed over a batch, a summand, and what becomes of the sum.
  template <Backend B>
  auto gradient(B& backend, View<B> W_bar) const {
    return convolution_gradient(Arithmetic(), backend, W_bar, groups);
  }
  template <class Lane, class Cotangents, class Batch, class Scalar, class View>
  void add_gradient(Lane& lane, Cotangents const& P, Batch const& U, Scalar sign, View const& part) const {
    Index const kg = P.rows() / groups, cols = part.cols() / groups;
    for (Index g = 0; g < groups; ++g)
      add_convolution_gradient(Arithmetic(), lane, window(), group_rows(P, g, kg), group_rows(U, g, kg), sign,
                               part.middle_cols(g * cols, cols));
  }
  template <Backend B, class Gradient>
  void finish(B& backend, Gradient const& gradient, View<B> W_bar) const {
    finish_gradient(backend, gradient, W_bar);
  }

  /// W[c, c, r, r] = 0: the projection on D0.
  template <class Lane, class Weights>
  void zero_diagonal(Lane& lane, Weights const& W) const {
    each_indexed(lane, formula::ZeroDiagonal{W.rows(), taps()}, W);
  }

  /// W~ as a matrix of one image, (k sites) x (k sites), on the host: channels fastest,
  /// then sites row by row.
  template <Backend B>
  HostMatrix<typename B::Scalar> dense(B& backend, ConstView<B> W) const {
    HostMatrix<typename B::Scalar> const weights = to_host(backend, W);  // kg x (taps k)
    Index const k = weights.cols() / taps();
    check("ConvolutionalBlocks", k);
    return host_matrix<typename B::Scalar>(k * unit(), k * unit(), [&](Index i, Index j) {
      Index const place = weight_column(i / k, j / k, i % k, j % k, weights.rows());
      return place < 0 ? typename B::Scalar(0) : weights(i % k % weights.rows(), place);
    });
  }

  /// W of such a matrix: ShapeError where it is not square or not of this image size, DomainError where two
  /// entries that stand for one weight differ, or one that stands for none is not zero. A weight that no pair
  /// of pixels reaches (the image is smaller than the kernel) is 0.
  template <class Scalar>
  HostMatrix<Scalar> from_dense(HostMatrix<Scalar> const& W_tilde) const {
    Index const n = W_tilde.rows();
    if (W_tilde.cols() != n || n % unit() != 0)
      throw ShapeError(message("ConvolutionalBlocks: W_tilde is ", n, " x ", W_tilde.cols(),
                               ", must be square, for images of ", height, " x ", width, " pixels"));
    Index const k = n / unit();
    check("ConvolutionalBlocks", k);
    HostMatrix<Scalar> W(weight_rows(k), weight_cols(k)), seen(weight_rows(k), weight_cols(k));
    for (Index j = 0; j < n; ++j)
      for (Index i = 0; i < n; ++i) {
        Index const place = weight_column(i / k, j / k, i % k, j % k, W.rows()), row = i % k % W.rows();
        if (place < 0 ? W_tilde(i, j) == Scalar(0)
                      : seen(row, place) == Scalar(0) || W(row, place) == W_tilde(i, j)) {
          if (place < 0) continue;
          W(row, place) = W_tilde(i, j);
          seen(row, place) = Scalar(1);
        } else {
          throw DomainError(
              message("ConvolutionalBlocks: W_tilde(", i, ", ", j, ") = ", W_tilde(i, j),
                      place < 0 ? ", must be 0" : ", differs from an entry of the same weight"));
        }
      }
    return W;
  }

  friend bool operator==(ConvolutionalBlocksBy const&, ConvolutionalBlocksBy const&) = default;

 private:
  /// The column of the weight from channel i at site t to channel o at site s, or -1 where there is none.
  Index weight_column(Index s, Index t, Index o, Index i, Index kg) const {
    Index const r = (kernel - 1) / 2, dy = t / width - s / width + r, dx = t % width - s % width + r;
    if (o / kg != i / kg || dy < 0 || dy >= kernel || dx < 0 || dx >= kernel) return -1;
    return o / kg * taps() * kg + (dy * kernel + dx) * kg + i % kg;
  }
};

using ConvolutionalBlocks = ConvolutionalBlocksBy<Direct>;

template <class Arithmetic>
ConvolutionalBlocks direct_sums(ConvolutionalBlocksBy<Arithmetic> const& s) {
  return {s.height, s.width, s.kernel, s.groups};
}

static_assert(Structure<ConvolutionalBlocks> && Structure<ConvolutionalBlocksBy<Winograd<4>>>);

}  // namespace detrame::inline DETRAME_ABI
