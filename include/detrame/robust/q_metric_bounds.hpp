// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <type_traits>
#include <utility>
#include <vector>

#include "detrame/layer/mixed_blocks.hpp"
#include "detrame/layer/q_metric.hpp"
#include "detrame/operator/window_norm.hpp"
#include "detrame/prox/perron.hpp"
#include "detrame/robust/guarantee.hpp"

/// What is proved of recursions with free parameters.                                               (L4) (R2)
namespace detrame::inline DETRAME_ABI {

namespace detail {

/// Free parameters on the host, and the bounds that are made of them.
template <class L>
class FreeRecursion {
 public:
  using B = typename L::Backend;
  using Scalar = typename B::Scalar;

  FreeRecursion(B& backend, typename L::Parameters const& theta)
      : backend_(backend),
        W_(doubles_of(backend, theta.W_tilde)),
        h_(doubles_of(backend, theta.h)),
        b_(doubles_of(backend, theta.b)) {}

  /// |diag(left) M diag(right)|_2 from above, for M = W~, or diag(h) - W~ where `input`.
  double norm(std::vector<double> const& left, std::vector<double> const& right, bool input) const {
    double largest = 0;
    for (Index g = 0; g < L::structure.groups; ++g)
      raise(largest, window_norm_from_above(backend_, group(g, left, right, input), kernel(), 1, 16));
    return above(largest, 24);
  }

  /// S^{1/2} for S = I, and for the S of (C7), whose least entry is 1.
  std::vector<std::vector<double>> metrics() const {
    auto const k = static_cast<std::size_t>(L::k);
    std::vector<double> roots;
    auto const M = tap_magnitudes(W_, L::structure.taps());
    for (Index g = 0; g < L::structure.groups; ++g)
      for (double const s : perron_scaling(block_of(M, g, [](Index, Index, double m) { return m; })))
        roots.push_back(std::sqrt(s));
    return {std::vector<double>(k, 1.), roots};
  }

  /// Whether the rule is one: of all but the nonnegative shrinkage it is nobody's where b < 0.
  bool has_rule() const {
    using Rule = std::remove_cvref_t<decltype(L::activation)>;
    if constexpr (std::is_same_v<Rule, formula::NonnegativeShrinkage>) return true;
    for (Index i = 0; i < b_.rows(); ++i)
      if (!(b_(i, 0) >= 0)) return false;
    return true;
  }

  /// (1 + kappa + ... + kappa^{T-1}) |S^{1/2} (diag(h) - W~)|_2 / min S^{1/2}, the smaller one of two S.
  Certified<double> lipschitz(int T) const {
    if (!has_rule()) return none_for<L>("its rule is no proximity operator where b < 0");
    double best = std::numeric_limits<double>::infinity();
    for (auto const& root : metrics()) {
      std::vector<double> inverse, ones(root.size(), 1.);
      for (double const r : root) inverse.push_back(1 / r);
      double const kappa = T == 1 ? 0 : norm(root, inverse, false);
      double sum = 0;
      for (int t = 0; t < T; ++t) sum = 1 + kappa * sum;
      double const bound =
          above(sum * norm(root, ones, true) / *std::min_element(root.begin(), root.end()), 2 * T + 8);
      if (!(bound >= best)) best = bound;
    }
    return finite<L>(best);
  }

  /// d_t <- omega d_{t-1} + what update t rounds, with |U_t| <= p_t <- omega p_{t-1} + g R + |A(0, b)|.
  Certified<Deviation> deviation(int T) const {
    auto const rule = L::activation;
    using Rule = std::remove_cvref_t<decltype(rule)>;
    if (!has_rule()) return none_for<L>("its rule is no proximity operator where b < 0");
    std::vector<double> const ones(static_cast<std::size_t>(L::k), 1.);
    constexpr Shape in = L::input;
    double at_zero = 0, size_h = 0;
    if constexpr (std::is_same_v<Rule, formula::NonnegativeShrinkage> ||
                  std::is_same_v<Rule, formula::SoftShrinkage> ||
                  std::is_same_v<Rule, formula::HuberShrinkage<Scalar>>)
      at_zero = length_of(b_, in.sites());
    else if constexpr (std::is_same_v<Rule, formula::Clamp<Scalar>>)
      at_zero =
          above(std::max(std::abs(static_cast<double>(rule.low)), std::abs(static_cast<double>(rule.high))) *
                std::sqrt(static_cast<double>(in.size())));
    else
      return none_for<L>("the rounding of its rule is not known");
    for (Index i = 0; i < h_.rows(); ++i) raise(size_h, std::abs(h_(i, 0)));
    double const omega = norm(ones, ones, false), g = norm(ones, ones, true);
    double m = 0, product = 0;
    for (Index i = 0; i < L::structure.groups; ++i) {
      auto const W = group(i, ones, ones, false);
      raise(m, window_magnitude_norm(W, kernel(), 1));
      raise(product, rounding_of_product<Scalar>(arithmetic(L::structure), W, kernel(), 1));
    }
    double const few = gamma<Scalar>(16);  // h z, the sums, and the rule, of all that they are made of
    double const underflow = 8 * (static_cast<double>(W_.rows() * L::structure.taps()) + 8) *
                             (1 + m + size_h) * std::sqrt(static_cast<double>(in.size())) * lost<Scalar>();
    Affine const of_G = Affine{product + few * (size_h + m), underflow};
    Affine p{}, d{};
    double const growth = growth_of_image(arithmetic(L::structure));
    double range = above(growth + size_h + m + product / gamma<Scalar>(1));
    for (int t = 0; t < T; ++t) {
      Affine const U = p + d;  // |computed U_t|
      p = omega * p + Affine{g, at_zero};
      d = omega * d + of_G + product * U + few * (m * U + Affine{g + size_h + m, at_zero}) +
          Affine{0, underflow};
      range = std::max(range, above((growth + m + product / gamma<Scalar>(1)) *
                                    (p.slope + p.offset + d.slope + d.offset + size_h + m)));
    }
    double const n = 16 * T + 16;
    return finite<L>(
        Deviation{.relative = above(d.slope, n), .absolute = above(d.offset, n), .range = above(range, n)});
  }

 private:
  static Direct arithmetic(DenseBlocks const&) { return {}; }
  template <class Arithmetic>
  static Arithmetic arithmetic(ConvolutionalBlocksBy<Arithmetic> const&) {
    return {};
  }
  static Index kernel() {
    Index K = 1;
    while (K * K < L::structure.taps()) ++K;
    return K;
  }
  /// The block of group g: kg x (taps kg).
  HostMatrix<double> group(Index g, std::vector<double> const& left, std::vector<double> const& right,
                           bool input) const {
    Index const kg = W_.rows(), taps = L::structure.taps();
    return host_matrix<double>(kg, taps * kg, [&](Index o, Index j) {
      Index const i = j % kg;
      auto const row = static_cast<std::size_t>(g * kg + o), column = static_cast<std::size_t>(g * kg + i);
      double const w = W_(o, g * taps * kg + j);
      bool const diagonal = j / kg == taps / 2 && o == i;
      return left[row] * (input ? (diagonal ? h_(g * kg + o, 0) : 0.) - w : w) * right[column];
    });
  }

  B& backend_;
  HostMatrix<double> W_, h_, b_;
};

}  // namespace detail

/// T updates of a free recursion, whether they converge or not.                                          (L4)
template <class Activation, class StructureRecipe, int T, class TapePolicy, class DiagonalPolicy>
struct Guarantee<QMetric<Activation, StructureRecipe, Unroll<T>, TapePolicy, DiagonalPolicy>> {
  template <class L>
  static Certified<double> lipschitz(typename L::Backend& backend, L const&,
                                     typename L::Parameters const& theta) {
    return detail::FreeRecursion<L>(backend, theta).lipschitz(T);
  }
  template <class L>
  static Certified<Deviation> deviation(typename L::Backend& backend, L const&,
                                        typename L::Parameters const& theta) {
    return detail::FreeRecursion<L>(backend, theta).deviation(T);
  }
};

/// Blocks of different structures: the largest constant of theirs, since no block reads another.
template <class Activation, Index... channels, class... Recipes, int T, class TapePolicy,
          class DiagonalPolicy>
struct Guarantee<
    QMetric<Activation, Mixed<Channels<channels, Recipes>...>, Unroll<T>, TapePolicy, DiagonalPolicy>> {
  template <class L>
  static Certified<double> lipschitz(typename L::Backend& backend, L const&,
                                     typename L::Parameters const& theta) {
    double largest = 0;
    std::string why;
    each_part<L>(theta, [&](auto part, auto const& own) {
      auto const found = detail::FreeRecursion<decltype(part)>(backend, own).lipschitz(T);
      if (found)
        largest = std::max(largest, found.value());
      else
        why = found.reason();
    });
    if (!why.empty()) return NoCertificate{why};
    return largest;
  }
  template <class L>
  static Certified<Deviation> deviation(typename L::Backend& backend, L const&,
                                        typename L::Parameters const& theta) {
    Deviation all{};
    std::string why;
    each_part<L>(theta, [&](auto part, auto const& own) {
      auto const found = detail::FreeRecursion<decltype(part)>(backend, own).deviation(T);
      if (!found) {
        why = found.reason();
        return;
      }
      detail::raise(all.relative, found.value().relative);
      all.absolute = detail::above(std::hypot(all.absolute, found.value().absolute));
      detail::raise(all.range, found.value().range);
    });
    if (!why.empty()) return NoCertificate{why};
    return all;
  }

 private:
  template <class L, class F>
  static void each_part(typename L::Parameters const& theta, F const& f) {
    [&]<std::size_t... p>(std::index_sequence<p...>) {
      (f(typename L::template Of<channels, Recipes>(), std::get<p>(theta.parts)), ...);
    }(std::make_index_sequence<sizeof...(channels)>());
  }
};

}  // namespace detrame::inline DETRAME_ABI
