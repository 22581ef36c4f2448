// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/core/limits.hpp"
#include "detrame/core/matrix_view.hpp"
#include "detrame/exact/result.hpp"

namespace detrame::exact {

/// Minimises 1/2 <u, H u> - <r, u> + sum_i lambda_i |u_i| (+ indicator(u >= 0)) for an H that is only multiplied with.
///
/// Alternates a proximal gradient step of length 1 / L, which finds the support and its signs, with conjugate gradients
/// on that face, cut where a sign would change. No step raises the objective and every other one contracts the distance
/// to the solution by a fixed factor, so the search converges without cycling; where strict complementarity holds it
/// comes to the support of the solution after finitely many steps, and conjugate gradients end it.
///
///   product(x, y): y = H x.   u, and the scratch g, p, Hp, of n scalars each.
///
/// Ends where max |u - A(u - g, lambda)| <= tolerance or where twenty steps in a row do not lower the least value seen,
/// with `inaccurate`, which the certificate raises to `optimal`; else at the limit of products with H. Dostal, Optimal Quadratic Programming Algorithms, 2009,
/// for the scheme.
template <class Activation, class Team>
class FaceSearch {
 public:
  using Scalar = typename Team::Scalar;
  struct End {
    ExactStatus status;
    Index products;
  };

  DETRAME_HOST_DEVICE FaceSearch(Team const& team, Index n, Scalar L, Scalar tolerance,
                                 MatrixView<Scalar const> lambda, Scalar const* r, Scalar* u, Scalar* scratch)
      : team_(team),
        n_(n),
        L_(L),
        tolerance_(tolerance),
        lambda_(lambda),
        r_(r),
        u_(u),
        g_(scratch),
        p_(g_ + n),
        Hp_(p_ + n) {}

  static constexpr Index scratch_size(Index n) { return 3 * n; }

  template <class Product>
  DETRAME_HOST_DEVICE End run(Index limit, Product const& product) {
    Index products = 0, idle = 0;
    Scalar least = limits::infinity<Scalar>;
    Scalar *const u = u_, *const g = g_;
    auto const lambda = lambda_;
    Scalar const L = L_;
    while (products < limit) {
      gradient(product);
      ++products;
      Scalar const residual =
          team_.max(n_, [=](Index i) { return std::abs(u[i] - Activation{}(u[i] - g[i], lambda(i, 0))); });
      if (!(residual - residual == Scalar(0))) return {ExactStatus::not_finite, products};
      if (residual <= tolerance_) return {ExactStatus::inaccurate, products};
      idle = residual < least ? 0 : idle + 1;
      least = residual < least ? residual : least;
      if (idle == 20) return {ExactStatus::inaccurate, products};
      team_.each(n_, [=](Index i) { u[i] = Activation{}(u[i] - g[i] / L, lambda(i, 0) / L); });
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

  /// The slope on the face at i, 0 off it.
  static DETRAME_HOST_DEVICE Scalar slope(Scalar u, Scalar g, Scalar lambda) {
    return u > Scalar(0) ? g + lambda : u < Scalar(0) ? g - lambda : Scalar(0);
  }

  /// Conjugate gradients on the face of u, from its gradient in g; returns the number of products. g is left as it is on
  /// the face, for one more step of descent; off the face it is stale.
  template <class Product>
  DETRAME_HOST_DEVICE Index conjugate_gradients(Index limit, Product const& product) {
    Scalar *const u = u_, *const g = g_, *const p = p_, *const Hp = Hp_;
    auto const lambda = lambda_;
    // What pulls zeros into the support: as long as the face's slope is less than a tenth of that, it can wait.
    Scalar const off = team_.sum(n_, [=](Index i) {
      Scalar const excess = u[i] == Scalar(0) ? Activation{}(-g[i], lambda(i, 0)) : Scalar(0);
      return excess * excess;
    });
    team_.each(n_, [=](Index i) { p[i] = -slope(u[i], g[i], lambda(i, 0)); });
    Scalar square = team_.sum(n_, [=](Index i) { return p[i] * p[i]; });
    Scalar const floor = tolerance_ * tolerance_ / Scalar(16);
    Index products = 0;
    while (products < limit && square > Scalar(0.01) * off && square > floor) {
      product(p_, Hp_);
      ++products;
      Scalar const curvature = team_.sum(n_, [=](Index i) { return p[i] * Hp[i]; });
      if (!(curvature > Scalar(0))) break;
      Scalar const wanted = square / curvature;
      // 1 / step at which the first sign changes
      Scalar const blocking = team_.max(n_, [=](Index i) {
        return u[i] != Scalar(0) && u[i] * p[i] < Scalar(0) ? -p[i] / u[i] : Scalar(0);
      });
      bool const blocked = wanted * blocking >= Scalar(1);
      Scalar const step = blocked ? Scalar(1) / blocking : wanted;
      team_.each(n_, [=](Index i) {
        if (u[i] == Scalar(0)) return;
        Scalar const next = u[i] + step * p[i];
        u[i] = next * u[i] > Scalar(0) ? next : Scalar(0);
        g[i] += step * Hp[i];
      });
      if (blocked) break;
      Scalar const next_square = team_.sum(n_, [=](Index i) {
        Scalar const s = slope(u[i], g[i], lambda(i, 0));
        return s * s;
      });
      Scalar const turn = next_square / square;
      square = next_square;
      team_.each(n_, [=](Index i) { p[i] = turn * p[i] - slope(u[i], g[i], lambda(i, 0)); });
    }
    return products;
  }

  Team const& team_;
  Index n_;
  Scalar L_, tolerance_;
  MatrixView<Scalar const> lambda_;
  Scalar const* r_;
  Scalar *u_, *g_, *p_, *Hp_;
};

}  // namespace detrame::exact
