// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/core/limits.hpp"
#include "detrame/core/matrix_view.hpp"

namespace detrame::exact {

/// H_AA v_A = u_bar_A, v = 0 off A = {u != 0}, by conjugate gradients, for an H that is only multiplied with.
///
///   product(x, y): y = H x.   u, u_bar, v: n x 1.   scratch: support_solve_scratch(n) scalars
///
/// Ends where the residual is eps |u_bar_A|, or after `limit` products. NaN in u_i gives NaN in v_i.
DETRAME_HOST_DEVICE constexpr Index support_solve_scratch(Index n) { return 3 * n; }

template <class Team, class Scalar, class Product>
DETRAME_HOST_DEVICE void support_solve(Team const& team, MatrixView<Scalar const> u,
                                       MatrixView<Scalar const> u_bar, MatrixView<Scalar> v, Index limit,
                                       Scalar* scratch, Product const& product) {
  Index const n = u.rows();
  Scalar *const r = scratch, *const p = r + n, *const Hp = p + n;
  team.each(n, [=](Index i) {
    v(i, 0) = u(i, 0) == u(i, 0) ? Scalar(0) : u(i, 0);
    r[i] = p[i] = u(i, 0) != Scalar(0) ? u_bar(i, 0) : Scalar(0);
  });
  Scalar square = team.sum(n, [=](Index i) { return r[i] * r[i]; });
  Scalar const eps = limits::epsilon<Scalar>, floor = eps * eps * square;
  for (Index t = 0; t < limit && square > floor; ++t) {
    product(p, Hp);
    team.each(n, [=](Index i) {
      if (u(i, 0) == Scalar(0)) Hp[i] = Scalar(0);
    });
    Scalar const step = square / team.sum(n, [=](Index i) { return p[i] * Hp[i]; });
    team.each(n, [=](Index i) {
      v(i, 0) += step * p[i];
      r[i] -= step * Hp[i];
    });
    Scalar const next = team.sum(n, [=](Index i) { return r[i] * r[i]; }), turn = next / square;
    square = next;
    team.each(n, [=](Index i) { p[i] = r[i] + turn * p[i]; });
  }
}

}  // namespace detrame::exact
