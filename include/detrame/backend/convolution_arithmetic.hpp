// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <type_traits>

#include "detrame/core/abi.hpp"

/// How a 3 x 3 cross-correlation is computed: a type, because it decides the rounding of a result.       (W1)
/// A backend may take one that rounds less, and says so: Cuda sums directly, whatever is named.
namespace detrame::inline DETRAME_ABI {

/// Every product as it stands in the formula.
struct Direct {};

/// Winograd's minimal filtering F(m x m, 3 x 3): m x m sites at once from n x n values of the image, with n^2
/// products in place of 9 m^2, n = m + 2.
///
///   v = A^T ((G g G^T) o (B^T d B)) A,   A: n x m,  G = N^{-1} K: n x 3,  B^T: n x n
///
/// Row p of A is (1, p, p^2, ...) at the point p, that of K the same, that of B^T the coefficients of the
/// polynomial that vanishes at all other finite points, N_p its value at p; the last rows belong to
/// p = infinity. In one dimension they satisfy
///
///   sum_p A_pi K_pk B^T_pj / N_p = 1[j = i + k].
///
/// Rows of p and -p follow one another. All entries are exact in binary.
/// Source    docs/maths.md (W1), (W2)
/// Tested    tests/backend/winograd_test.cpp
template <int m>
struct Winograd;

/// Points 0, 1, -1, infinity: 16 products for 36.
template <>
struct Winograd<2> {
  static constexpr int sites = 2, points = 4;
  static constexpr double A[4][2] = {{1, 0}, {1, 1}, {1, -1}, {0, 1}};
  static constexpr double K[4][3] = {{1, 0, 0}, {1, 1, 1}, {1, -1, 1}, {0, 0, 1}};
  static constexpr double B_T[4][4] = {{-1, 0, 1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, -1, 0, 1}};
  static constexpr double N[4] = {-1, 2, 2, 1};
};

/// Points 0, 3/4, -3/4, 3/2, -3/2, infinity: 36 products for 144. These points lose a quarter of what 0, 1,
/// -1, 2, -2 do.
template <>
struct Winograd<4> {
  static constexpr int sites = 4, points = 6;
  static constexpr double A[6][4] = {{1, 0, 0, 0},
                                     {1, 3 / 4., 9 / 16., 27 / 64.},
                                     {1, -3 / 4., 9 / 16., -27 / 64.},
                                     {1, 3 / 2., 9 / 4., 27 / 8.},
                                     {1, -3 / 2., 9 / 4., -27 / 8.},
                                     {0, 0, 0, 1}};
  static constexpr double K[6][3] = {{1, 0, 0},           {1, 3 / 4., 9 / 16.}, {1, -3 / 4., 9 / 16.},
                                     {1, 3 / 2., 9 / 4.}, {1, -3 / 2., 9 / 4.}, {0, 0, 1}};
  static constexpr double B_T[6][6] = {
      {81 / 64., 0, -45 / 16., 0, 1, 0},      {0, -27 / 16., -9 / 4., 3 / 4., 1, 0},
      {0, 27 / 16., -9 / 4., -3 / 4., 1, 0},  {0, -27 / 32., -9 / 16., 3 / 2., 1, 0},
      {0, 27 / 32., -9 / 16., -3 / 2., 1, 0}, {0, 81 / 64., 0, -45 / 16., 0, 1}};
  static constexpr double N[6] = {81 / 64., -243 / 128., -243 / 128., 243 / 32., 243 / 32., 1};
};

/// The matrices as variables of their own: nvcc writes no member of a dependent type where a
/// template takes a reference.
template <int m>
inline constexpr auto& winograd_A = Winograd<m>::A;
template <int m>
inline constexpr auto& winograd_B_T = Winograd<m>::B_T;

/// G = N^{-1} K
template <int m>
inline constexpr auto winograd_G = [] {
  using W = Winograd<m>;
  std::array<std::array<double, 3>, W::points> G{};
  for (std::size_t p = 0; p < W::points; ++p)
    for (std::size_t k = 0; k < 3; ++k) G[p][k] = W::K[p][k] / W::N[p];
  return G;
}();

/// The columns that a chunk of a large batch should have at least: 32 tiles or more make the products of a
/// point long.
template <class Arithmetic>
inline constexpr std::ptrdiff_t wanted_columns = 1;
template <int m>
inline constexpr std::ptrdiff_t wanted_columns<Winograd<m>> = 32 * m * m;

/// What is taken where nobody chooses: Winograd<4> in float, for 3 x 3 kernels of stride 1 that read eight
/// channels or more (fewer products than that do not pay for the transforms); else Direct.
struct Automatic {};

namespace detail {
template <class Arithmetic, class Scalar, std::ptrdiff_t kernel, std::ptrdiff_t stride,
          std::ptrdiff_t channels>
constexpr auto resolve() {
  constexpr bool minimal = kernel == 3 && stride == 1;
  if constexpr (std::is_same_v<Arithmetic, Automatic>)
    return std::conditional_t<minimal && channels >= 8 && std::is_same_v<Scalar, float>, Winograd<4>,
                              Direct>();
  else {
    static_assert(minimal || std::is_same_v<Arithmetic, Direct>, "Winograd: takes 3 x 3 kernels of stride 1");
    return Arithmetic();
  }
}
}  // namespace detail

/// The arithmetic of a convolution of the given kernel and stride that reads so many channels.
template <class Arithmetic, class Scalar, std::ptrdiff_t kernel, std::ptrdiff_t stride,
          std::ptrdiff_t channels>
using Resolved = decltype(detail::resolve<Arithmetic, Scalar, kernel, stride, channels>());

}  // namespace detrame::inline DETRAME_ABI
