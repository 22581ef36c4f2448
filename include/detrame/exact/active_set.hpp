// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/exact/certificate.hpp"
#include "detrame/exact/pivoting.hpp"
#include "detrame/exact/seed.hpp"

namespace detrame::exact {

/// Solves one diagonal block of Q for the columns first, first + 1, ... side by side, and certifies.
///
/// u, report: the rows of this block, all columns. warm: u holds a guess on entry.
template <class Activation>
struct ActiveSet {
  static_assert(
      requires { Activation::two_sided; },
      "exact: the active set takes penalties whose only kink is 0 (Shrinkage: lambda |u|, perhaps on "
      "u >= 0); any other Penalty is solved in a ConvolutionalMetric or a ConvolutionalSynthesis");
  Activation activation;
  bool warm;
  Index pivot_limit;

  template <class Team>
  static constexpr Index scratch_size(Index n, Index data_rows) {
    Index const side_by_side = 3 * n + data_rows + Seed<Activation, Team>::scratch_rows + Team::height;
    return Team::width * side_by_side + 5 * Team::padded(n) +
           Basis<Activation::two_sided, Team>::scratch_size(n);
  }

  template <class Team, FactoredProblem<Team> Data>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Data data, Index first,
                                      typename Team::Scalar* scratch,
                                      MatrixView<typename Team::Scalar const> beta,
                                      MatrixView<typename Team::Scalar const> lambda,
                                      MatrixView<typename Team::Scalar> u,
                                      MatrixView<typename Team::Scalar> report) const {
    using Scalar = typename Team::Scalar;
    constexpr Index width = Team::width;
    auto const Q = data.Q;
    Index const n = Q.rows();
    Scalar* const U = scratch;                             // n x width, side by side
    Scalar* const r = U + n * width;                       // n x width, side by side
    Scalar* const g = r + (n + Team::height) * width;      // n x width, by columns
    Scalar* const V = g + n * width;                       // data rows x width, of either kind
    Scalar* const rows = V + data.scratch_rows() * width;  // a few rows x width
    Scalar* const root = rows + Seed<Activation, Team>::scratch_rows * width;
    Scalar* const column = root + Team::padded(n);  // four columns

    team.each(n, [=](Index i) { root[i] = std::sqrt(Q(i, i) + beta(i, 0)); });
    data.roots = {root, team.max(n, [=](Index i) { return root[i]; })};
    data.linear(team, first, V, r);
    if (warm)
      load_columns(team, MatrixView<Scalar const>(u), first, U);
    else
      team.each(n * width, [=](Index i) { U[i] = Scalar(0); });
    Seed<Activation, Team>::sweep(team, warm ? 2 : sweeps, Q, beta, lambda, r, U, rows);

    for (Index c = 0; c < width && first + c < u.cols(); ++c) {
      Scalar* const u_c = column;
      Scalar* const r_c = column + Team::padded(n);
      Scalar* const slack = column + 2 * Team::padded(n);
      Scalar* const terms = column + 3 * Team::padded(n);
      team.each(n, [=](Index i) {
        u_c[i] = U[i * width + c];
        r_c[i] = r[i * width + c];
      });
      data.linear_terms(team, first + c, root, terms);
      Basis<Activation::two_sided, Team> basis(team, Q, beta, lambda, root, r_c, u_c, slack, terms,
                                               column + 4 * Team::padded(n));
      auto const end = Pivoting<Activation::two_sided, Team>(basis).run(pivot_limit);
      team.each(n, [=](Index i) { u(i, first + c) = u_c[i]; });
      enter(team, report, first + c, end.status, end.pivots);
    }
    certify(team, activation, data, beta, lambda, first, V, g, u, report);
  }

  static constexpr int sweeps = 10;
};

}  // namespace detrame::exact
