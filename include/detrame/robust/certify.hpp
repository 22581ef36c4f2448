// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "detrame/core/limits.hpp"
#include "detrame/robust/certified_radius.hpp"
#include "detrame/robust/pair_bounds.hpp"

namespace detrame::inline DETRAME_ABI {

/// What a certificate proves of an image and its radius r.                                               (R6)
enum class Claim {
  same_label,             ///< for every image of the scalar within r this program returns the same label
  same_label_or_refuses,  ///< the same, or it throws NotCertified
  none                    ///< nothing: r is 0; a layer has no constant, or no bound of its rounding
};

inline std::string name(Claim claim) {
  switch (claim) {
    case Claim::same_label: return "same label for every image of the scalar within r";
    case Claim::same_label_or_refuses:
      return "same label for every image of the scalar within r, or a refusal";
    case Claim::none: return "none";
  }
  return "none";
}

/// What is proved of each of some images.
struct Certificate {
  Claim claim = Claim::none;
  std::string why;             ///< why the claim is not a stronger one; empty for same_label
  std::vector<Index> label;    ///< the largest score's; -1 where the network refuses the image
  std::vector<double> radius;  ///< under `claim`, in the units of the images; 0 proves nothing
  /// The radius within which the network without rounding has that label, at the image itself too; 0 under
  /// Claim::none.
  std::vector<double> in_real_arithmetic;
};

namespace detail {

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
/// Throws    DomainError where the backend rounds products otherwise than the one that it was made with.
/// Cost      a forward pass, layer by layer, with lengths taken on the host
/// Source    docs/maths.md (L3), (L5), (R4), (R5), (R6)
/// Tested    tests/robust/certify_test.cpp
template <Layer Net>
class Certifier {
 public:
  using B = typename Net::Backend;
  static_assert(limits::kept<typename B::Scalar>,
                "Certifier: certificates need IEEE arithmetic: compile without -ffast-math");
  static_assert(Shape(Net::output).sites() == 1, "Certifier: the network must return one score a class");

  Certifier(B& backend, Net const& net, typename Net::Parameters const& theta)
      : net_(net),
        theta_(theta),
        bound_(network_bound(backend, net, theta)),
        constants_(detail::pair_constants(backend, net, theta, bound_, 1.)),
        in_scalar_(detail::rounds_in_scalar(backend)) {
    bool may_refuse = false;
    std::string const why = detail::unbounded_rounding(bound_, may_refuse);
    if (!bound_.lipschitz) {
      claim_ = Claim::none;
      why_ = bound_.lipschitz.reason();
    } else if (!why.empty()) {
      claim_ = Claim::none;
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
    if (detail::rounds_in_scalar(backend) != in_scalar_)
      throw DomainError("certify: the backend rounds products to TF32, or no longer does: make a Certifier");
    Certificate c{claim_, why_, {}, {}, {}};
    add(backend, ConstView<B>(x), rho, c);
    return c;
  }

 private:
  void add(B& backend, ConstView<B> x, double rho, Certificate& c) const {
    constexpr Shape in = Net::input;
    Index const N = samples<Net>("certify", x);
    if (N == 0) return;
    detail::PairScores scores;
    try {
      Balls<B> balls;
      balls.x = to_device(backend, to_host(backend, x));
      balls.centre = detail::lengths<B>(backend, x, in.sites());
      balls.radius.assign(static_cast<std::size_t>(N), rho);
      balls.error.assign(static_cast<std::size_t>(N), 0.);
      balls.off = balls.error;
      scores = detail::pair_scores(backend, net_, theta_, bound_, constants_, balls);
    } catch (NotCertified const&) {  // of one image at least
      if (N == 1) {
        c.label.push_back(-1);
        c.radius.push_back(0);
        c.in_real_arithmetic.push_back(0);
        return;
      }
      Index const half = N / 2 * in.sites();
      add(backend, x.middle_cols(0, half), rho, c);
      add(backend, x.middle_cols(half, x.cols() - half), rho, c);
      return;
    }
    Index const classes = scores.y.rows();
    for (Index n = 0; n < N; ++n) {
      auto const y = [&](Index j) { return scores.y(j, n); };
      Index label = 0;
      for (Index j = 1; j < classes; ++j)
        if (!(y(j) <= y(label))) label = j;
      auto const L = [&](Index j) { return constants_.lipschitz(label, j); };
      auto const e = [&](Index j) { return scores.error_of(constants_, label, j, n); };
      auto const half_off = [&](Index j) { return scores.off_of(constants_, label, j, n) / 2; };
      bool const proved = claim_ != Claim::none;
      c.label.push_back(label);
      c.radius.push_back(proved ? certified_radius(y, classes, label, rho, L, e) : 0.);
      // at x alone, once: the scores without rounding are within `off` of those that were computed
      c.in_real_arithmetic.push_back(proved ? certified_radius(y, classes, label, rho, L, half_off) : 0.);
    }
  }

  Net net_;
  typename Net::Parameters const& theta_;
  NetworkBound bound_;
  detail::PairConstants constants_;
  bool in_scalar_;
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
