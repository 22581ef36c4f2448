// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/exact/face_search.hpp"

namespace detrame::inline DETRAME_ABI::exact {

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
