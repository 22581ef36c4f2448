// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/problem.hpp"
#include "detrame/exact/report.hpp"

namespace detrame::inline DETRAME_ABI::exact {

/// lambda |rho'(u)|, what lambda adds to the terms of s; nothing where it is infinite.
template <class Rule, class Scalar>
DETRAME_HOST_DEVICE Scalar share_of_weight(Rule const& rule, Scalar u, Scalar lambda) {
  return lambda <= limits::largest<Scalar> ? lambda * std::abs(formula::derivative(rule, u)) : Scalar(0);
}

/// Judges the columns first, first + 1, ... side by side: writes their reports, and NaN for u where it cannot
/// tell.                                                                                                 (U5)
///
///   g = the gradient of f at u,   s = the element of least norm of g + lambda d rho(u)
///   t_i = the terms of g_i, and lambda_i |rho'(u_i)|, lambda_i at a kink, where it is finite
///   residual = max_i |s_i| / t_i
///
/// all of the scaled column, but in s u and rho in the caller's unit, where neither has lost a bit, and
/// `optimal` where residual <= c eps with c = roundings() / 2; else the status that the report holds on
/// entry. Where lambda_i is infinite, s_i is 0 or infinite; s_i = 0 is met whatever
/// t_i, and t_i that is not finite by no other s_i.
///
/// u, report: the rows of this block. Scratch of n x width: v, g, t, and V: scratch_rows() x width.
template <class Activation, class Team, Problem<Team> P>
DETRAME_HOST_DEVICE void certify(Team const& team, Activation activation, P const& problem,
                                 MatrixView<typename Team::Scalar const> beta,
                                 MatrixView<typename Team::Scalar const> lambda, Index first,
                                 typename Team::Scalar* v, typename Team::Scalar* V, typename Team::Scalar* g,
                                 typename Team::Scalar* t, MatrixView<typename Team::Scalar> u,
                                 MatrixView<typename Team::Scalar> report) {
  using Scalar = typename Team::Scalar;
  Index const n = u.rows(), width = problem.width(team);
  Index const count = u.cols() - first < width ? u.cols() - first : width;
  load_codes(team, problem, MatrixView<Scalar const>(u), first, count, v);
  problem.gradient(team, first, count, beta, v, V, g, t);
  for (Index c = 0; c < count; ++c) {
    Index const j = first + c;
    Powers const by = problem.powers(team, j);
    Scalar const residual = team.max(n, [=](Index i) {  // g becomes s
      Index const p = i + c * n;
      Scalar const weight = scaled_weight(lambda(i, 0), by.weights);
      Scalar const terms = t[p] + share_of_weight(activation, u(i, j), weight);
      Scalar const s = activation.subgradient(u(i, j), g[p], weight);
      g[p] = s;
      if (s == Scalar(0)) return s;
      return terms <= limits::largest<Scalar> ? std::abs(s) / terms : limits::nan<Scalar>;
    });
    Scalar const length = norm(team, n, [=](Index i) { return g[i + c * n]; });
    bool const finite = residual == residual && length <= limits::largest<Scalar>;
    Scalar const tolerance = static_cast<Scalar>(problem.roundings()) * limits::epsilon<Scalar> / Scalar(2);
    ExactStatus const status =
        !finite ? ExactStatus::not_finite
        : residual <= tolerance
            ? ExactStatus::optimal
            : static_cast<ExactStatus>(static_cast<int>(report(Index(Report::status), j)));
    team.once([=] {
      report(Index(Report::residual), j) = finite ? residual : limits::nan<Scalar>;
      report(Index(Report::subgradient), j) = finite ? scaled_up(length, -by.weights) : limits::nan<Scalar>;
      report(Index(Report::status), j) = static_cast<Scalar>(static_cast<int>(status));
    });
    if (!finite) team.each(n, [=](Index i) { u(i, j) = limits::nan<Scalar>; });
  }
}

}  // namespace detrame::inline DETRAME_ABI::exact
