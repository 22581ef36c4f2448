// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/layer/normalised_dense.hpp"
#include "detrame/layer/paired.hpp"
#include "detrame/layer/pixel_unshuffle.hpp"
#include "detrame/layer/reflected_update.hpp"
#include "detrame/robust/dictionary_bounds.hpp"
#include "detrame/robust/linear_bounds.hpp"
#include "detrame/robust/q_metric_bounds.hpp"

/// What is proved of the layers that certified networks are made of.                           (L3) (L6) (R1)
namespace detrame::inline DETRAME_ABI {

template <Index s>
struct Guarantee<PixelUnshuffle<s>> : detail::Moved {};

namespace detail {

/// The weights of a window's adjoint, which for stride 1 is such a window too: W[o, i, dy, dx] becomes
/// W'[i, o, K - 1 - dy, K - 1 - dx].
inline HostMatrix<double> adjoint_weights(HostMatrix<double> const& W, Index taps) {
  Index const k = W.rows(), m = W.cols() / taps;
  return host_matrix<double>(m, taps * k,
                             [&](Index i, Index j) { return W(j % k, (taps - 1 - j / k) * m + i); });
}

/// The share of |a|_2 by which D a is off, D the adjoint of the window with the weights D_T.
template <class Scalar, class Arithmetic>
double rounding_of_adjoint(Arithmetic, HostMatrix<double> const& D_T, Window const& w, double size) {
  if constexpr (std::is_same_v<Arithmetic, Direct>)
    return above(gamma<Scalar>(static_cast<double>(w.taps() * D_T.rows()) + 8) * size);
  else
    return rounding_of_product<Scalar>(Arithmetic(), adjoint_weights(D_T, w.taps()), w.kernel, w.stride);
}

/// Of a layer x - D a with a code a in the window of D, whose own rounding is e_a for codes of length a, from
/// D_T as it stands and the arithmetic of the product: (|D| e_a + its rounding) and that of the difference.
template <class L, class Arithmetic>
Certified<Deviation> deviation_of_reflection(Arithmetic arithmetic, HostMatrix<double> const& D_T, Affine a,
                                             Affine e_a, double of_codes) {
  using Scalar = typename L::Backend::Scalar;
  constexpr Window w = L::window;
  constexpr Shape in = L::input;
  double const size = magnitude_norm(PhaseSymbol(D_T, w.kernel, w.stride).magnitudes()),
               rounding = rounding_of_adjoint<Scalar>(arithmetic, D_T, w, size), u = gamma<Scalar>(4);
  Affine const computed = a + e_a;
  Affine const e_y = size * e_a + rounding * computed + u * (Affine{1, 0} + (size + rounding) * computed);
  double const terms = static_cast<double>(w.taps() * D_T.rows()) + 8;
  return finite<L>(Deviation{
      .relative = above(e_y.slope, 64),
      .absolute = above(
          e_y.offset + 2 * terms * (1 + size) * std::sqrt(static_cast<double>(in.size())) * lost<Scalar>(),
          64),
      .range = above(
          (2 + size + rounding / gamma<Scalar>(1)) * (2 + computed.slope + computed.offset) + of_codes, 64)});
}

}  // namespace detail

/// 1: S = Theta + alpha + beta dominates D^T D (Majorant), by more than the rounding of 2 / S.           (L6)
/// Of rounding, with c = d + lambda and r = 2 / S as the layer has them, |v| <= |D| |x| and a = r (v - c)_+.
template <Index k, Index K, class Step, int T, class... Choices>
struct Guarantee<ReflectedConvolutionalDictionary<k, K, Unrolled<Step, Unroll<T>>, Choices...>> {
  template <class L>
  static Certified<double> lipschitz(typename L::Backend& backend, L const&,
                                     typename L::Parameters const& theta) {
    auto const r =
        detail::doubles_of(backend, ConstView<typename L::Backend>(L::tied(backend, theta)->scale));
    for (Index i = 0; i < k; ++i)
      if (!std::isfinite(r(i, 0))) return detail::none_for<L>("its parameters give no finite step");
    return 1.;
  }

  template <class L>
  static Certified<Deviation> deviation(typename L::Backend& backend, L const&,
                                        typename L::Parameters const& theta) {
    using Scalar = typename L::Backend::Scalar;
    constexpr Window w = L::window;
    auto const tied = L::tied(backend, theta);
    auto const D_T = detail::doubles_of(backend, ConstView<typename L::Backend>(tied->D_T)),
               r = detail::doubles_of(backend, ConstView<typename L::Backend>(tied->scale)),
               c = detail::doubles_of(backend, ConstView<typename L::Backend>(tied->shift));
    double const longest = detail::largest_magnitude(r);
    double const size = detail::magnitude_norm(detail::PhaseSymbol(D_T, w.kernel, w.stride).magnitudes()),
                 rounding =
                     detail::rounding_of_product<Scalar>(typename L::Arithmetic(), D_T, w.kernel, w.stride),
                 shift = detail::length_of(c, w.out_sites());
    double const lost = 2 * (static_cast<double>(D_T.cols()) + 8) * (1 + size + longest) *
                        std::sqrt(static_cast<double>(k * w.out_sites())) * detail::lost<Scalar>();
    detail::Affine const t{size + rounding, shift}, e_t{rounding, lost},
        e_a = longest * (e_t + detail::gamma<Scalar>(4) * t) + detail::Affine{0, lost};
    return detail::deviation_of_reflection<L>(
        typename L::Arithmetic(), D_T, longest * t, e_a,
        (1 + longest) * (1 + size + rounding / detail::gamma<Scalar>(1) + shift));
  }
};

/// 1, where D M_D(x) is firmly nonexpansive.                                                             (L6)
template <Index k, Index K, class... Choices>
struct Guarantee<ReflectedConvolutionalDictionary<k, K, Exact, Choices...>> {
  template <class L>
  static Certified<double> lipschitz(typename L::Backend& backend, L const&,
                                     typename L::Parameters const& theta) {
    auto const of_codes = detail::lipschitz_of_codes<typename L::CodeLayer>(backend, theta);
    if (!of_codes) return NoCertificate{of_codes.reason()};
    return 1.;
  }

  template <class L>
  static Certified<Deviation> deviation(typename L::Backend& backend, L const&,
                                        typename L::Parameters const& theta) {
    using Code = typename L::CodeLayer;
    auto const constant = detail::lipschitz_of_codes<Code>(backend, theta);
    auto const codes = ::detrame::deviation(backend, Code(), theta);
    if (!constant) return NoCertificate{constant.reason()};
    if (!codes) return NoCertificate{codes.reason()};
    auto const D = detail::doubles_of(backend, theta.D);
    auto const D_T = host_matrix<double>(k, D.rows(), [&](Index i, Index j) { return D(j, i); });
    Deviation const& e = codes.value();
    double const s = detail::modulus_from_below(backend, theta);
    auto const d = detail::doubles_of(backend, theta.d);
    double const lambda = detail::doubles_of(backend, theta.lambda)(0, 0),
                 sites = static_cast<double>(L::window.out_sites());
    double const at_zero =
        detail::above(std::sqrt(sites) * 2 / s *
                      detail::length_from_above(k, [&](Index i) { return std::max(-d(i, 0) - lambda, 0.); }));
    auto of_layer =
        detail::deviation_of_reflection<L>(Direct(), D_T, 2 * detail::Affine{constant.value(), at_zero},
                                           2 * detail::Affine{e.relative, e.absolute}, e.range);
    if (!of_layer) return of_layer;
    Deviation with_codes = of_layer.value();
    with_codes.may_refuse = e.may_refuse;
    return with_codes;
  }
};

/// That of Code with D = [A, -A].
template <Recipe Code>
struct Guarantee<Paired<Code>> {
  template <class L>
  static Certified<double> lipschitz(typename L::Backend& backend, L const&,
                                     typename L::Parameters const& theta) {
    return ::detrame::lipschitz(backend, typename L::CodeLayer(), L::paired(backend, theta));
  }
  template <class L>
  static Certified<Deviation> deviation(typename L::Backend& backend, L const&,
                                        typename L::Parameters const& theta) {
    return ::detrame::deviation(backend, typename L::CodeLayer(), L::paired(backend, theta));
  }
};

/// That of Dense<k> with the rows that the layer uses.
template <Index k>
struct Guarantee<NormalisedDense<k>> {
  template <class L>
  static Certified<double> lipschitz(typename L::Backend& backend, L const&,
                                     typename L::Parameters const& theta) {
    return ::detrame::lipschitz(backend, typename L::Linear(), L::normalised(backend, theta));
  }
  template <class L>
  static Certified<Deviation> deviation(typename L::Backend& backend, L const&,
                                        typename L::Parameters const& theta) {
    return ::detrame::deviation(backend, typename L::Linear(), L::normalised(backend, theta));
  }
};

}  // namespace detrame::inline DETRAME_ABI
