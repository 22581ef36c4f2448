// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/exact/certificate.hpp"
#include "detrame/exact/kept_factors.hpp"
#include "detrame/exact/pivoting.hpp"
#include "detrame/exact/seed.hpp"

namespace detrame::inline DETRAME_ABI::exact {

/// Solves one diagonal block of Q for the columns first, first + 1, ... side by side, and certifies.
///
/// u, report, kept: the rows of this block, all columns. warm: u holds a guess on entry; a column whose
/// search finds no end from it is solved as without it.
template <class Activation>
struct ActiveSet {
  Activation activation;
  bool warm;
  Index pivot_limit;

  /// `problem_rows`: the problem's scratch_rows().
  template <class Team>
  static constexpr Index scratch_size(Index n, Index problem_rows) {
    Index const side_by_side = 4 * n + problem_rows + Seed<Activation, Team>::scratch_rows + Team::height + 1;
    return Team::width * side_by_side + 6 * Team::padded(n) +
           Basis<Activation::two_sided, Team>::scratch_size(n);
  }

  template <class Team, FactoredProblem<Team> P>
  DETRAME_HOST_DEVICE void operator()(Team const& team, P problem, Index first,
                                      typename Team::Scalar* scratch,
                                      MatrixView<typename Team::Scalar const> beta,
                                      MatrixView<typename Team::Scalar const> lambda,
                                      MatrixView<typename Team::Scalar> u,
                                      MatrixView<typename Team::Scalar> report,
                                      KeptFactors<typename Team::Scalar> kept) const {
    using Scalar = typename Team::Scalar;
    constexpr Index width = Team::width;
    auto const Q = problem.Q;
    Index const n = Q.rows(), count = u.cols() - first < width ? u.cols() - first : width;
    Scalar* const U = scratch;        // n x width, side by side; the judge's: by columns
    Scalar* const r = U + n * width;  // the same, and room for more rows
    Scalar* const weights = r + (n + Team::height) * width;  // n x width, side by side: lambda, scaled
    Scalar* const g = weights + n * width;                   // n x width, by columns
    Scalar* const V = g + n * width;                         // the problem's
    Scalar* const powers = V + problem.scratch_rows() * width;
    Scalar* const rows = powers + width;  // a few rows x width
    Scalar* const root = rows + Seed<Activation, Team>::scratch_rows * width;
    Scalar* const column = root + Team::padded(n);  // five columns

    problem.known.find(team, problem, activation, first, count, powers);
    team.each(n, [=](Index i) { root[i] = std::sqrt(Q(i, i) + beta(i, 0)); });
    problem.linear(team, first, V, r);
    load_columns(
        team, MatrixView<Scalar const>(u).middle_cols(0, warm ? u.cols() : 0), first,
        [&](Index j) { return problem.powers(team, j).code; }, U);
    team.each(n, [=](Index i) {
      for (Index c = 0; c < width; ++c) weights[i * width + c] = lambda(i, 0);
    });
    for (Index c = 0; c < count; ++c)
      if (int const by = problem.powers(team, first + c).weights; by != 0)
        team.each(n, [=](Index i) { weights[i * width + c] = scaled(lambda(i, 0), by); });
    Seed<Activation, Team>::sweep(team, warm ? 2 : sweeps, Q, beta, weights, r, U, rows);

    for (Index c = 0; c < count; ++c) {
      Scalar* const u_c = column;
      Scalar* const r_c = column + Team::padded(n);
      Scalar* const slack = column + 2 * Team::padded(n);
      Scalar* const lambda_c = column + 3 * Team::padded(n);
      Scalar* const terms = column + 4 * Team::padded(n);
      team.each(n, [=](Index i) {
        u_c[i] = U[i * width + c];
        r_c[i] = r[i * width + c];
        lambda_c[i] = weights[i * width + c];
      });
      problem.linear_terms(team, first + c, V, terms);
      Basis<Activation::two_sided, Team> basis(team, Q, beta, MatrixView<Scalar const>(lambda_c, n, 1, n),
                                               root, r_c, u_c, slack, terms, column + 5 * Team::padded(n));
      Index pivots = 0;
      ExactStatus status{};
      bool found = false;
      for (bool guess = warm;; guess = false) {
        auto const end = Pivoting<Activation::two_sided, Team>(basis).run(pivot_limit - pivots, guess);
        pivots += end.pivots;
        status = end.status;
        found = end.found;
        if (end.found || !guess || pivots >= pivot_limit) break;
        team.each(n * width, [=](Index p) { g[p] = Scalar(0); });
        Seed<Activation, Team>::sweep(team, sweeps, Q, beta, weights, r, g, rows);
        team.each(n, [=](Index i) { u_c[i] = g[i * width + c]; });
      }
      int const back = -problem.powers(team, first + c).code;
      team.each(n, [=](Index i) { u(i, first + c) = scaled(u_c[i], back); });
      kept.keep(basis, u, first + c, found);
      enter(team, report, first + c, status, pivots);
    }
    certify(team, activation, problem, beta, lambda, first, U, V, g, r, u, report);
  }

  static constexpr int sweeps = 10;
};

}  // namespace detrame::inline DETRAME_ABI::exact
