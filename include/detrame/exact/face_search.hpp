// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/core/limits.hpp"
#include "detrame/core/matrix_view.hpp"
#include "detrame/exact/certificate.hpp"

namespace detrame::exact {

/// Minimises 1/2 <u, H u> - <r, u> + sum_i lambda_i |u_i| (+ indicator(u >= 0)) for an H that is only
/// multiplied with.
///
/// Alternates a proximal gradient step of length 1 / L, which finds the support and its signs, with conjugate
/// gradients on that face, cut where a sign would change. No step raises the objective and every other one
/// contracts the distance to the solution by a fixed factor, so the search converges without cycling; where
/// strict complementarity holds it comes to the support of the solution after finitely many steps, and
/// conjugate gradients end it.
///
///   product(x, y): y = H x.   u, and the scratch g, p, Hp, of n scalars each.
///
/// Ends where max |u - A(u - g, lambda)| <= tolerance or where twenty steps in a row do not lower the least
/// value seen, with `inaccurate`, which the certificate raises to `optimal`; else at the limit of products
/// with H. Dostal, Optimal Quadratic Programming Algorithms, 2009, for the scheme.
template <class Activation, class Team>
class FaceSearch {
 public:
  using Scalar = typename Team::Scalar;
  struct End {
    ExactStatus status;
    Index products;
  };

  DETRAME_HOST_DEVICE FaceSearch(Team const& team, Activation activation, Index n, Scalar L, Scalar tolerance,
                                 MatrixView<Scalar const> lambda, Scalar const* r, Scalar* u, Scalar* scratch)
      : team_(team),
        activation_(activation),
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
    Activation const activation = activation_;
    Scalar const L = L_;
    while (products < limit) {
      gradient(product);
      ++products;
      Scalar const residual =
          team_.max(n_, [=](Index i) { return std::abs(u[i] - activation(u[i] - g[i], lambda(i, 0))); });
      if (!(residual - residual == Scalar(0))) return {ExactStatus::not_finite, products};
      if (residual <= tolerance_) return {ExactStatus::inaccurate, products};
      idle = residual < least ? 0 : idle + 1;
      least = residual < least ? residual : least;
      if (idle == 20) return {ExactStatus::inaccurate, products};
      team_.each(n_, [=](Index i) { u[i] = activation(u[i] - g[i] / L, lambda(i, 0) / L); });
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

  /// Conjugate gradients on the face of u, from its gradient in g; returns the number of products. g is left
  /// as it is on the face, for one more step of descent; off the face it is stale.
  template <class Product>
  DETRAME_HOST_DEVICE Index conjugate_gradients(Index limit, Product const& product) {
    Scalar *const u = u_, *const g = g_, *const p = p_, *const Hp = Hp_;
    auto const lambda = lambda_;
    Activation const activation = activation_;
    auto const on_face = [=](Index i) { return activation.slope(u[i]) != Scalar(0); };
    auto const slope = [=](Index i) { return activation.subgradient(u[i], g[i], lambda(i, 0)); };
    // What pulls entries off their kinks: as long as the face's slope is less than a tenth of that, it can
    // wait.
    Scalar const off = team_.sum(n_, [=](Index i) { return on_face(i) ? Scalar(0) : slope(i) * slope(i); });
    team_.each(n_, [=](Index i) { p[i] = on_face(i) ? -slope(i) : Scalar(0); });
    Scalar square = team_.sum(n_, [=](Index i) { return p[i] * p[i]; });
    Scalar const floor = tolerance_ * tolerance_ / Scalar(16);
    Index products = 0;
    while (products < limit && square > Scalar(0.01) * off && square > floor) {
      product(p_, Hp_);
      ++products;
      Scalar const curvature = team_.sum(n_, [=](Index i) { return p[i] * Hp[i]; });
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
      Scalar const next_square = team_.sum(n_, [=](Index i) {
        Scalar const s = on_face(i) ? slope(i) : Scalar(0);
        return s * s;
      });
      Scalar const turn = next_square / square;
      square = next_square;
      team_.each(n_, [=](Index i) { p[i] = on_face(i) ? turn * p[i] - slope(i) : Scalar(0); });
    }
    return products;
  }

  Team const& team_;
  Activation activation_;
  Index n_;
  Scalar L_, tolerance_;
  MatrixView<Scalar const> lambda_;
  Scalar const* r_;
  Scalar *u_, *g_, *p_, *Hp_;
};

/// Solves one image with the face search, and certifies.
template <class Activation>
struct SearchFaces {
  Activation activation;
  bool warm;
  Index limit;

  static constexpr Index scratch_size(Index n, Index data_rows) { return 5 * n + data_rows; }

  template <class Team, MultipliedProblem<Team> P, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, P problem, Index j, Scalar* scratch,
                                      MatrixView<Scalar const> beta, MatrixView<Scalar const> lambda,
                                      MatrixView<Scalar> u, MatrixView<Scalar> report) const {
    Index const n = u.rows();
    Scalar *const point = scratch, *const r = point + n, *const rest = r + n, *const V = rest + 3 * n;
    bool const from_guess = warm;
    auto const project = activation;
    team.each(n, [=](Index i) { point[i] = project(from_guess ? u(i, j) : Scalar(0), Scalar(0)); });
    problem.prepare(team, beta, V);
    problem.linear(team, j, V, r);
    Scalar const tolerance = Scalar(4) * limits::epsilon<Scalar> * problem.linear_terms(team, j);
    FaceSearch<Activation, Team> search(team, activation, n, problem.bound, tolerance, lambda, r, point,
                                        rest);
    auto const end = search.run(limit, [&](Scalar const* x, Scalar* y) {
      problem.multiply(team, x, V, y);
      team.each(n, [=](Index i) { y[i] += beta(i, 0) * x[i]; });
    });
    team.each(n, [=](Index i) { u(i, j) = point[i]; });
    enter(team, report, j, end.status, end.products);
    certify(team, activation, problem, beta, lambda, j, V, rest, u, report);
  }
};

}  // namespace detrame::exact
