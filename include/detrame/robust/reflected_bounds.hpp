// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <type_traits>

#include "detrame/layer/normalised_dense.hpp"
#include "detrame/layer/pixel_unshuffle.hpp"
#include "detrame/layer/reflected_update.hpp"
#include "detrame/robust/dictionary_bounds.hpp"
#include "detrame/robust/linear_bounds.hpp"

/// What is proved of reflected layers and what stands beside them in certified networks.           (L6) (R3)
namespace detrame::inline DETRAME_ABI {

namespace detail {

/// The largest eigenvalue of S^{-1/2} D^T D S^{-1/2} from above, S = diag(2 / r) as the layer has it: that of
/// a matrix where atoms at two positions do not overlap, else by sums of magnitudes, the largest of
/// sum_j |<d_i, d_j moved>| r_i / 2 over atoms i and all moves. D_T: k x (taps m).                       (L6)
template <Backend B>
double share_of_step(B& backend, HostMatrix<double> const& D_T, HostMatrix<double> const& r,
                     Window const& w) {
  Index const k = D_T.rows(), m = D_T.cols() / w.taps(), K = w.kernel;
  if (K <= w.stride) {
    double const norm = window_norm_from_above(
        backend,
        host_matrix<double>(k, D_T.cols(),
                            [&](Index i, Index j) { return std::sqrt(r(i, 0) / 2) * D_T(i, j); }),
        1, 1, 16);
    return above(norm * norm, 4);
  }
  double largest = 0, eps = std::numeric_limits<double>::epsilon();
  Index const reach = (K - 1) / w.stride * w.stride;
  for (Index i = 0; i < k; ++i) {
    double sum = 0, terms = 0;
    for (Index j = 0; j < k; ++j)
      for (Index dy = -reach; dy <= reach; dy += w.stride)
        for (Index dx = -reach; dx <= reach; dx += w.stride) {
          double g = 0;
          for (Index y = std::max<Index>(0, dy); y < std::min(K, K + dy); ++y)
            for (Index x = std::max<Index>(0, dx); x < std::min(K, K + dx); ++x)
              for (Index c = 0; c < m; ++c) {
                double const product = D_T(i, (y * K + x) * m + c) * D_T(j, ((y - dy) * K + x - dx) * m + c);
                g += product;
                terms += std::abs(product);
              }
          sum += std::abs(g);
        }
    raise(largest, (sum + static_cast<double>(D_T.cols() + k + 8) * eps * terms) * r(i, 0) / 2);
  }
  return above(largest, static_cast<double>(k) * 16);
}

/// y = x - D a of a code a, in |.|_2: with |a| <= size, a off by error, the magnitudes m of D and the share w
/// of |a| by which D a is off.
template <class Scalar>
Affine reflected_error(Affine size, Affine error, double norm, double m, double w) {
  return norm * error + w * (size + error) + gamma<Scalar>(4) * (m * (size + error) + Affine{1, 0});
}

}  // namespace detail

/// 1 where the step that the layer has is one; 1 + 2 t (1 + t) where D^T D <= (1 + t) S, t what rounding of
/// its S leaves.                                                                                         (L6)
template <Index k, Index K, class Step, int T, class... Choices>
struct Guarantee<ReflectedConvolutionalDictionary<k, K, Unrolled<Step, Unroll<T>>, Choices...>> {
  template <class L>
  static Certified<double> lipschitz(typename L::Backend& backend, L const&,
                                     typename L::Parameters const& theta) {
    auto const tied = numbers<L>(backend, theta);
    double const share = detail::share_of_step(backend, tied.D_T, tied.r, L::window);
    if (!std::isfinite(share)) return detail::none_for<L>("its parameters give no finite bound");
    double const t = std::max(share - 1, 0.);
    return t == 0 ? 1. : detail::above(1 + 2 * t * (1 + t));
  }

  template <class L>
  static Certified<Deviation> deviation(typename L::Backend& backend, L const&,
                                        typename L::Parameters const& theta) {
    using Scalar = typename L::Backend::Scalar;
    using detail::Affine;
    constexpr Window w = L::window;
    constexpr Shape in = L::input;
    auto const tied = numbers<L>(backend, theta);
    auto const of_code = host_matrix<double>(k, tied.D_T.cols(),
                                             [&](Index i, Index j) { return tied.r(i, 0) * tied.D_T(i, j); });
    typename L::Arithmetic const arithmetic;
    double const n = std::sqrt(static_cast<double>(w.out_sites()));
    double const m_code = detail::window_magnitude_norm(of_code, K, w.stride),
                 m = detail::window_magnitude_norm(tied.D_T, K, w.stride),
                 w_code = detail::rounding_of_product<Scalar>(arithmetic, of_code, K, w.stride),
                 w_back = detail::rounding_of_product<Scalar>(arithmetic, adjoint<L>(tied.D_T),
                                                              adjoint_kernel<L>, 1),
                 constant = detail::above(n * detail::length_from_above(k, [&](Index i) {
                                            return tied.r(i, 0) * tied.shift(i, 0);
                                          }));
    double const sums = detail::gamma<Scalar>(static_cast<double>(k * w.taps()) + 8) * m,
                 few = detail::gamma<Scalar>(6),
                 underflow = 16 * (static_cast<double>((k + in.channels) * w.taps()) + 16) * (1 + m) *
                             (1 + m_code) * n * std::sqrt(static_cast<double>(k + in.size())) *
                             detail::lost<Scalar>();
    Affine const size{m_code, constant};
    Affine const error = Affine{w_code, underflow} + few * size;
    Affine const all =
        detail::reflected_error<Scalar>(size, error, m, m, std::max(w_back, sums)) + Affine{0, underflow};
    double const of_r = 1 + detail::length_of(tied.r);
    return detail::finite<L>(Deviation{.relative = detail::above(all.slope, 64),
                                       .absolute = detail::above(all.offset, 64),
                                       .range = detail::above((1 + detail::growth_of_image(arithmetic) + m +
                                                               (w_code + w_back) / detail::gamma<Scalar>(1)) *
                                                              (2 + m + of_r + size.slope + size.offset))});
  }

 private:
  struct Numbers {
    HostMatrix<double> D_T, shift, r;
  };
  template <class L>
  static Numbers numbers(typename L::Backend& backend, typename L::Parameters const& theta) {
    auto const tied = L::tied(backend, theta);
    return {detail::doubles_of(backend, tied->D_T), detail::doubles_of(backend, tied->shift),
            detail::doubles_of(backend, tied->scale)};
  }
  /// D as a window of its own, where Winograd's algorithm takes it so; else a matrix that says nothing.
  template <class L>
  static constexpr bool is_direct = std::is_same_v<typename L::Arithmetic, Direct>;
  template <class L>
  static constexpr Index adjoint_kernel = is_direct<L> ? 1 : 3;
  template <class L>
  static HostMatrix<double> adjoint(HostMatrix<double> const& D_T) {
    if constexpr (is_direct<L>) {
      return HostMatrix<double>(1, 1);
    } else {
      Index const m = D_T.cols() / 9;
      return host_matrix<double>(m, 9 * k, [&](Index c, Index j) { return D_T(j % k, (8 - j / k) * m + c); });
    }
  }
};

/// 1: M_D is the one of the exact problem. |D (u - u*)| <= |r| / (2 sqrt(s)), whatever D is.        (L6) (R3)
template <Index k, Index K, class... Choices>
struct Guarantee<ReflectedConvolutionalDictionary<k, K, Exact, Choices...>> {
  template <class L>
  static Certified<double> lipschitz(typename L::Backend& backend, L const&,
                                     typename L::Parameters const& theta) {
    if (!(detail::modulus_from_below(backend, theta) > 0))
      return detail::none_for<L>("alpha + beta is not > 0");
    return 1.;
  }

  template <class L>
  static Certified<Deviation> deviation(typename L::Backend& backend, L const&,
                                        typename L::Parameters const& theta) {
    using Scalar = typename L::Backend::Scalar;
    using detail::Affine;
    constexpr Window w = L::window;
    auto const D = detail::doubles_of(backend, theta.D);
    detail::CodeBounds<typename L::CodeLayer> const codes(backend, theta, D);
    if (codes.why != nullptr) return detail::none_for<L>(codes.why);
    double const eps = static_cast<double>(std::numeric_limits<Scalar>::epsilon());
    double const m = detail::window_magnitude_norm(detail::transpose_of(D), w.kernel, w.stride);
    double const sums = 2 * detail::gamma<Scalar>(static_cast<double>(k * w.taps()) + 8) * m;
    // what the judge lets pass; or, of codes that were solved in double, their rounding
    double const image =
        detail::above(1.125 * static_cast<double>(codes.t.roundings) * eps / std::sqrt(codes.s));
    Affine const code = codes.exact + codes.error;
    Affine const all = image * codes.terms + (2 * m * eps) * code + sums * code +
                       detail::gamma<Scalar>(4) * ((2 * m) * code + Affine{1, 0});
    double const underflow = 8 * (static_cast<double>(k * w.taps()) + 8) * (1 + m) *
                             std::sqrt(static_cast<double>(Shape(L::input).size())) * detail::lost<Scalar>();
    return detail::finite<L>(Deviation{
        .relative = detail::above(all.slope, 64),
        .absolute = detail::above(all.offset + underflow, 64),
        .range = detail::above((1 + codes.t.of_u) * (2 + codes.terms.slope + codes.terms.offset) * (2 + m)),
        .may_refuse = true});
  }
};

/// An isometry.
template <Index s>
struct Guarantee<PixelUnshuffle<s>> : detail::Moved {};

/// That of Dense with the rows that the layer computes.
template <Index k>
struct Guarantee<NormalisedDense<k>> {
  template <class L>
  static Certified<double> lipschitz(typename L::Backend& backend, L const&,
                                     typename L::Parameters const& theta) {
    return Guarantee<Dense<k>>::lipschitz(backend, typename L::Linear(), L::normalised(backend, theta));
  }
  template <class L>
  static Certified<Deviation> deviation(typename L::Backend& backend, L const&,
                                        typename L::Parameters const& theta) {
    return Guarantee<Dense<k>>::deviation(backend, typename L::Linear(), L::normalised(backend, theta));
  }
};

}  // namespace detrame::inline DETRAME_ABI
