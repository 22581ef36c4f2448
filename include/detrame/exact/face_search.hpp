// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/exact/certificate.hpp"

namespace detrame::inline DETRAME_ABI::exact {

/// Minimises 1/2 <u, H u> - <r, u> + sum_i lambda_i rho(u_i) for an H that is only multiplied with.
///
/// Alternates a proximal gradient step in the metric Theta, which finds what stands at a kink, with conjugate
/// gradients on that face, cut where an entry would pass a kink. No step raises the objective and every other
/// one contracts the distance to the solution by a fixed factor, so the search converges without cycling;
/// where strict complementarity holds it comes to the face of the solution after finitely many steps, and
/// conjugate gradients end it.
///
///   Theta_i = sqrt(h_ii) sum_l |h_il| / sqrt(h_ll)      H <= Theta: Gershgorin's, in the unknowns sqrt(h_ii)
///                                                       u_i
///
/// in which conjugate gradients work too, so that nothing depends on the unit of an entry.
///
///   product(x, y): y = H x.  spread(x, y): y = |H| x, or more.  root: sqrt(h_ii).  fixed: the terms of r_i.
///   u: the start, in the domain.
///
/// Ends where for all i |s_i| <= tolerance t_i, s the element of least norm of H u - r + lambda d rho(u),
/// computed anew from u, and t the terms that it is summed from; or where twenty steps in a row lower neither
/// the least value of that nor the least objective: with `inaccurate`, which the certificate raises to
/// `optimal`; else at the limit of products. Dostal, Optimal Quadratic Programming Algorithms, 2009, for the
/// scheme.
template <class Activation, class Team>
class FaceSearch {
 public:
  using Scalar = typename Team::Scalar;
  struct End {
    ExactStatus status;
    Index products;
  };

  DETRAME_HOST_DEVICE FaceSearch(Team const& team, Activation activation, Index n, Scalar tolerance,
                                 Scalar const* lambda, Scalar const* r, Scalar const* root,
                                 Scalar const* fixed, Scalar* u, Scalar* scratch)
      : team_(team),
        activation_(activation),
        n_(n),
        tolerance_(tolerance),
        lambda_(lambda),
        r_(r),
        root_(root),
        fixed_(fixed),
        u_(u),
        g_(scratch),
        p_(g_ + n),
        Hp_(p_ + n),
        Theta_(Hp_ + n),
        reach_(Theta_ + n) {}

  static constexpr Index scratch_size(Index n) { return 5 * n; }

  /// H u - r of the last point that was measured, and Theta.
  DETRAME_HOST_DEVICE Scalar const* last_gradient() const { return g_; }
  DETRAME_HOST_DEVICE Scalar const* Theta() const { return Theta_; }

  template <class Product, class Spread>
  DETRAME_HOST_DEVICE End run(Index limit, Product const& product, Spread const& spread) {
    Index products = 0, idle = 0;
    Scalar least = limits::infinity<Scalar>, lowest = least;
    Scalar *const u = u_, *const g = g_, *const p = p_, *const Theta = Theta_, *const reach = reach_;
    Scalar const *const root = root_, *const lambda = lambda_;
    Activation const activation = activation_;
    team_.each(n_, [=](Index i) {
      p[i] = Scalar(1) / root[i];
      g[i] = reach[i] = Scalar(0);
    });
    spread(p_, Theta_);
    team_.each(n_, [=](Index i) { Theta[i] *= root[i]; });
    while (products < limit) {
      gradient(product);
      ++products;
      Scalar residual = measure();
      // Near the end, the terms of H u too; they are what there is at a start that is not 0.
      bool const from_other = products == 1 && activation(Scalar(0), Scalar(0)) != Scalar(0);
      if (residual <= 100 * tolerance_ || from_other) {
        team_.each(n_, [=](Index i) { p[i] = std::abs(u[i]); });
        spread(p_, reach_);
        residual = measure();
      }
      if (residual != residual) return {ExactStatus::not_finite, products};
      if (residual <= tolerance_) return {ExactStatus::inaccurate, products};
      Scalar const value = objective();
      idle = residual < least || value < lowest ? 0 : idle + 1;
      least = residual < least ? residual : least;
      lowest = value < lowest ? value : lowest;
      if (idle == 20) return {ExactStatus::inaccurate, products};
      if (products == limit) break;
      team_.each(n_, [=](Index i) { u[i] = activation(u[i] - g[i] / Theta[i], lambda[i] / Theta[i]); });
      gradient(product);
      products += 1 + conjugate_gradients(limit - products, product);
    }
    return {ExactStatus::iteration_limit, products};
  }

 private:
  /// g = H u - r
  template <class Product>
  DETRAME_HOST_DEVICE void gradient(Product const& product) {
    Scalar* const g = g_;
    Scalar const* const r = r_;
    product(u_, g_);
    team_.each(n_, [=](Index i) { g[i] -= r[i]; });
  }

  /// The objective, from its gradient in g; infinity of a rule that does not say its value.
  DETRAME_HOST_DEVICE Scalar objective() const {
    Scalar const *const u = u_, *const g = g_, *const r = r_, *const lambda = lambda_;
    if constexpr (requires(Activation const& rule, Scalar v) { rule.value(v); }) {
      formula::PenaltyTerm<Activation> const term{activation_};
      return team_.sum(
          n_, [=](Index i) { return u[i] * (g[i] - r[i]) / Scalar(2) + term(u[i], lambda[i], Scalar(0)); });
    } else {
      return limits::infinity<Scalar>;
    }
  }

  /// max_i |s_i| / t_i, infinity where s_i has no terms, NaN where one is.
  DETRAME_HOST_DEVICE Scalar measure() const {
    Scalar const *const u = u_, *const g = g_, *const lambda = lambda_, *const fixed = fixed_,
                        *const reach = reach_;
    Activation const activation = activation_;
    return team_.max(n_, [=](Index i) {
      Scalar const s = activation.subgradient(u[i], g[i], lambda[i]);
      return s == Scalar(0)
                 ? s
                 : std::abs(s) / ((fixed[i] + share_of_weight(activation, u[i], lambda[i])) + reach[i]);
    });
  }

  /// Conjugate gradients on the face of u, from its gradient in g; returns the number of products. g is left
  /// as it is on the face, for one more step of descent; off the face it is stale.
  template <class Product>
  DETRAME_HOST_DEVICE Index conjugate_gradients(Index limit, Product const& product) {
    Scalar *const u = u_, *const g = g_, *const p = p_, *const Hp = Hp_;
    Scalar const *const root = root_, *const lambda = lambda_, *const fixed = fixed_, *const reach = reach_;
    Activation const activation = activation_;
    auto const on_face = [=](Index i) { return !formula::held(activation, u[i], lambda[i]); };
    auto const slope = [=](Index i) { return activation.subgradient(u[i], g[i], lambda[i]) / root[i]; };
    // What pulls entries off their kinks: as long as the face's slope is less than a tenth of that,
    // it can wait.
    Scalar const off = team_.sum(n_, [=](Index i) { return on_face(i) ? Scalar(0) : slope(i) * slope(i); });
    team_.each(n_, [=](Index i) { p[i] = on_face(i) ? -slope(i) / root[i] : Scalar(0); });
    auto const face_square = [=](Index i) { return on_face(i) ? slope(i) * slope(i) : Scalar(0); };
    Scalar square = team_.sum(n_, face_square);
    Scalar const tolerance = tolerance_ / (Scalar(4) * std::sqrt(static_cast<Scalar>(n_)));
    Scalar const floor = team_.sum(n_, [=](Index i) {
      Scalar const share = share_of_weight(activation, u[i], lambda[i]);
      Scalar const enough = tolerance * (((fixed[i] + share) + reach[i]) / root[i]);
      return on_face(i) ? enough * enough : Scalar(0);
    });
    Index products = 0;
    while (products < limit && square > Scalar(0.01) * off && square > floor) {
      product(p_, Hp_);
      ++products;
      Scalar const curvature = team_.sum(n_, [=](Index i) {
        return on_face(i) ? p[i] * (Hp[i] + formula::curvature(activation, u[i], lambda[i]) * p[i])
                          : Scalar(0);
      });
      if (!(curvature > Scalar(0))) break;
      Scalar const wanted = square / curvature;
      // 1 / step at which the first entry comes to a kink
      Scalar const blocking = team_.max(n_, [=](Index i) {
        return p[i] == Scalar(0) ? p[i] : p[i] / (activation.kink(u[i], p[i]) - u[i]);
      });
      bool const blocked = wanted * blocking >= Scalar(1);
      Scalar const step = blocked ? Scalar(1) / blocking : wanted;
      team_.each(n_, [=](Index i) {
        if (!on_face(i)) return;
        Scalar const next = u[i] + step * p[i], kink = activation.kink(u[i], p[i]);
        u[i] = (kink - next) * p[i] > Scalar(0) ? next : (p[i] == Scalar(0) ? u[i] : kink);
        g[i] += step * Hp[i];
      });
      if (blocked) break;
      Scalar const next_square = team_.sum(n_, face_square);
      Scalar const turn = next_square / square;
      square = next_square;
      team_.each(n_, [=](Index i) { p[i] = on_face(i) ? turn * p[i] - slope(i) / root[i] : Scalar(0); });
    }
    return products;
  }

  Team const& team_;
  Activation activation_;
  Index n_;
  Scalar tolerance_;
  Scalar const *lambda_, *r_, *root_, *fixed_;
  Scalar *u_, *g_, *p_, *Hp_, *Theta_, *reach_;
};

}  // namespace detrame::inline DETRAME_ABI::exact
