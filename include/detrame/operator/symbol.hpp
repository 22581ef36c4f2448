// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <numbers>
#include <vector>

#include "detrame/operator/convolutional_blocks.hpp"

namespace detrame {

/// Bounds of a spectrum, from below and from above.
template <class Scalar>
struct SpectralRange {
  Scalar low, high;
};

namespace detail {

/// Frequencies a direction at which a symbol is sampled, and what the samples can miss by.
struct SymbolGrid {
  Index points;
  double inflation;  ///< cos(pi r / n)^-2

  explicit SymbolGrid(Index kernel) {
    Index const r = (kernel - 1) / 2;
    points = std::max<Index>(16 * r, 1);
    double const c =
        r == 0 ? 1. : std::cos(std::numbers::pi * static_cast<double>(r) / static_cast<double>(points));
    inflation = 1 / (c * c);
  }
};

/// f(A) for the symbol A of group g at each frequency, kg x kg complex; that at minus a frequency is its
/// conjugate, so half of them are visited. A_ol = left_o right_l sum_delta W[o, l, delta] e^{i <omega,
/// delta>}.
template <Backend B, class F>
void each_symbol(B& backend, ConvolutionalBlocks const& structure, ConstView<B> W,
                 std::vector<double> const& left, std::vector<double> const& right, F&& f) {
  auto const weights = to_host(backend, W);  // kg x (taps k)
  Index const kg = weights.rows(), K = structure.kernel, r = (K - 1) / 2;
  SymbolGrid const grid(K);
  std::vector<std::complex<double>> A(static_cast<std::size_t>(kg * kg));
  for (Index g = 0; g < structure.groups; ++g)
    for (Index p = 0; p <= grid.points / 2; ++p)
      for (Index q = 0; q < grid.points; ++q) {
        std::fill(A.begin(), A.end(), 0.);
        for (Index tap = 0; tap < K * K; ++tap) {
          Index const dy = tap / K - r, dx = tap % K - r;
          double const turns = static_cast<double>(p * dy + q * dx) / static_cast<double>(grid.points);
          auto const wave = std::polar(1., 2 * std::numbers::pi * turns);
          for (Index l = 0; l < kg; ++l)
            for (Index o = 0; o < kg; ++o)
              A[static_cast<std::size_t>(o + l * kg)] +=
                  wave * (left[static_cast<std::size_t>(g * kg + o)] *
                          static_cast<double>(weights(o, (g * K * K + tap) * kg + l)) *
                          right[static_cast<std::size_t>(g * kg + l)]);
        }
        f(A, kg);
      }
}

/// The eigenvalues of a Hermitian H = R + i S, from the real symmetric [[R, -S], [S, R]], which has each of
/// them twice.
template <Backend B>
SpectralRange<double> hermitian_range(B& backend, std::vector<std::complex<double>> const& H, Index n) {
  using Scalar = typename B::Scalar;
  auto const at = [&](Index i, Index j) { return H[static_cast<std::size_t>(i % n + j % n * n)]; };
  auto const real = to_device(backend, host_matrix<Scalar>(2 * n, 2 * n, [&](Index i, Index j) {
                                auto const h = at(i, j);
                                double const sign = i < n ? -1 : 1;
                                return static_cast<Scalar>((i < n) == (j < n) ? h.real() : sign * h.imag());
                              }));
  auto const values = symmetric_eigenvalues(backend, ConstView<B>(real));
  double const largest =
      std::max(std::abs(static_cast<double>(values.front())), std::abs(static_cast<double>(values.back())));
  double const rounding =
      static_cast<double>(2 * n) * static_cast<double>(std::numeric_limits<Scalar>::epsilon()) * largest;
  return {static_cast<double>(values.front()) - rounding, static_cast<double>(values.back()) + rounding};
}

}  // namespace detail

/// Where all eigenvalues of a symmetric W~ lie, whatever the size of the image.                          (K3)
///
///   lambda(W~) in c +- h / cos(pi r / n)^2,   c +- h the range of the symbol's eigenvalues on a grid of
///   n x n frequencies, r = (kernel - 1) / 2, n = 16 r
///
/// Shapes    W as the structure says; height and width are not read.
/// Requires  W[o, i, delta] = W[i, o, -delta]; what is not symmetric has no such range.
/// Ensures   bounds for images of every size. NaN gives NaN.
/// Cost      the eigenvalues of a 2 kg x 2 kg matrix at n^2 / 2 frequencies, on the host, for each group.
/// Tested    tests/metric/convolutional_metric_test.cpp
template <Backend B>
SpectralRange<typename B::Scalar> spectral_range(B& backend, ConvolutionalBlocks const& structure,
                                                 ConstView<B> W, std::vector<double> const& scale) {
  using Scalar = typename B::Scalar;
  double low = std::numeric_limits<double>::infinity(), high = -low;
  detail::each_symbol(backend, structure, W, scale, scale, [&](auto const& A, Index kg) {
    auto const range = detail::hermitian_range(backend, A, kg);
    if (!(range.low >= low)) low = range.low;
    if (!(range.high <= high)) high = range.high;
  });
  double const centre = (low + high) / 2,
               half = (high - low) / 2 * detail::SymbolGrid(structure.kernel).inflation;
  return {static_cast<Scalar>(centre - half), static_cast<Scalar>(centre + half)};
}

/// The same of diag(scale) W~ diag(scale), a number a channel, all 1 where none is given.
template <Backend B>
SpectralRange<typename B::Scalar> spectral_range(B& backend, ConvolutionalBlocks const& structure,
                                                 ConstView<B> W) {
  return spectral_range(backend, structure, W,
                        std::vector<double>(static_cast<std::size_t>(W.cols() / structure.taps()), 1.));
}

/// An upper bound of |diag(left) W~ diag(right)|_2, symmetric or not, whatever the size of the image.    (K3)
///
///   |W~|_2 <= max over the grid of sigma_max(symbol) / cos(pi r / n)^2
///
/// Cost      as spectral_range, and a product of kg x kg matrices at each frequency.
/// Tested    tests/metric/convolutional_metric_test.cpp
template <Backend B>
typename B::Scalar norm_bound(B& backend, ConvolutionalBlocks const& structure, ConstView<B> W,
                              std::vector<double> const& left, std::vector<double> const& right) {
  double square = 0;
  std::vector<std::complex<double>> AtA;
  detail::each_symbol(backend, structure, W, left, right, [&](auto const& A, Index kg) {
    AtA.assign(static_cast<std::size_t>(kg * kg), 0.);
    for (Index j = 0; j < kg; ++j)
      for (Index i = 0; i < kg; ++i)
        for (Index o = 0; o < kg; ++o)
          AtA[static_cast<std::size_t>(i + j * kg)] +=
              std::conj(A[static_cast<std::size_t>(o + i * kg)]) * A[static_cast<std::size_t>(o + j * kg)];
    double const largest = detail::hermitian_range(backend, AtA, kg).high;
    if (!(largest <= square)) square = largest;
  });
  return static_cast<typename B::Scalar>(std::sqrt(square) * detail::SymbolGrid(structure.kernel).inflation);
}

}  // namespace detrame
