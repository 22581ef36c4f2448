// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/encode.hpp"

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

}  // namespace exact

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

template <detail::NoBackend B, class... Rest>
auto duality_gap(B const&, Rest const&...) {
  return detail::explain<B>();
}

}  // namespace detrame::inline DETRAME_ABI
