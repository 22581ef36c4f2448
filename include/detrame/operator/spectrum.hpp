// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/operator/symbol.hpp"

namespace detrame::inline DETRAME_ABI {

/// Bounds of a spectrum, from below and from above.
template <class Scalar>
struct SpectralRange {
  Scalar low, high;
  Scalar lowest_seen = 0;  ///< of a symbol: its lowest eigenvalue on the grid, which large images come near
};

namespace detail {

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
/// Where the grid lies on one side of `level` and this range does not, it is refined: cells of frequencies,
/// on each of which Cholesky shows that no eigenvalue comes as near to the level as the range then says.
///
/// Shapes    W as the structure says; height and width are not read.
/// Requires  W[o, i, delta] = W[i, o, -delta]; what is not symmetric has no such range.
/// Ensures   bounds for images of every size. NaN gives NaN.
/// Cost      the eigenvalues of a 2 kg x 2 kg matrix at n^2 / 2 frequencies, on the host, for each group;
///           where it is refined, at most 4 x 4096 Cholesky factors of kg x kg for each side.
/// Tested    tests/metric/convolutional_metric_test.cpp
template <Backend B, class Arithmetic>
SpectralRange<typename B::Scalar> spectral_range(B& backend,
                                                 ConvolutionalBlocksBy<Arithmetic> const& structure,
                                                 ConstView<B> W, std::vector<double> const& scale,
                                                 double level = 0) {
  using Scalar = typename B::Scalar;
  using Entries = detail::Symbol::Entries;
  detail::SymbolGrid const grid(structure.kernel);
  auto all = detail::symbols(backend, structure, W, scale, scale);
  double below = -std::numeric_limits<double>::infinity(), highest = below;  // minus the lowest
  for (auto& symbol : all) {
    if (!std::isfinite(symbol.size)) below = highest = std::numeric_limits<double>::quiet_NaN();
    detail::each_frequency(symbol, grid, [&](Entries const& A, Index kg) {
      auto const range = detail::hermitian_range(backend, A, kg);
      detail::raise(below, symbol.rounding() - range.low);
      detail::raise(highest, range.high + symbol.rounding());
    });
  }
  double const centre = (highest - below) / 2, half = (highest + below) / 2 * grid.inflation;
  double beyond[] = {half - centre, centre + half};  // of -W~ and of W~, from above
  for (int side : {0, 1}) {
    double const sign = side == 0 ? -1 : 1;
    auto const below_c = [sign](Entries H, Index kg, double c) {  // sign A < c I
      for (auto& entry : H) entry *= -sign;
      for (Index i = 0; i < kg; ++i) H[static_cast<std::size_t>(i + i * kg)] += c;
      return detail::shown_definite(H, kg, 0);
    };
    beyond[side] = detail::refined(all, side == 0 ? below : highest, beyond[side], sign * level, below_c);
  }
  return {detail::rounded_down<Scalar>(-beyond[0]), detail::rounded_up<Scalar>(beyond[1]),
          static_cast<Scalar>(-below)};
}

/// The same of W~ itself.
template <Backend B, class Arithmetic>
SpectralRange<typename B::Scalar> spectral_range(B& backend,
                                                 ConvolutionalBlocksBy<Arithmetic> const& structure,
                                                 ConstView<B> W) {
  return spectral_range(backend, structure, W,
                        std::vector<double>(static_cast<std::size_t>(W.cols() / structure.taps()), 1.));
}

/// An upper bound of |diag(left) W~ diag(right)|_2, symmetric or not, whatever the size of the image.    (K3)
///
///   |W~|_2 <= max over the grid of sigma_max(symbol) / cos(pi r / n)^2,   |W~|_2 <= |sum_delta |W_delta| |_2
///
/// the smaller of both; refined as spectral_range is where the grid is below `level` and this bound is not.
///
/// Cost      as spectral_range, and a product of kg x kg matrices at each frequency.
/// Tested    tests/metric/convolutional_metric_test.cpp
template <Backend B, class Arithmetic>
typename B::Scalar norm_bound(B& backend, ConvolutionalBlocksBy<Arithmetic> const& structure, ConstView<B> W,
                              std::vector<double> left, std::vector<double> const& right, double level = 1) {
  using Scalar = typename B::Scalar;
  using Entries = detail::Symbol::Entries;
  double size = 0;
  for (auto const& symbol : detail::symbols(backend, structure, W, left, right))
    detail::raise(size, symbol.size);
  if (!(size > 0) || !std::isfinite(size)) return static_cast<Scalar>(size);
  int exponent = 0;  // squares of what is computed below stay in range
  std::frexp(size, &exponent);
  for (double& l : left) l = std::ldexp(l, -exponent);
  double const threshold = std::ldexp(level, -exponent);

  detail::SymbolGrid const grid(structure.kernel);
  auto all = detail::symbols(backend, structure, W, left, right);
  double const eps = std::numeric_limits<double>::epsilon();
  double seen = 0, magnitudes = 0;
  for (auto& symbol : all) {
    if (structure.kernel == 1) {  // real, and the same at every frequency
      auto const& A = symbol.at(0, 0);
      Index const kg = symbol.channels();
      auto const block = host_matrix<double>(
          kg, kg, [&](Index i, Index j) { return A[static_cast<std::size_t>(i + j * kg)].real(); });
      detail::raise(seen, detail::norm_from_above(backend, block) * (1 + 8 * eps));
      magnitudes = seen;
      continue;
    }
    double const sums = 1 + static_cast<double>(structure.taps() + 8) * eps;
    detail::raise(magnitudes, detail::norm_from_above(backend, symbol.magnitudes()) * sums);
    detail::each_frequency(symbol, grid, [&](Entries const& A, Index kg) {
      auto const H = detail::gram(A, kg);
      double trace = 0;
      for (Index i = 0; i < kg; ++i) trace += H[static_cast<std::size_t>(i + i * kg)].real();
      double const square =
          detail::hermitian_range(backend, H, kg).high + 2 * static_cast<double>(kg) * eps * trace;
      detail::raise(seen, std::sqrt(square) + symbol.rounding());
    });
  }
  double const bound =
      detail::refined(all, seen, std::min(seen * grid.inflation, magnitudes), threshold,
                      [](Entries const& A, Index kg, double c) { return detail::norm_within(A, kg, c); });
  return detail::rounded_up<Scalar>(std::ldexp(bound, exponent));
}

}  // namespace detrame::inline DETRAME_ABI
