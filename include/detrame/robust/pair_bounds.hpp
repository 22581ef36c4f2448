// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "detrame/robust/code_stack.hpp"
#include "detrame/robust/network_bound.hpp"

/// How two scores of a network differ: constants of each pair of classes, and what is known of images.  (R5)
namespace detrame::inline DETRAME_ABI::detail {

/// Of each pair of classes how much y_i - y_j can change for a unit of distance at the network's input
/// (lipschitz) and at its last layer's (difference). Of a last layer that is a classifier, |w_i| (row) and
/// |c_i| (constant); else empty. They depend on parameters alone.
struct PairConstants {
  HostMatrix<double> lipschitz, difference;
  std::vector<double> row{}, constant{};
};

/// Scores of a batch, classes x samples; at the last layer's input, how far that can be off in the ball
/// (error) and at its centre (off), and how far the last layer's own arithmetic can be, score by score.
struct PairScores {
  HostMatrix<double> y, own, own_off;
  std::vector<double> error, off;

  /// How far y_i - y_j, as computed, can be off: everywhere in the ball, and at its centre.
  double error_of(PairConstants const& c, Index i, Index j, Index n) const {
    return above(c.difference(i, j) * error[static_cast<std::size_t>(n)] + own(i, n) + own(j, n));
  }
  double off_of(PairConstants const& c, Index i, Index j, Index n) const {
    return above(c.difference(i, j) * off[static_cast<std::size_t>(n)] + own_off(i, n) + own_off(j, n));
  }
};

/// Whether a layer is one of exact codes of single columns, and whether it is a classifier of single columns.
template <class L>
inline constexpr bool is_code = false;
template <class L>
inline constexpr bool is_head = false;
template <class R>
inline constexpr bool is_exact_dictionary = false;
template <Index k>
inline constexpr bool is_exact_dictionary<Dictionary<k, Exact>> = true;
template <Index k>
inline constexpr bool is_exact_dictionary<Paired<Dictionary<k, Exact>>> = true;
template <class R>
inline constexpr bool is_dense = false;
template <Index k>
inline constexpr bool is_dense<Dense<k>> = true;
template <Index k>
inline constexpr bool is_dense<NormalisedDense<k>> = true;
template <class L>
  requires requires { typename L::FromRecipe; }
inline constexpr bool is_code<L> =
    is_exact_dictionary<typename L::FromRecipe> && Shape(L::input).sites() == 1;
template <class L>
  requires requires { typename L::FromRecipe; }
inline constexpr bool is_head<L> = is_dense<typename L::FromRecipe> && Shape(L::input).sites() == 1;

/// W and c of a classifier, as it computes with them.
template <class L>
auto head_of(typename L::Backend& backend, typename L::Parameters const& theta) {
  if constexpr (requires { L::normalised(backend, theta); })
    return L::normalised(backend, theta);
  else
    return theta;
}

/// Of any network: |y_i - y_j - (y_i' - y_j')| <= sqrt(2) |y - y'|_2.
inline PairConstants constants_behind(Index classes, NetworkBound const& bound, double before) {
  double const root = above(std::sqrt(2.)),
               constant = bound.lipschitz ? bound.lipschitz.value() : std::numeric_limits<double>::infinity();
  return {
      HostMatrix<double>(classes, classes, product_from_above(product_from_above(root, constant), before)),
      HostMatrix<double>(classes, classes, root)};
}

/// Of a classifier y = W x - c: |w_i - w_j|_2 for each pair, sharper by the codes before it, if there are
/// any, whose own input has the constant `before_codes`.
template <class L>
PairConstants constants_of_head(typename L::Backend& backend, typename L::Parameters const& theta,
                                double before, CodeStack const* codes, double before_codes) {
  auto const own = head_of<L>(backend, theta);
  auto const W = doubles_of(backend, own.W), c = doubles_of(backend, own.c);
  Index const classes = W.rows(), m = W.cols();
  PairConstants pairs{HostMatrix<double>(classes, classes), HostMatrix<double>(classes, classes)};
  for (Index i = 0; i < classes; ++i) {
    pairs.row.push_back(length_from_above(m, [&](Index l) { return W(i, l); }));
    pairs.constant.push_back(std::abs(c(i, 0)));
    for (Index j = 0; j < i; ++j) {
      std::vector<double> v;
      for (Index l = 0; l < m; ++l) v.push_back(W(i, l) - W(j, l));
      double const d = length_from_above(m, [&](Index l) { return v[static_cast<std::size_t>(l)]; });
      double lipschitz = product_from_above(d, before);
      if (codes != nullptr)
        lipschitz = std::min(lipschitz, product_from_above(codes->bound(v), before_codes));
      pairs.difference(i, j) = pairs.difference(j, i) = d;
      pairs.lipschitz(i, j) = pairs.lipschitz(j, i) = lipschitz;
    }
  }
  return pairs;
}

/// The constants behind a layer, whose input has the constant `before`: of a classifier, by its rows; of a
/// Stack, by its last layer.
template <class L>
PairConstants pair_constants(typename L::Backend& backend, L const& layer,
                             typename L::Parameters const& theta, NetworkBound const& bound, double before) {
  Index const classes = Shape(L::output).size();
  if (!bound.lipschitz) return constants_behind(classes, bound, before);
  if constexpr (is_head<L>) {
    return constants_of_head<L>(backend, theta, before, nullptr, before);
  } else if constexpr (requires { L::shapes.size(); }) {
    PairConstants pairs;
    CodeStack codes(0);
    double before_codes = before;
    bool coded = false;
    StackParts::each(layer, theta, [&](auto i, auto const& part, auto const& own) {
      using Part = std::remove_cvref_t<decltype(part)>;
      if constexpr (i + 1 < L::shapes.size() - 1) {
        if constexpr (is_code<Part>) {
          if (!coded) {
            codes = CodeStack(Shape(Part::input).channels);
            before_codes = before;
          }
          double const s = modulus_from_below(backend, own);
          coded = s > 0;
          if (coded) codes.add(backend, dictionary_of<Part>(backend, own), s);
        } else {
          coded = false;
        }
        before = product_from_above(before, bound.parts[i].lipschitz.value());
      } else if constexpr (is_head<Part>) {
        pairs = constants_of_head<Part>(backend, own, before, coded ? &codes : nullptr, before_codes);
      } else {
        pairs = pair_constants(backend, part, own, bound.parts[i], before);
      }
    });
    return pairs;
  } else {
    return constants_behind(classes, bound, before);
  }
}

/// The scores of a batch that comes to a layer, with the constants of `pair_constants`.
template <class L>
PairScores pair_scores(typename L::Backend& backend, L const& layer, typename L::Parameters const& theta,
                       NetworkBound const& bound, PairConstants const& constants,
                       Balls<typename L::Backend>& balls) {
  using B = typename L::Backend;
  PairScores scores;
  if constexpr (!is_head<L> && requires { L::shapes.size(); }) {
    StackParts::each(layer, theta, [&](auto i, auto const& part, auto const& own) {
      if constexpr (i + 1 < L::shapes.size() - 1)
        advance(backend, part, own, bound.parts[i], balls);
      else
        scores = pair_scores(backend, part, own, bound.parts[i], constants, balls);
    });
  } else {
    auto const classes = Shape(L::output).size(), N = static_cast<Index>(balls.error.size());
    scores.own = scores.own_off = HostMatrix<double>(classes, N);
    if (constants.row.empty()) {
      advance(backend, layer, theta, bound, balls);
      scores.y = doubles_of(backend, balls.x);
    } else {
      using Scalar = typename B::Scalar;
      double const most = static_cast<double>(std::numeric_limits<Scalar>::max()) / 4,
                   n = static_cast<double>(Shape(L::input).channels) + 8;
      for (Index i = 0; i < classes; ++i) {
        auto const at = static_cast<std::size_t>(i);
        auto const own = [&](double reach) {
          double const size = above(constants.row[at] * reach + constants.constant[at]);
          return size < most
                     ? above(gamma<Scalar>(n) * size + 2 * n * lost<Scalar>() * (1 + constants.row[at]))
                     : std::numeric_limits<double>::infinity();
        };
        for (Index s = 0; s < N; ++s) {
          scores.own(i, s) = own(balls.reach(static_cast<std::size_t>(s)));
          scores.own_off(i, s) = own(balls.centre[static_cast<std::size_t>(s)]);
        }
      }
      scores.y = doubles_of(backend, predict(backend, layer, theta, ConstView<B>(balls.x)));
    }
    scores.error = balls.error;
    scores.off = balls.off;
  }
  return scores;
}

}  // namespace detrame::inline DETRAME_ABI::detail
