// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <type_traits>
#include <vector>

#include "detrame/exact/problem.hpp"
#include "detrame/layer/convolutional_dictionary.hpp"
#include "detrame/layer/dictionary_exact.hpp"
#include "detrame/layer/dictionary_unrolled.hpp"
#include "detrame/layer/paired.hpp"
#include "detrame/operator/window_norm.hpp"
#include "detrame/robust/guarantee.hpp"
#include "detrame/robust/lipschitz.hpp"

/// What is proved of dictionary layers.                                                   (L2) (L4) (R2) (R3)
namespace detrame::inline DETRAME_ABI {

namespace detail {

/// alpha + beta of a dictionary layer, from below.
template <Backend B>
double modulus_from_below(B& backend, DictionaryParameters<B> const& theta) {
  return below(doubles_of(backend, theta.alpha)(0, 0) + doubles_of(backend, theta.beta)(0, 0), 1);
}

/// What the judge of exact codes compares a residual with: |t|_2 <= of_u |u|_2 + of_x |x|_2 + ..., after so
/// many roundings (U5).
struct CodeTerms {
  Index roundings;
  double of_u, of_x;
};

/// Of columns: t_i = sqrt(h_ii) sum_l sqrt(h_ll) |u_l| + |D_i| |x| + |d_i| + lambda, so that
/// |t| <= tr(H) |u| + |D|_F |x| + ...; D: m x k.
inline CodeTerms column_terms(HostMatrix<double> const& D, double s) {
  double const of_x = length_of(D);
  return {D.rows() + 2 * exact::product_chain(D.cols()) + exact::dot_chain(D.rows()) + 12,
          above(of_x * of_x + 1.001 * static_cast<double>(D.cols()) * s), of_x};
}

inline HostMatrix<double> transpose_of(HostMatrix<double> const& D) {
  return host_matrix<double>(D.cols(), D.rows(), [&](Index o, Index i) { return D(i, o); });
}

/// Of images: t = |D|^T (|D| |u| + |x|) + (alpha + beta) |u| + |d| + lambda; D: (taps m) x k.
inline CodeTerms image_terms(HostMatrix<double> const& D, Window const& w, double s) {
  double const of_x = window_magnitude_norm(transpose_of(D), w.kernel, w.stride);
  return {(D.cols() + D.rows() / w.taps() + 2 * w.taps() + 8) +
              (D.cols() + w.taps() + exact::dot_chain(D.rows()) + 8),
          above(of_x * of_x + 1.001 * s), of_x};
}

/// Those of the judge that a layer of exact codes has.
template <class CodeLayer>
CodeTerms code_terms(HostMatrix<double> const& D, double s) {
  if constexpr (requires { CodeLayer::window; })
    return image_terms(D, CodeLayer::window, s);
  else
    return column_terms(D, s);
}

/// What an exact layer may be off: its judge lets pass |r| <= roundings eps |t|_2 in truth (U5), so that
/// |u - u*|_2 <= roundings eps |t|_2 / s, with |t|_2 <= H |u| + D |x| + rest and |u*| <= |x| / (2 sqrt(s)) +
/// |M_D(0)|, |M_D(0)| <= 2 |(-d - lambda)_+| / s; rounded once where it was solved in double.            (R3)
template <class CodeLayer>
struct CodeBounds {
  CodeTerms t{};
  double s = 0;                      ///< alpha + beta
  Affine exact{}, error{}, terms{};  ///< |u*|, |u - u*|, |t|
  char const* why = nullptr;         ///< why there is no such bound, where there is none

  CodeBounds(typename CodeLayer::Backend& backend,
             DictionaryParameters<typename CodeLayer::Backend> const& theta, HostMatrix<double> const& D)
      : s(modulus_from_below(backend, theta)) {
    using Scalar = typename CodeLayer::Scalar;
    if (!(s > 0)) {
      why = "alpha + beta is not > 0";
      return;
    }
    t = code_terms<CodeLayer>(D, s);
    double const eps = static_cast<double>(std::numeric_limits<Scalar>::epsilon()),
                 n = std::sqrt(static_cast<double>(Shape(CodeLayer::output).sites()));
    auto const d = doubles_of(backend, theta.d);
    double const lambda = doubles_of(backend, theta.lambda)(0, 0),
                 rest =
                     above(n * (length_of(d) + std::abs(lambda) * std::sqrt(static_cast<double>(d.rows())))),
                 at_zero = above(
                     n * 2 / s *
                     length_from_above(d.rows(), [&](Index i) { return std::max(-d(i, 0) - lambda, 0.); })),
                 q = above(1.125 * static_cast<double>(t.roundings) * eps / s);  // |u - u*| <= q |t|
    exact = {1 / (2 * std::sqrt(s)), at_zero};
    if (!(q * t.of_u + eps < .5 && static_cast<double>(t.roundings) * eps <= 1. / 16)) {  // for 1.125
      why = "its codes are not determined well enough in this scalar: take double, or a larger alpha";
      return;
    }
    error = (1 / (1 - q * t.of_u - eps)) * (q * (t.of_u * exact + Affine{t.of_x, rest}) + eps * exact);
    error.offset += n * std::sqrt(static_cast<double>(d.rows())) * lost<Scalar>();
    terms = t.of_u * (exact + error) + Affine{t.of_x, rest};
  }
};

/// [A, -A]
inline HostMatrix<double> pairs_of(HostMatrix<double> const& A) {
  return host_matrix<double>(A.rows(), 2 * A.cols(),
                             [&](Index i, Index j) { return j < A.cols() ? A(i, j) : -A(i, j - A.cols()); });
}
/// The dictionary of a code layer, whole where it is one of pairs.
template <class L>
HostMatrix<double> dictionary_of(typename L::Backend& backend, typename L::Parameters const& theta) {
  auto const D = doubles_of(backend, theta.D);
  return D.cols() == Shape(L::output).channels ? D : pairs_of(D);
}

/// The layer that solves for the codes: of pairs the one that they are made of.
template <class L>
struct CodeLayerOf : std::type_identity<L> {};
template <class L>
  requires requires { typename L::CodeLayer; }
struct CodeLayerOf<L> : std::type_identity<typename L::CodeLayer> {};

/// What is proved of layers of exact codes, of columns and of images.                             (L2) (R3)
struct ExactCodes {
  template <class L>
  static Certified<double> lipschitz(typename L::Backend& backend, L const&,
                                     typename L::Parameters const& theta) {
    if (!(modulus_from_below(backend, theta) > 0)) return none_for<L>("alpha + beta is not > 0");
    return finite<L>(
        lipschitz_bound(doubles_of(backend, theta.alpha)(0, 0), doubles_of(backend, theta.beta)(0, 0)));
  }
  template <class L>
  static Certified<Deviation> deviation(typename L::Backend& backend, L const&,
                                        typename L::Parameters const& theta) {
    CodeBounds<typename CodeLayerOf<L>::type> const codes(backend, theta, dictionary_of<L>(backend, theta));
    if (codes.why != nullptr) return none_for<L>(codes.why);
    return finite<L>(
        Deviation{.relative = above(codes.error.slope, 64),
                  .absolute = above(codes.error.offset, 64),
                  .range = above((1 + codes.t.of_u) * (2 + codes.terms.slope + codes.terms.offset)),
                  .may_refuse = true});
  }
};

}  // namespace detail

template <Index k>
struct Guarantee<Dictionary<k, Exact>> : detail::ExactCodes {};
template <Index k, Index K, class... Choices>
struct Guarantee<ConvolutionalDictionary<k, K, Exact, Choices...>> : detail::ExactCodes {};
template <Index k>
struct Guarantee<Paired<Dictionary<k, Exact>>> : detail::ExactCodes {};
template <Index k, Index K, class... Choices>
struct Guarantee<Paired<ConvolutionalDictionary<k, K, Exact, Choices...>>> : detail::ExactCodes {};

/// T tied updates, with W~, S and b as the layer makes them: its map is the recursion of these numbers.
///
///   |S^{1/2} W~ S^{-1/2}|_2 = kappa,   G = S^{-1} (D^T x - d),
///   L = (1 + ... + kappa^{T-1}) |S^{-1/2} D^T|_2 / min S^{1/2}                                          (L4)
template <Index k, class Scheme, int T>
struct Guarantee<Dictionary<k, Unrolled<Scheme, Unroll<T>>>> {
  template <class L>
  static Certified<double> lipschitz(typename L::Backend& backend, L const& layer,
                                     typename L::Parameters const& theta) {
    auto const r = recursion<L>(backend, layer, theta);
    double const kappa = detail::window_norm_from_above(backend, scaled(r.W, r.root, true), 1, 1, 16);
    double sum = 0;
    for (int t = 0; t < T; ++t) sum = 1 + kappa * sum;
    return detail::finite<L>(
        detail::above(sum * detail::window_norm_from_above(backend, scaled(r.D_T, r.root, false), 1, 1, 16) /
                          *std::min_element(r.root.begin(), r.root.end()),
                      2 * T + 64));
  }

  template <class L>
  static Certified<Deviation> deviation(typename L::Backend& backend, L const& layer,
                                        typename L::Parameters const& theta) {
    using Scalar = typename L::Backend::Scalar;
    constexpr Shape in = L::input;
    auto const r = recursion<L>(backend, layer, theta);
    double const n = std::sqrt(static_cast<double>(in.sites()));
    auto const G = host_matrix<double>(k, in.channels, [&](Index i, Index j) {
      return r.D_T(i, j) / (r.root[static_cast<std::size_t>(i)] * r.root[static_cast<std::size_t>(i)]);
    });
    double const omega = detail::norm_from_above(backend, r.W), m = detail::magnitude_norm(r.W),
                 g = detail::above(detail::magnitude_norm(G)),
                 constant = detail::above(
                     n * (detail::length_from_above(k,
                                                    [&](Index i) {
                                                      auto const root = r.root[static_cast<std::size_t>(i)];
                                                      return std::abs(r.d(i, 0)) / (root * root);
                                                    }) +
                          detail::length_of(r.b)));
    double const of_G = detail::gamma<Scalar>(in.channels + 16), of_W = detail::gamma<Scalar>(k + 16),
                 underflow = 8 * (static_cast<double>(k + in.channels) + 16) * (1 + m + g) * n *
                             std::sqrt(static_cast<double>(k)) * detail::lost<Scalar>() *
                             (1 + 1 / (r.least * r.least));
    detail::Affine p{}, e{};
    detail::Affine const input{g, constant};
    double range = detail::above((1 + g) * (1 + r.largest * r.largest) + constant);
    for (int t = 0; t < T; ++t) {
      detail::Affine const U = p + e;
      p = omega * p + input;
      e = omega * e + (of_G + of_W) * input + (of_W * m) * U + detail::Affine{0, underflow};
      range = std::max(range, detail::above((1 + m) * (p.slope + p.offset + e.slope + e.offset + 1)));
    }
    double const few = 16 * T + 64;
    return detail::finite<L>(Deviation{.relative = detail::above(e.slope, few),
                                       .absolute = detail::above(e.offset, few),
                                       .range = detail::above(range, few)});
  }

 private:
  struct Recursion {
    HostMatrix<double> W, D_T, d, b;
    std::vector<double> root;  ///< S^{1/2}
    double least, largest;
  };
  template <class L>
  static Recursion recursion(typename L::Backend& backend, L const& layer,
                             typename L::Parameters const& theta) {
    constexpr Shape in = L::input;
    typename L::Tape tape;
    auto const x = zeros(backend, in.channels, in.sites());
    layer.forward(backend, theta, x, tape, Draw{});
    auto const D = detail::doubles_of(backend, theta.D), Theta = detail::doubles_of(backend, tape.Theta),
               beta = detail::doubles_of(backend, tape.beta);
    Recursion r{detail::doubles_of(backend, tape.W_tilde),
                host_matrix<double>(k, in.channels, [&](Index i, Index j) { return D(j, i); }),
                detail::doubles_of(backend, theta.d),
                detail::doubles_of(backend, tape.b),
                {},
                0,
                0};
    for (Index i = 0; i < k; ++i) r.root.push_back(std::sqrt(Theta(i, 0) + beta(i, 0)));
    r.least = *std::min_element(r.root.begin(), r.root.end());
    r.largest = *std::max_element(r.root.begin(), r.root.end());
    return r;
  }
  /// diag(root) A diag(root)^{-1}, or diag(root)^{-1} A.
  static HostMatrix<double> scaled(HostMatrix<double> const& A, std::vector<double> const& root, bool both) {
    return host_matrix<double>(A.rows(), A.cols(), [&](Index i, Index j) {
      auto const row = static_cast<std::size_t>(i), column = static_cast<std::size_t>(j);
      return both ? root[row] * A(i, j) / root[column] : A(i, j) / root[row];
    });
  }
};

}  // namespace detrame::inline DETRAME_ABI
