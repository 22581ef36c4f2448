// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <utility>

#include "detrame/exact/certificate.hpp"
#include "detrame/exact/pivoting.hpp"
#include "detrame/exact/report.hpp"
#include "detrame/exact/seed.hpp"
#include "detrame/metric/concept.hpp"

namespace detrame {

namespace exact {

/// Solves one diagonal block of Q for the columns first, first + 1, ... side by side, and certifies.
///
/// u, report: the rows of this block, all columns. warm: u holds a guess on entry.
template <class Activation>
struct ActiveSet {
  bool warm;
  Index pivot_limit;

  template <class Team>
  static constexpr Index scratch_size(Index n, Index data_rows) {
    Index const side_by_side = 3 * n + data_rows + Seed<Activation, Team>::scratch_rows + Team::height;
    return Team::width * side_by_side + 4 * Team::padded(n) +
           Basis<Activation::two_sided, Team>::scratch_size(n);
  }

  template <class Team, class Data>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index first, typename Team::Scalar* scratch,
                                      Data const& data, MatrixView<typename Team::Scalar const> Q,
                                      MatrixView<typename Team::Scalar const> beta,
                                      MatrixView<typename Team::Scalar const> lambda,
                                      MatrixView<typename Team::Scalar> u,
                                      MatrixView<typename Team::Scalar> report) const {
    using Scalar = typename Team::Scalar;
    constexpr Index width = Team::width;
    Index const n = Q.rows();
    Scalar* const U = scratch;                             // n x width, side by side
    Scalar* const r = U + n * width;                       // n x width, side by side
    Scalar* const g = r + (n + Team::height) * width;      // n x width, by columns
    Scalar* const V = g + n * width;                       // data rows x width, of either kind
    Scalar* const rows = V + data.scratch_rows() * width;  // a few rows x width
    Scalar* const root = rows + Seed<Activation, Team>::scratch_rows * width;
    Scalar* const column = root + Team::padded(n);  // three columns

    team.each(n, [=](Index i) { root[i] = std::sqrt(Q(i, i) + beta(i, 0)); });
    Scalar const largest_root = team.max(n, [=](Index i) { return root[i]; });
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
      team.each(n, [=](Index i) {
        u_c[i] = U[i * width + c];
        r_c[i] = r[i * width + c];
      });
      Basis<Activation::two_sided, Team> basis(team, Q, beta, lambda, root, r_c, u_c, slack,
                                               data.magnitude(team, first + c, root, largest_root),
                                               largest_root, column + 3 * Team::padded(n));
      auto const end = Pivoting<Activation::two_sided, Team>(basis).run(pivot_limit);
      team.each(n, [=](Index i) { u(i, first + c) = u_c[i]; });
      enter(team, report, first + c, end.status, end.pivots);
    }
    certify<Activation>(team, data, beta, lambda, root, first, V, g, u, report);
  }

  static constexpr int sweeps = 10;
};

/// One task: a block of Q and `width` columns. A kernel of each_column.
template <class Activation>
struct MetricTask {
  ActiveSet<Activation> solve;

  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index task, Scalar* scratch,
                                      MatrixView<Scalar const> Q, MatrixView<Scalar const> beta,
                                      MatrixView<Scalar const> lambda, MatrixView<Scalar const> z,
                                      MatrixView<Scalar> u, MatrixView<Scalar> report) const {
    Index const n = Q.rows(), blocks = Q.cols() / n, block = task % blocks, row = block * n;
    auto const Q_block = Q.middle_cols(row, n);
    MetricData<Scalar> const data{Q_block, z.middle_rows(row, n)};
    solve(team, task / blocks * Team::width, scratch, data, Q_block, beta.middle_rows(row, n),
          lambda.middle_rows(row, n), u.middle_rows(row, n),
          report.middle_rows(block * Index(Report::count), Index(Report::count)));
  }
};

}  // namespace exact

/// The exact proximity operator of psi in the metric Q: one strictly convex problem per column of z.    (M3)
///
///   prox^Q_psi(z) = argmin_u  1/2 <u - z, Q (u - z)> + psi(u)
///
/// Shapes    Q: k x k.  z, u: k x N, a column a sample.
/// Requires  z.rows() == psi.dim() == Q.dim(), and a guess of the shape of z where one is used, else ShapeError;
///           pivot_limit >= 0, else DomainError. What is said of Q and psi is ensured by their types.
/// Ensures   (1) u >= 0 exactly where psi says so.
///           (2) residual, subgradient, bound as ExactResult says, from z, Q and u as returned, by loops that the
///               solver does not use.
///           (3) status `optimal` if and only if for every column residual <= 32 eps t, with t a bound of the terms
///               that the gradient is summed from, t = max_i root_i (|root o z|_1 + |root o u|_1) + |u|_inf,
///               root_i = sqrt(q_ii + beta_i). Any other status comes with the residual that was reached.
///           (4) u = 0 exactly where Q z <= lambda up to 8 eps t (|Q z| <= lambda for signed penalties).   (M8)
///           (5) a column of z that is not finite gives a column of NaN (in its block) and `not_finite`; the others
///               are as without it.
///           (6) the bits of a column depend neither on the other columns nor on the number of threads.
///           (7) N = 0 returns at once, optimal with residual 0. A result that is used again is not allocated again.
/// Adjoint   exact_prox_pullback (A2)
/// Cost      a column: about 12 k^2 multiply-adds for guess and certificate, |A|^3 / 6 for the first factor of
///           its support A and little for the next ones, k |A| a pivot; scratch k^2 / 2 scalars a thread.
/// Source    docs/maths.md (M3), (C4); the search for the support in exact/pivoting.hpp.
/// Tested    tests/exact/active_set_test.cpp, tests/exact/theorems_test.cpp
template <Backend B, ColumnMetric M, Penalty Psi>
void exact_prox(B& backend, M const& Q, Psi const& psi, typename B::Input z, ExactResult<B>& result,
                ExactOptions options = {}) {
  using View = typename B::View;
  using ConstView = typename B::ConstView;
  using Team = typename B::Team;
  using Activation = typename Psi::Activation;
  using Solver = exact::ActiveSet<Activation>;
  ConstView const Z = z, weights = Q.weights();
  Index const k = Q.dim(), N = Z.cols(), n = weights.rows(), blocks = k / n;
  if (Z.rows() != k || psi.dim() != k)
    throw ShapeError(
        message("exact_prox: z has ", Z.rows(), " rows, psi has ", psi.dim(), ", Q is ", k, " x ", k));
  bool const warm = exact::prepare(backend, "exact_prox", k, N, options, result);
  auto const frame = backend.lane().frame();
  View const report = backend.lane().scratch(blocks * Index(exact::Report::count), N);
  each_column(backend, (N + Team::width - 1) / Team::width * blocks,
              Solver::template scratch_size<Team>(n, n),
              exact::MetricTask<Activation>{{warm, options.pivot_limit}}, weights, psi.beta(), psi.lambda(),
              Z, View(result.u), report);
  exact::finish(backend, Q.lambda_min(), psi.beta(), report, result);
}

/// The same, as a value.
template <Backend B, ColumnMetric M, Penalty Psi>
ExactResult<B> exact_prox(B& backend, M const& Q, Psi const& psi, typename B::Input z,
                          ExactOptions options = {}) {
  ExactResult<B> result;
  exact_prox(backend, Q, psi, std::move(z), result, options);
  return result;
}

}  // namespace detrame
