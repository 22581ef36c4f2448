// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <vector>

#include "detrame/exact/sparse_coder.hpp"

namespace detrame::inline DETRAME_ABI {

namespace exact {

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

}  // namespace exact

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
auto regularisation_path(B const&, Rest const&...) {
  return detail::explain<B>();
}

}  // namespace detrame::inline DETRAME_ABI
