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
/// `optimal`; else at the limit of products. Dostal, Optimal Quadratic Programming Algorithms, 2009, for the scheme.
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

/// Solves with the face search, and certifies: one image, or columns one after the other.
template <class Activation>
struct SearchFaces {
  Activation activation;
  bool warm;
  Index limit;

  static constexpr Index scratch_size(Index n, Index problem_rows) { return 10 * n + problem_rows + 1; }
  template <class Team>
  static constexpr Index scratch_of_columns(Index n, Index problem_rows) {
    return (4 * n + Team::height + problem_rows + 1) * Team::width + 10 * n;
  }

  template <class Team, MultipliedProblem<Team> P>
  DETRAME_HOST_DEVICE void operator()(Team const& team, P problem, Index j, typename Team::Scalar* scratch,
                                      MatrixView<typename Team::Scalar const> beta,
                                      MatrixView<typename Team::Scalar const> lambda,
                                      MatrixView<typename Team::Scalar> u,
                                      MatrixView<typename Team::Scalar> report) const {
    using Scalar = typename Team::Scalar;
    Index const n = u.rows();
    Scalar *const own = scratch, *const r = own + 9 * n, *const power = r + n, *const V = power + 1;
    problem.known.find(team, problem, activation, j, 1, power);
    problem.linear(team, j, V, r);
    problem.diagonal(team, own);
    search(
        team, problem, j, r, V, own, beta, lambda, u, report,
        [&](Scalar const* x, Scalar* y) { problem.multiply(team, x, V, y); },
        [&](Scalar const* x, Scalar* y) { problem.spread(team, x, V, y); });
    certify(team, activation, problem, beta, lambda, j, own, V, own + 4 * n, own + 5 * n, u, report);
  }

  template <class Team, FactoredProblem<Team> P>
  DETRAME_HOST_DEVICE void operator()(Team const& team, P problem, Index first,
                                      typename Team::Scalar* scratch,
                                      MatrixView<typename Team::Scalar const> beta,
                                      MatrixView<typename Team::Scalar const> lambda,
                                      MatrixView<typename Team::Scalar> u,
                                      MatrixView<typename Team::Scalar> report) const {
    using Scalar = typename Team::Scalar;
    constexpr Index width = Team::width;
    auto const Q = problem.Q;
    Index const n = u.rows(), count = u.cols() - first < width ? u.cols() - first : width;
    Scalar *const own = scratch, *const r_c = own + 9 * n, *const powers = r_c + n, *const v = powers + width,
                  *const g = v + n * width, *const t = g + n * width, *const r = t + n * width,
                  *const V = r + (n + Team::height) * width;
    problem.known.find(team, problem, activation, first, count, powers);
    problem.linear(team, first, V, r);
    for (Index c = 0; c < count; ++c) {
      team.each(n, [=](Index i) {
        r_c[i] = r[i * width + c];
        own[i] = Q(i, i);
      });
      search(
          team, problem, first + c, r_c, V, own, beta, lambda, u, report,
          [&](Scalar const* x, Scalar* y) { product<false>(team, Q, x, y); },
          [&](Scalar const* x, Scalar* y) { product<true>(team, Q, x, y); });
    }
    certify(team, activation, problem, beta, lambda, first, v, V, g, t, u, report);
  }

 private:
  template <bool magnitudes, class Team, class Scalar>
  DETRAME_HOST_DEVICE static void product(Team const& team, MatrixView<Scalar const> Q, Scalar const* x,
                                          Scalar* y) {
    team.each(Q.rows(), [=](Index i) { y[i] = Scalar(0); });
    add_product<magnitudes>(team, Q, 1, x, y);
  }

  /// Column j of u, from its r. multiply, spread: Q x, and |Q| x or more. own: 9 n scalars, q_ii on entry.
  template <class Team, class P, class Scalar, class Multiply, class Spread>
  DETRAME_HOST_DEVICE void search(Team const& team, P const& problem, Index j, Scalar const* r, Scalar* V,
                                  Scalar* own, MatrixView<Scalar const> beta, MatrixView<Scalar const> lambda,
                                  MatrixView<Scalar> u, MatrixView<Scalar> report, Multiply const& multiply,
                                  Spread const& spread) const {
    Index const n = u.rows();
    Scalar *const root = own, *const point = root + n, *const weights = point + n, *const fixed = weights + n,
                  *const rest = fixed + n;
    Powers const by = problem.powers(team, j);
    Activation const rule = activation.scaled(by.code);
    bool const from_guess = warm;
    auto const finite = [](Scalar v) { return std::abs(v) <= limits::largest<Scalar>; };
    problem.linear_terms(team, j, V, fixed);
    team.each(n, [=](Index i) {
      Scalar const guess = from_guess ? scaled(u(i, j), by.code) : Scalar(0);
      point[i] = rule(finite(guess) ? guess : Scalar(0), Scalar(0));
      weights[i] = scaled(lambda(i, 0), by.weights);
      Scalar const curvature = root[i] + beta(i, 0);
      root[i] = curvature > Scalar(0) ? std::sqrt(curvature) : Scalar(1);
    });
    Scalar const tolerance = static_cast<Scalar>(problem.roundings()) * limits::epsilon<Scalar> / Scalar(4);
    FaceSearch<Activation, Team> faces(team, rule, n, tolerance, weights, r, root, fixed, point, rest);
    auto const add_beta = [&](Scalar const* x, Scalar* y) {
      team.each(n, [=](Index i) { y[i] += beta(i, 0) * x[i]; });
    };
    auto const end = faces.run(
        limit,
        [&](Scalar const* x, Scalar* y) {
          multiply(x, y);
          add_beta(x, y);
        },
        [&](Scalar const* x, Scalar* y) {
          spread(x, y);
          add_beta(x, y);
        });
    // A kink or a curvature that lost bits in this unit is the caller's after one more step, in that of u.
    Activation const caller = activation;
    Scalar const *const g = faces.last_gradient(), *const Theta = faces.Theta();
    team.each(n, [=](Index i) {
      Scalar const at = scaled(point[i], -by.code), bend = rule.curvature(point[i]);
      bool const kept = bend == Scalar(0) || scaled(bend, by.code) == caller.curvature(at);
      u(i, j) = kept ? at
                     : caller(scaled(point[i] - g[i] / Theta[i], -by.code),
                              scaled(weights[i] / Theta[i], -by.code));
    });
    enter(team, report, j, end.status, end.products);
  }
};

}  // namespace detrame::inline DETRAME_ABI::exact
