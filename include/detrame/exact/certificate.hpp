// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/problem.hpp"
#include "detrame/exact/report.hpp"

namespace detrame::exact {

/// Judges the columns first, first + 1, ... side by side: writes their reports, and NaN for u where it cannot
/// tell.
///
///   g = the gradient of the data at u, and beta u
///   residual = |u - A(u - g, lambda)|_inf
///   square   = |s|_2^2,  s the element of least norm of g + lambda d rho(u)
///
/// `optimal` where residual <= 32 eps times a bound of the terms that g and u - (u - g) are summed from; else
/// the status that the report holds on entry.
///
/// V: data.scratch_rows() x width, g: n x width, both scratch. u, report: the rows of this block.
template <class Activation, class Team, Problem<Team> Data>
DETRAME_HOST_DEVICE void certify(Team const& team, Activation activation, Data const& data,
                                 MatrixView<typename Team::Scalar const> beta,
                                 MatrixView<typename Team::Scalar const> lambda, Index first,
                                 typename Team::Scalar* V, typename Team::Scalar* g,
                                 MatrixView<typename Team::Scalar> u,
                                 MatrixView<typename Team::Scalar> report) {
  using Scalar = typename Team::Scalar;
  Index const n = u.rows(), width = data.width(team);
  Index const count = u.cols() - first < width ? u.cols() - first : width;
  data.gradient(team, first, count, MatrixView<Scalar const>(u), V, g);
  for (Index c = 0; c < count; ++c) {
    Index const j = first + c;
    auto const gradient = [=](Index i) { return g[i + c * n] + beta(i, 0) * u(i, j); };
    Scalar const residual = team.max(
        n, [=](Index i) { return std::abs(u(i, j) - activation(u(i, j) - gradient(i), lambda(i, 0))); });
    Scalar const square = team.sum(n, [=](Index i) {
      Scalar const s = activation.subgradient(u(i, j), gradient(i), lambda(i, 0));
      return s * s;
    });
    Scalar const largest = team.max(n, [=](Index i) { return std::abs(u(i, j)); });
    Scalar const rounding =
        limits::epsilon<Scalar> *
        (data.linear_terms(team, j) + data.product_terms(team, MatrixView<Scalar const>(u), j) + largest);
    bool const finite = residual <= limits::largest<Scalar> && square <= limits::largest<Scalar>;
    ExactStatus const status =
        !finite ? ExactStatus::not_finite
        : residual <= 32 * rounding
            ? ExactStatus::optimal
            : static_cast<ExactStatus>(static_cast<int>(report(Index(Report::status), j)));
    team.once([=] {
      report(Index(Report::residual), j) = residual;
      report(Index(Report::square), j) = square;
      report(Index(Report::status), j) = static_cast<Scalar>(static_cast<int>(status));
    });
    if (!finite) team.each(n, [=](Index i) { u(i, j) = limits::nan<Scalar>; });
  }
}

}  // namespace detrame::exact
