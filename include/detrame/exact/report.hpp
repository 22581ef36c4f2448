// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/exact/range.hpp"
#include "detrame/exact/result.hpp"

namespace detrame::inline DETRAME_ABI::exact {

/// What a column reports for one diagonal block of Q, a row each.
enum class Report : Index { residual, subgradient, status, pivots, count };

/// Enters how the search for column j ended; the certificate raises the status to `optimal` where it is.
template <class Team, class Scalar>
DETRAME_HOST_DEVICE void enter(Team const& team, MatrixView<Scalar> report, Index j, ExactStatus status,
                               Index pivots) {
  team.once([=] {
    report(Index(Report::status), j) = static_cast<Scalar>(static_cast<int>(status));
    report(Index(Report::pivots), j) = static_cast<Scalar>(pivots);
  });
}

/// The same, where the pivots stand already.
template <class Team, class Scalar>
DETRAME_HOST_DEVICE void enter(Team const& team, MatrixView<Scalar> report, Index j, ExactStatus status) {
  team.once([=] { report(Index(Report::status), j) = static_cast<Scalar>(static_cast<int>(status)); });
}

/// The reports of all blocks of Q become one a column; a kernel of each_column.
struct Combine {
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar*, MatrixView<Scalar const> report,
                                      MatrixView<Scalar> residual, MatrixView<Scalar> subgradient,
                                      MatrixView<Scalar> status, MatrixView<Scalar> pivots) const {
    Index const blocks = report.rows() / Index(Report::count);
    auto const entry = [=](Report what, Index b) {
      return report(b * Index(Report::count) + Index(what), j);
    };
    if (blocks == 1) {
      team.once([=] {
        residual(0, j) = entry(Report::residual, 0);
        subgradient(0, j) = entry(Report::subgradient, 0);
        status(0, j) = entry(Report::status, 0);
        pivots(0, j) = entry(Report::pivots, 0);
      });
      return;
    }
    Scalar const largest = team.max(blocks, [=](Index b) { return entry(Report::residual, b); });
    Scalar const length = norm(team, blocks, [=](Index b) { return entry(Report::subgradient, b); });
    Scalar const worst = team.max(blocks, [=](Index b) { return entry(Report::status, b); });
    Scalar const most = team.max(blocks, [=](Index b) { return entry(Report::pivots, b); });
    team.once([=] {
      residual(0, j) = largest;
      subgradient(0, j) = length;
      status(0, j) = worst;
      pivots(0, j) = most;
    });
  }
};

/// The reports of all columns become one, in `summary`; a kernel of each_column with one task.
template <class Scalar>
struct Summarise {
  Scalar lambda_min;

  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index, Scalar*, MatrixView<Scalar const> residual,
                                      MatrixView<Scalar const> subgradient, MatrixView<Scalar const> status,
                                      MatrixView<Scalar const> pivots, MatrixView<Scalar const> beta,
                                      MatrixView<Scalar> summary) const {
    Index const N = residual.cols();
    Scalar least_beta = beta(0, 0);
    for (Index i = 1; i < beta.rows(); ++i) least_beta = beta(i, 0) < least_beta ? beta(i, 0) : least_beta;
    Scalar const modulus = lambda_min + least_beta;
    Scalar const largest = team.max(N, [=](Index j) { return residual(0, j); });
    Scalar const slope = team.max(N, [=](Index j) { return subgradient(0, j); });
    Scalar const quotient = slope == Scalar(0) ? slope : slope / modulus;
    Scalar const bound = slope > Scalar(0) && quotient < limits::smallest<Scalar>
                             ? quotient + limits::least<Scalar>
                             : quotient;
    Scalar const worst = team.max(N, [=](Index j) { return status(0, j); });
    Scalar const most = team.max(N, [=](Index j) { return pivots(0, j); });
    team.once([=] {
      summary(0, 0) = largest;
      summary(0, 1) = bound;
      summary(0, 2) = worst;
      summary(0, 3) = most;
    });
  }
};

/// A penalty has a row for each row of the code.
inline void require_rows(char const* who, Index rows, Index k) {
  if (rows != k) throw ShapeError(message(who, ": psi has ", rows, " rows, D has ", k, " atoms"));
}

/// Memory for N columns, kept where the shape is right already.
template <Backend B>
void reserve(B& backend, Matrix<B>& m, Index rows, Index cols) {
  if (m.rows() != rows || m.cols() != cols) resize(backend, m, rows, cols);
}

/// Images, and whatever the penalty is where it is no Shrinkage, are solved by products, without a factor.
inline void require_no_factors(char const* who, ExactOptions options) {
  if (options.factor_bytes != 0)
    throw DomainError(message(who, ": factor_bytes = ", options.factor_bytes,
                              ", must be 0 for images, and for a penalty that is no Shrinkage"));
}

/// What the entry points refuse. Whether there is a guess to start from.
template <Backend B>
bool prepare(B& backend, char const* who, Index k, Index N, ExactOptions options, ExactResult<B>& result) {
  require_at_least(who, "pivot_limit", options.pivot_limit, Index{0});
  require_at_least(who, "factor_bytes", options.factor_bytes, Index{0});
  if (options.warm_start && (result.u.rows() != k || result.u.cols() != N))
    throw ShapeError(message(who, ": the guess is ", result.u.rows(), " x ", result.u.cols(),
                             ", the solution ", k, " x ", N));
  result.factors.all = false;
  if (options.factor_bytes == 0)
    for (auto* kept : {&result.factors.sizes, &result.factors.slots}) reserve(backend, *kept, 0, 0);
  reserve(backend, result.u, k, N);
  return options.warm_start;
}

/// Everything behind the kernels: reports to the numbers of a result.
template <Backend B>
void finish(B& backend, typename B::Scalar lambda_min, ConstView<B> beta, ConstView<B> report,
            ExactResult<B>& result) {
  using Scalar = typename B::Scalar;
  Index const N = report.cols();
  for (auto* row : {&result.residual, &result.subgradient, &result.column_status, &result.pivots})
    reserve(backend, *row, 1, N);
  reserve(backend, result.summary, 1, 4);
  each_column(backend, N, 0, Combine{}, report, View<B>(result.residual), View<B>(result.subgradient),
              View<B>(result.column_status), View<B>(result.pivots));
  each_column(backend, 1, 0, Summarise<Scalar>{lambda_min}, ConstView<B>(result.residual),
              ConstView<B>(result.subgradient), ConstView<B>(result.column_status),
              ConstView<B>(result.pivots), beta, View<B>(result.summary));
  auto const number = [&](Index i) {
    return max_to_host(backend.lane(), ConstView<B>(result.summary).middle_cols(i, 1));
  };
  result.largest_residual = number(0);
  result.bound = number(1);
  result.status = static_cast<ExactStatus>(static_cast<int>(number(2)));
  result.iterations = static_cast<Index>(number(3));
}

}  // namespace detrame::inline DETRAME_ABI::exact
