// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "detrame/exact/certificate.hpp"
#include "detrame/exact/code_entries.hpp"

namespace detrame::inline DETRAME_ABI::exact {

/// `certify` for a whole block side by side, on a CPU: the same numbers by loops of their own, in which the
/// columns share what is read of the problem.                                                            (U5)
///
/// Scratch: v, g: n x width each; V: scratch_rows() x width; entries.
template <class Activation, class Team, Problem<Team> P>
void certify_block(Team const& team, Activation activation, P const& problem,
                   MatrixView<typename Team::Scalar const> beta,
                   MatrixView<typename Team::Scalar const> lambda, Index first, typename Team::Scalar* v,
                   typename Team::Scalar* V, typename Team::Scalar* g,
                   CodeEntries<typename Team::Scalar>& entries, MatrixView<typename Team::Scalar> u,
                   MatrixView<typename Team::Scalar> report) {
  using Scalar = typename Team::Scalar;
  constexpr Index width = Team::width;
  Index const n = u.rows(), count = std::min(u.cols() - first, width);
  Powers by[width];
  bool plain = true;  // no unit but 1
  for (Index c = 0; c < count; ++c) {
    by[c] = problem.powers(team, first + c);
    plain = plain && by[c].weights == 0;
  }
  entries.read(
      team, MatrixView<Scalar const>(u), first, count, width, [&](Index c) { return by[c].code; }, v);
  auto const judged = problem.judge(team, first, count, beta, entries, V, g);

  Scalar residual[width] = {}, square[width] = {}, poison[width] = {};
  for (Index i = 0; i < n; ++i) {
    Scalar weight[width];
    Scalar const* const v_i = v + i * width;
    Scalar* const g_i = g + i * width;
    judged.gradient(team, i, v_i, g_i);
    Scalar const lambda_i = lambda(i, 0);
    team.abreast([&](Index c) { weight[c] = lambda_i; });
    if (!plain)
      for (Index c = 0; c < width; ++c) weight[c] = scaled(lambda_i, by[c].weights);
    team.subgradients(activation, v_i, g_i, weight, g_i);  // s
    if (!team.any_nonzero(g_i)) continue;                  // as in most rows off the supports
    Scalar terms[width];
    judged.terms(team, i, terms);
    team.abreast([&](Index c) { terms[c] += weight[c] <= limits::largest<Scalar> ? weight[c] : Scalar(0); });
    team.abreast([&](Index c) { terms[c] = g_i[c] == Scalar(0) ? Scalar(0) : terms[c]; });
    team.abreast([&](Index c) { poison[c] += (terms[c] - terms[c]) + (g_i[c] - g_i[c]); });  // 0, or NaN
    team.abreast([&](Index c) { square[c] += g_i[c] * g_i[c]; });
    team.abreast([&](Index c) {
      Scalar const share = std::abs(g_i[c]) / (terms[c] > Scalar(0) ? terms[c] : limits::least<Scalar>);
      residual[c] = share > residual[c] ? share : residual[c];
    });
  }
  Scalar const tolerance = static_cast<Scalar>(problem.roundings()) * limits::epsilon<Scalar> / Scalar(2);
  for (Index c = 0; c < count; ++c) {
    Index const j = first + c;
    constexpr Scalar eps = limits::epsilon<Scalar>, safe = limits::smallest<Scalar> / (eps * eps);
    Scalar const length = square[c] >= safe && square[c] <= limits::largest<Scalar>
                              ? std::sqrt(square[c])
                              : norm(team, n, [=](Index i) { return g[i * width + c]; });
    bool const finite = poison[c] == Scalar(0) && length <= limits::largest<Scalar>;
    if (finite && residual[c] <= tolerance) enter(team, report, j, ExactStatus::optimal);
    if (!finite) enter(team, report, j, ExactStatus::not_finite);
    report(Index(Report::residual), j) = finite ? residual[c] : limits::nan<Scalar>;
    report(Index(Report::subgradient), j) = finite ? scaled_up(length, -by[c].weights) : limits::nan<Scalar>;
    if (!finite) team.each(n, [=](Index i) { u(i, j) = limits::nan<Scalar>; });
  }
}

}  // namespace detrame::inline DETRAME_ABI::exact
