// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "detrame/exact/exact_prox_pullback.hpp"
#include "detrame/exact/exact_synthesis.hpp"
#include "detrame/exact/sparse_coder.hpp"

namespace detrame::inline DETRAME_ABI {

namespace exact {

/// w = D^T (x - D a) - lambda - d of one column, the slope of the smooth part less alpha + beta times a.
/// E: m, w: k scalars.
template <class Team, class Scalar>
DETRAME_HOST_DEVICE void slope(Team const& team, MatrixView<Scalar const> D, MatrixView<Scalar const> d,
                               Scalar lambda, MatrixView<Scalar const> x, MatrixView<Scalar const> a, Index j,
                               Scalar* E, Scalar* w) {
  team.each(D.rows(), [=](Index i) { E[i] = x(i, j); });
  for (Index l = 0; l < D.cols(); ++l) {
    Scalar const a_l = a(l, j);
    if (a_l != Scalar(0)) team.each(D.rows(), [=](Index i) { E[i] -= D(i, l) * a_l; });
  }
  team.each(D.cols(), [=](Index l) {
    Scalar sum = -lambda - d(l, 0);
    for (Index i = 0; i < D.rows(); ++i) sum += D(i, l) * E[i];
    w[l] = sum;
  });
}

/// gap_j, infinity where a has a negative entry; one task a column.
template <class Scalar>
struct DualityGap {
  Scalar lambda, s;

  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar* scratch, MatrixView<Scalar const> D,
                                      MatrixView<Scalar const> d, MatrixView<Scalar const> x,
                                      MatrixView<Scalar const> a, MatrixView<Scalar> gap) const {
    Scalar* const w = scratch + D.rows();
    Scalar const modulus = s;
    slope(team, D, d, lambda, x, a, j, scratch, w);
    Scalar const sum = team.sum(D.cols(), [=](Index l) {
      Scalar const a_l = a(l, j);
      if (a_l < Scalar(0)) return limits::infinity<Scalar>;
      if (w[l] < Scalar(0))  // -infinity where lambda is infinite: free at a_l = 0
        return a_l == Scalar(0) ? a_l : a_l * (modulus * a_l / Scalar(2) - w[l]);
      Scalar const difference = modulus * a_l - w[l];
      return difference * difference / (Scalar(2) * modulus);
    });
    team.once([=] { gap(0, j) = sum; });
  }
};

/// max_i (D^T x - d)_i, 0 where it is not finite; one task a column.
template <class Scalar>
struct LargestSlope {
  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar*, MatrixView<Scalar const> D,
                                      MatrixView<Scalar const> d, MatrixView<Scalar const> x,
                                      MatrixView<Scalar> out) const {
    auto const slope = [=](Index l) {
      Scalar sum = -d(l, 0);
      for (Index i = 0; i < D.rows(); ++i) sum += D(i, l) * x(i, j);
      return sum;
    };
    Scalar const largest = team.max(D.cols(), slope);
    team.once([=] { out(0, j) = largest <= limits::largest<Scalar> ? largest : Scalar(0); });
  }
};

template <Backend B>
void require_codes(char const* who, Synthesis<B> const& synthesis, ConstView<B> A) {
  if (A.rows() != synthesis.D.cols())
    throw ShapeError(
        message(who, ": A has ", A.rows(), " rows, D is ", synthesis.D.rows(), " x ", synthesis.D.cols()));
}

}  // namespace exact

/// The sparse codes of samples, with their certificate: exact_synthesis by its common name.             (M1)
/// Shapes    X: m x N. The codes, result.u: k x N.
template <Backend B>
ExactResult<B> encode(B& backend, Synthesis<B> const& synthesis, Input<B> X, ExactOptions options = {}) {
  return exact_synthesis(backend, synthesis, std::move(X), options);
}

/// X = D A: what codes stand for.
/// Shapes    A: k x N, else ShapeError. Result: m x N.
template <Backend B>
Matrix<B> decode(B& backend, Synthesis<B> const& synthesis, Input<B> A) {
  ConstView<B> const a = A, D = synthesis.D;
  exact::require_codes<B>("decode", synthesis, a);
  Matrix<B> X;
  resize(backend, X, D.rows(), a.cols());
  auto& lane = backend.lane();
  auto const frame = lane.frame();
  View<B> const largest = lane.scratch(1, D.cols());
  each_column(backend, D.cols(), 0, exact::LargestOfColumn{}, D, largest);
  bool const finite = max_to_host(lane, ConstView<B>(largest)) <= limits::largest<typename B::Scalar>;
  each_column(backend, a.cols(), 0, exact::BlockProduct{D.cols(), finite}, D, a, View<B>(X));
  return X;
}

/// The objective of codes, with the paper's penalty: infinity outside a >= 0.                           (M1)
/// Shapes    X: m x N, A: k x N, else ShapeError. Result: 1 x N.
template <Backend B>
Matrix<B> objective(B& backend, Synthesis<B> const& synthesis, Input<B> X, Input<B> A) {
  return objective(backend, synthesis, synthesis.penalty(backend), std::move(X), std::move(A));
}

/// How far codes are from optimal at most, without knowing the optimum: primal less dual value.         (D1)
///
///   gap_j = sum_i s/2 a_i^2 - w_i a_i + (w_i)_+^2 / (2 s)
///   w = D^T (x - D a) - lambda 1 - d,   s = alpha + beta
///
/// Shapes    X: m x N, A: k x N, else ShapeError. Result: 1 x N.
/// Ensures   L(a) - L(a_star) <= gap and |a - a_star|^2 <= 2 gap / s, up to rounding; gap >= 0 always, since
///           every term is computed as one that cannot be negative; infinity where a is outside a >= 0.
/// Cost      4 m k flops a column.
/// Tested    tests/exact/sparse_coding_test.cpp
template <Backend B>
Matrix<B> duality_gap(B& backend, Synthesis<B> const& synthesis, Input<B> X, Input<B> A) {
  using Scalar = typename B::Scalar;
  ConstView<B> const x = X, a = A, D = synthesis.D, d = synthesis.d;
  synthesis.check("duality_gap");
  exact::require_codes<B>("duality_gap", synthesis, a);
  if (x.rows() != D.rows() || x.cols() != a.cols())
    throw ShapeError(message("duality_gap: X is ", x.rows(), " x ", x.cols(), ", A is ", a.rows(), " x ",
                             a.cols(), ", D is ", D.rows(), " x ", D.cols()));
  Matrix<B> gap;
  resize(backend, gap, 1, a.cols());
  each_column(backend, a.cols(), D.rows() + D.cols(),
              exact::DualityGap<Scalar>{synthesis.lambda, synthesis.alpha + synthesis.beta}, D, d, x, a,
              View<B>(gap));
  return gap;
}

/// The exact solution at one lambda of a path.
template <Backend B>
struct PathPoint {
  typename B::Scalar lambda;
  ExactResult<B> code;
};

/// The exact codes for `count` values of lambda, from the smallest for which all codes are zero down to
/// `ratio` times it, in equal ratios; each solution starts from the support of the one before.       (M1, M8)
///
/// Shapes    X: m x N, else ShapeError.  synthesis.lambda is not read.
/// Requires  count >= 1, 0 < ratio <= 1, else DomainError.
/// Ensures   front().lambda = max(0, lambda_max) of the columns that are finite, where u = 0; a column that
///           is not is NaN and `not_finite` at every point. Every point carries its certificate. Where
///           lambda_max <= 0 every code is zero for every lambda >= 0, and the path is that one point.
/// Tested    tests/exact/sparse_coding_test.cpp
template <Backend B>
std::vector<PathPoint<B>> regularisation_path(B& backend, Synthesis<B> synthesis, Input<B> X, Index count,
                                              typename B::Scalar ratio) {
  using Scalar = typename B::Scalar;
  require_at_least("regularisation_path", "count", count, Index{1});
  if (!(ratio > Scalar(0) && ratio <= Scalar(1)))
    throw DomainError(message("regularisation_path: ratio = ", ratio, ", must be in (0, 1]"));
  ConstView<B> const x = X, D = synthesis.D, d = synthesis.d;
  synthesis.lambda = Scalar(0);
  synthesis.check("regularisation_path");
  if (x.rows() != D.rows())
    throw ShapeError(
        message("regularisation_path: X has ", x.rows(), " rows, D is ", D.rows(), " x ", D.cols()));
  auto const frame = backend.lane().frame();
  View<B> const slopes = backend.lane().scratch(1, x.cols());
  each_column(backend, x.cols(), 0, exact::LargestSlope<Scalar>{}, D, d, x, slopes);
  Scalar const lambda_max = x.cols() > 0 ? max_to_host(backend.lane(), ConstView<B>(slopes)) : Scalar(0);

  SparseCoder coder(backend, synthesis);
  std::vector<PathPoint<B>> path;
  Index const points = lambda_max > Scalar(0) ? count : 1;
  path.reserve(static_cast<std::size_t>(points));
  for (Index i = 0; i < points; ++i) {
    Scalar const share = points > 1 ? static_cast<Scalar>(i) / static_cast<Scalar>(points - 1) : Scalar(0);
    Scalar const lambda = lambda_max * std::pow(ratio, share);
    coder.update_lambda(backend, lambda);
    ExactResult<B> code;
    if (i > 0) code.u = path.back().code.u;
    encode(backend, coder, x, code, {.warm_start = i > 0});
    path.push_back({lambda, std::move(code)});
  }
  return path;
}

template <detail::NoBackend B, class... Rest>
auto decode(B const&, Rest const&...) {
  return detail::explain<B>();
}

}  // namespace detrame::inline DETRAME_ABI
