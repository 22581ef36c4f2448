// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "detrame/robust/certified_radius.hpp"
#include "detrame/robust/code_stack.hpp"
#include "detrame/robust/network_bound.hpp"

namespace detrame::inline DETRAME_ABI {

/// What a certificate proves of an image and its radius r.                                               (R6)
enum class Claim {
  same_label,             ///< for every image of the scalar within r this program returns the same label
  same_label_or_refuses,  ///< the same, or it throws NotCertified
  in_real_arithmetic,     ///< the network without rounding, of the scores that were computed, does so
  none                    ///< nothing: r is 0
};

inline std::string name(Claim claim) {
  switch (claim) {
    case Claim::same_label: return "same label for every image of the scalar within r";
    case Claim::same_label_or_refuses:
      return "same label for every image of the scalar within r, or a refusal";
    case Claim::in_real_arithmetic: return "same label within r, in real arithmetic";
    case Claim::none: return "none";
  }
  return "none";
}

/// What is proved of each of some images.
struct Certificate {
  Claim claim = Claim::none;
  std::string why;                         ///< why the claim is not a stronger one; empty for same_label
  std::vector<Index> label;                ///< the largest score's; -1 where the network refuses the image
  std::vector<double> radius;              ///< under `claim`, in the units of the images; 0 proves nothing
  std::vector<double> in_real_arithmetic;  ///< under Claim::in_real_arithmetic, where that is proved
};

namespace detail {

/// How the scores of a batch differ: y, classes x samples, and of each pair of classes how much y_i - y_j can
/// change for a unit of distance at the network's input (lipschitz) and at its last layer's (difference),
/// which had `error`; own: how far the last layer's arithmetic is off, score by score.
struct PairBounds {
  HostMatrix<double> y, lipschitz, difference, own;
  std::vector<double> error;

  double error_of(Index i, Index j, Index n) const {
    return above(difference(i, j) * error[static_cast<std::size_t>(n)] + own(i, n) + own(j, n));
  }
};

/// Of any network: |y_i - y_j - (y_i' - y_j')| <= sqrt(2) |y - y'|_2.
template <class L>
PairBounds pairs_behind(typename L::Backend& backend, L const& layer, typename L::Parameters const& theta,
                        NetworkBound const& bound, Balls<typename L::Backend>& balls, double before) {
  advance(backend, layer, theta, bound, balls);
  Index const classes = Shape(L::output).size();
  double const root = above(std::sqrt(2.)),
               constant = bound.lipschitz ? bound.lipschitz.value() : std::numeric_limits<double>::infinity();
  auto y = doubles_of(backend, balls.x);
  HostMatrix<double> own(classes, y.cols());
  return {std::move(y), HostMatrix<double>(classes, classes, above(root * constant * before)),
          HostMatrix<double>(classes, classes, root), std::move(own), balls.error};
}

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

/// The dictionary of a code layer.
template <class L>
HostMatrix<double> dictionary_of(typename L::Backend& backend, typename L::Parameters const& theta) {
  auto const D = doubles_of(backend, theta.D);
  return D.cols() == Shape(L::output).channels ? D : pairs_of(D);
}
/// W and c of a classifier, as it computes with them.
template <class L>
auto head_of(typename L::Backend& backend, typename L::Parameters const& theta) {
  if constexpr (requires { L::normalised(backend, theta); })
    return L::normalised(backend, theta);
  else
    return theta;
}

/// Of a classifier y = W x - c: |w_i - w_j|_2 for each pair, sharper by the codes before it, if there are
/// any, whose own input has the constant `before_codes`.
template <class L>
PairBounds pairs_of_head(typename L::Backend& backend, L const& layer, typename L::Parameters const& theta,
                         Balls<typename L::Backend>& balls, double before, CodeStack const* codes,
                         double before_codes) {
  using B = typename L::Backend;
  using Scalar = typename B::Scalar;
  auto const own = head_of<L>(backend, theta);
  auto const W = doubles_of(backend, own.W), c = doubles_of(backend, own.c);
  Index const classes = W.rows(), m = W.cols(), N = static_cast<Index>(balls.error.size());
  PairBounds pairs{{},
                   HostMatrix<double>(classes, classes),
                   HostMatrix<double>(classes, classes),
                   HostMatrix<double>(classes, N),
                   balls.error};
  double const most = static_cast<double>(std::numeric_limits<Scalar>::max()) / 4;
  double const n = static_cast<double>(m) + 8;
  for (Index i = 0; i < classes; ++i) {
    double const length = length_from_above(m, [&](Index l) { return W(i, l); });
    for (Index s = 0; s < N; ++s) {
      double const size = above(length * balls.reach(static_cast<std::size_t>(s)) + std::abs(c(i, 0)));
      pairs.own(i, s) = size < most ? above(gamma<Scalar>(n) * size + 2 * n * lost<Scalar>() * (1 + length))
                                    : std::numeric_limits<double>::infinity();
    }
    for (Index j = 0; j < i; ++j) {
      double const d = length_from_above(m, [&](Index l) { return W(i, l) - W(j, l); });
      double lipschitz = above(d * before);
      if (codes != nullptr) {
        std::vector<double> v;
        for (Index l = 0; l < m; ++l) v.push_back(W(i, l) - W(j, l));
        lipschitz = std::min(lipschitz, above(codes->bound(v) * before_codes));
      }
      pairs.difference(i, j) = pairs.difference(j, i) = d;
      pairs.lipschitz(i, j) = pairs.lipschitz(j, i) = lipschitz;
    }
  }
  pairs.y = doubles_of(backend, predict(backend, layer, theta, ConstView<B>(balls.x)));
  return pairs;
}

/// The scores behind a layer, whose input has the constant `before`: of a classifier, by its rows; of a
/// Stack, by its last layer.
template <class L>
PairBounds pair_bounds(typename L::Backend& backend, L const& layer, typename L::Parameters const& theta,
                       NetworkBound const& bound, Balls<typename L::Backend>& balls, double before) {
  if constexpr (is_head<L>) {
    return pairs_of_head(backend, layer, theta, balls, before, nullptr, before);
  } else if constexpr (requires { L::shapes.size(); }) {
    PairBounds pairs;
    CodeStack codes(0);
    double before_codes = before;
    bool coded = false;
    each_part_of_stack(layer, theta, [&](auto i, auto const& part, auto const& own) {
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
        advance(backend, part, own, bound.parts[i], balls);
        before = bound.parts[i].lipschitz ? above(before * bound.parts[i].lipschitz.value(), 1)
                                          : std::numeric_limits<double>::infinity();
      } else if constexpr (is_head<Part>) {
        pairs = pairs_of_head(backend, part, own, balls, before, coded ? &codes : nullptr, before_codes);
      } else {
        pairs = pair_bounds(backend, part, own, bound.parts[i], balls, before);
      }
    });
    return pairs;
  } else {
    return pairs_behind(backend, layer, theta, bound, balls, before);
  }
}

/// The first reason why the rounding of a network is not bounded, empty where it is; whether a layer may
/// refuse.
inline std::string unbounded_rounding(NetworkBound const& bound, bool& may_refuse) {
  if (bound.parts.empty()) {
    if (bound.deviation) may_refuse = may_refuse || bound.deviation.value().may_refuse;
    return bound.deviation.reason();
  }
  std::string why;
  for (auto const& part : bound.parts)
    if (auto const of_part = unbounded_rounding(part, may_refuse); why.empty()) why = of_part;
  return why;
}

}  // namespace detail

/// Certifies the labels of images under a network with given parameters, whose constants are found once. (R6)
///
///   Certifier certifier(backend, net, theta);
///   Certificate const c = certifier(backend, images, rho);
///
/// Requires  theta outlives it and is not written between; one score a class: an output of one site. What the
///           network's layers say of themselves (Guarantee) fixes the claim; see docs/certificates.md.
/// Ensures   c.claim, for each image and its radius, at most rho. Images that the network refuses have the
///           label -1 and the radius 0.
/// Cost      a forward pass, layer by layer, with lengths taken on the host
/// Source    docs/maths.md (L3), (L5), (R4), (R5), (R6)
/// Tested    tests/robust/certify_test.cpp
template <Layer Net>
class Certifier {
 public:
  using B = typename Net::Backend;
  static_assert(Shape(Net::output).sites() == 1, "Certifier: the network must return one score a class");

  Certifier(B& backend, Net const& net, typename Net::Parameters const& theta)
      : net_(net), theta_(theta), bound_(network_bound(backend, net, theta)) {
    bool may_refuse = false;
    std::string const why = detail::unbounded_rounding(bound_, may_refuse);
    if (!bound_.lipschitz) {
      claim_ = Claim::none;
      why_ = bound_.lipschitz.reason();
    } else if (!why.empty()) {
      claim_ = Claim::in_real_arithmetic;
      why_ = why;
    } else if (may_refuse) {
      claim_ = Claim::same_label_or_refuses;
      why_ = "a layer is solved to a tolerance, and refuses what misses it";
    } else {
      claim_ = Claim::same_label;
    }
  }

  Certifier(B&, Net const&, typename Net::Parameters const&&) = delete;  // theta must outlive it

  NetworkBound const& bound() const { return bound_; }
  Claim claim() const { return claim_; }

  /// Shapes    x: channels x (sites images).  rho > 0 and finite, else DomainError: no radius is larger, and
  ///           the smaller it is, the less rounding is charged.
  Certificate operator()(B& backend, Input<B> x, double rho) const {
    if (!(rho > 0) || !std::isfinite(rho))
      throw DomainError(message("certify: rho = ", rho, ", must be > 0 and finite"));
    Certificate c{claim_, why_, {}, {}, {}};
    add(backend, ConstView<B>(x), rho, c);
    return c;
  }

 private:
  void add(B& backend, ConstView<B> x, double rho, Certificate& c) const {
    constexpr Shape in = Net::input;
    Index const N = samples<Net>("certify", x);
    if (N == 0) return;
    detail::PairBounds pairs;
    try {
      Balls<B> balls;
      balls.x = to_device(backend, to_host(backend, x));
      balls.centre = detail::lengths<B>(backend, x, in.sites());
      balls.radius.assign(static_cast<std::size_t>(N), rho);
      balls.error.assign(static_cast<std::size_t>(N), 0.);
      pairs = detail::pair_bounds(backend, net_, theta_, bound_, balls, 1.);
    } catch (NotCertified const&) {  // of one image at least
      if (N == 1) {
        c.label.push_back(-1);
        c.radius.push_back(0);
        c.in_real_arithmetic.push_back(0);
        return;
      }
      for (Index n = 0; n < N; ++n) add(backend, x.middle_cols(n * in.sites(), in.sites()), rho, c);
      return;
    }
    Index const classes = pairs.y.rows();
    for (Index n = 0; n < N; ++n) {
      auto const y = [&](Index j) { return pairs.y(j, n); };
      Index label = 0;
      for (Index j = 1; j < classes; ++j)
        if (!(y(j) <= y(label))) label = j;
      auto const L = [&](Index j) { return pairs.lipschitz(label, j); };
      auto const e = [&](Index j) { return pairs.error_of(label, j, n); };
      bool const real = claim_ != Claim::none;
      bool const rounded = claim_ == Claim::same_label || claim_ == Claim::same_label_or_refuses;
      double const exact = real ? certified_radius(y, classes, label, rho, L, [](Index) { return 0.; }) : 0.;
      c.label.push_back(label);
      c.in_real_arithmetic.push_back(exact);
      c.radius.push_back(rounded ? certified_radius(y, classes, label, rho, L, e) : exact);
    }
  }

  Net net_;
  typename Net::Parameters const& theta_;
  NetworkBound bound_;
  Claim claim_ = Claim::none;
  std::string why_;
};

/// The same, once.
template <Layer Net>
Certificate certify(typename Net::Backend& backend, Net const& net, typename Net::Parameters const& theta,
                    Input<typename Net::Backend> images, double rho) {
  return Certifier<Net>(backend, net, theta)(backend, images, rho);
}

}  // namespace detrame::inline DETRAME_ABI
