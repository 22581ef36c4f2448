// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/problem.hpp"

namespace detrame::inline DETRAME_ABI::exact {

/// omega of coordinate descent, in (0, 2).
template <class Scalar>
inline constexpr Scalar over_relaxation = Scalar(1.3);

/// A guess at the minimisers of a few columns side by side: sweeps of over-relaxed coordinate descent,
///
///   u_i <- A(u_i + omega (r - H u)_i / h_ii, omega lambda_i / h_ii),   i = 0, ..., n - 1,
///
/// which never increases the objective for 0 < omega < 2. Only the support of the guess is used: nothing that
/// `exact` promises depends on how good it is. How many sweeps depends on no data, so a column's bits do not
/// depend on its neighbours.
///
/// Rows are taken Team::height at a time: their products with U by the team, then one after the other with
/// the corrections by those before.
template <class Activation, class Team>
class Seed {
 public:
  using Scalar = typename Team::Scalar;
  static constexpr Index width = Team::width, height = Team::height;
  static constexpr Index scratch_rows = 2 * height;

  /// Q: n x n. beta: n x 1. lambda, r, U: n x width; U is the start and the end.
  /// scratch: scratch_rows x width.
  DETRAME_HOST_DEVICE static void sweep(Team const& team, int sweeps, MatrixView<Scalar const> Q,
                                        MatrixView<Scalar const> beta, Scalar const* lambda, Scalar const* r,
                                        Scalar* U, Scalar* scratch) {
    Index const n = Q.rows();
    for (int s = 0; s < sweeps; ++s)
      for (Index first = 0; first < n; first += height) {
        Index const rows = n - first < height ? n - first : height;
        Scalar* const product = scratch;                  // height x width: H U of these rows
        Scalar* const change = scratch + height * width;  // height x width
        team.inner_products(&Q(0, first), Q.stride(), n, rows, U, product);
        for (Index a = 0; a < rows; ++a) {
          Index const i = first + a;
          Scalar const b = beta(i, 0), step = over_relaxation<Scalar> / (Q(i, i) + b);
          team.each(width, [=](Index c) {
            Scalar correction(0);
            for (Index h = 0; h < a; ++h) correction += Q(first + h, i) * change[h * width + c];
            Scalar const u = U[i * width + c];
            Scalar const slack = r[i * width + c] - product[a * width + c] - b * u - correction;
            Scalar const next = Activation{}(u + step * slack, step * lambda[i * width + c]);
            change[a * width + c] = next - u;
            U[i * width + c] = next;
          });
        }
      }
  }
};

}  // namespace detrame::inline DETRAME_ABI::exact
