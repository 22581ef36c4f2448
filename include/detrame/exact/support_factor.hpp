// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/formulas.hpp"
#include "detrame/exact/kept_factors.hpp"
#include "detrame/exact/problem.hpp"

namespace detrame::inline DETRAME_ABI::exact {

/// The members of the support of one column, ascending.
struct Support {
  int const* member;
  Index size;
};

/// y += sum_p w(p) A_{member p}, four members at a time.
template <class Team, class Scalar, class Weight>
DETRAME_HOST_DEVICE void add_members(Team const& team, MatrixView<Scalar const> A, Support const& support,
                                     Weight const& w, Scalar* y) {
  Index const rows = A.rows();
  if (rows == 0) return;
  Index p = 0;
  for (; p + 4 <= support.size; p += 4) {
    int const* const i = support.member + p;
    Scalar const *a0 = &A(0, i[0]), *a1 = &A(0, i[1]), *a2 = &A(0, i[2]), *a3 = &A(0, i[3]);
    Scalar const w0 = w(p), w1 = w(p + 1), w2 = w(p + 2), w3 = w(p + 3);
    team.each(rows, [=](Index l) { y[l] += (a0[l] * w0 + a1[l] * w1) + (a2[l] * w2 + a3[l] * w3); });
  }
  for (; p < support.size; ++p) {
    Scalar const* const a = &A(0, support.member[p]);
    Scalar const w0 = w(p);
    team.each(rows, [=](Index l) { y[l] += a[l] * w0; });
  }
}

/// The adjoint system on the support of one column's solution, for one diagonal block Q, by a factor.
///
///   H_AA v_A = u_bar_A,   v = 0 off A, what is not held,   H = Q + diag(beta + lambda rho''(u))
///
/// v_A is NaN where H_AA is not definite to working precision, or u has NaN. Q and beta are in range, the
/// caller's times 4^matrix. A factor that is kept is used as it is. Q may be empty where all are: then v_A is
/// NaN where one lacks.
template <class Activation>
struct FactorOnSupport {
  Activation activation;
  int matrix;

  template <class Team>
  static constexpr Index scratch_size(Index n) {
    return Team::padded(n) + Team::factor_size(n) + scalars_for<typename Team::Scalar, int>(n);
  }

  /// beta, lambda, u, u_bar, v: n x 1, of column j. What it returns stands in `scratch`.
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE Support operator()(Team const& team, MatrixView<Scalar const> Q, Scalar* scratch,
                                         MatrixView<Scalar const> beta, MatrixView<Scalar const> lambda,
                                         MatrixView<Scalar const> u, MatrixView<Scalar const> u_bar,
                                         MatrixView<Scalar> v, KeptFactors<Scalar const> kept,
                                         Index j) const {
    Index const n = u.rows();
    Scalar* const x = scratch;
    Scalar* const made = x + Team::padded(n);
    int* const member = reinterpret_cast<int*>(made + Team::factor_size(n));
    Index const size = list_members(team, lambda, u, member);
    team.each(size, [=](Index p) { x[p] = u_bar(member[p], 0); });
    Scalar const size_of_u = team.max(size, [=](Index p) { return std::abs(u(member[p], 0)); });
    Scalar const* const found = kept.find(j, size);
    bool solvable = size_of_u == size_of_u;
    if (solvable && found == nullptr)
      solvable = size == 0 || (Q.cols() > 0 && make(team, Q, beta, lambda, u, member, size, made));
    if (solvable) team.cholesky_solve(found ? found : made, size, x);
    int const back = 2 * matrix;
    team.each(n, [=](Index i) { v(i, 0) = Scalar(0); });
    team.each(size, [=](Index p) { v(member[p], 0) = solvable ? scaled(x[p], back) : limits::nan<Scalar>; });
    return {member, size};
  }

 private:
  /// H_AA = L L^T; whether it is definite.
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE bool make(Team const& team, MatrixView<Scalar const> Q, MatrixView<Scalar const> beta,
                                MatrixView<Scalar const> lambda, MatrixView<Scalar const> u,
                                int const* member, Index size, Scalar* factor) const {
    auto const rule = activation;
    int const by = 2 * matrix;
    place_rows(team, Q, member, size, Index{0}, factor);
    team.each(size, [=](Index p) {
      int const i = member[p];
      factor[Team::factor_place(p, p)] +=
          beta(i, 0) + scaled(formula::curvature(rule, u(i, 0), lambda(i, 0)), by);
    });
    return team.cholesky(factor, size, 0) == size;
  }

  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE Index list_members(Team const& team, MatrixView<Scalar const> lambda,
                                         MatrixView<Scalar const> u, int* member) const {
    Index size = 0;
    for (Index i = 0; i < u.rows(); ++i) {
      Scalar const u_i = u(i, 0);
      if (formula::held(activation, u_i, lambda(i, 0)) && u_i == u_i) continue;
      Index const p = size++;
      team.once([=] { member[p] = static_cast<int>(i); });
    }
    return size;
  }
};

}  // namespace detrame::inline DETRAME_ABI::exact
