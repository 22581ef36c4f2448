// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/problem.hpp"

namespace detrame::exact {

/// A basis of one column's problem: which u_i may differ from 0, and with which sign.
///
///   min_u  f(u) = 1/2 <u, H u> - <r, u> + sum_i lambda_i |u_i|  (+ indicator(u >= 0)),   H = Q + diag(beta)
///
/// sign_i is -1, 0 or 1 (0 or 1 where u >= 0), A = {i: sign_i != 0}. The *point of the basis* has u = 0 off A
/// and slack_i := (r - H u)_i = sign_i lambda_i on A: one factorisation. It is the minimiser iff no i is
/// *violated*,
///
///   sign_i u_i >= 0 on A,     |slack_i| <= lambda_i off A   (slack_i <= lambda_i where u >= 0)
///
/// In floating point i is violated off A only beyond the rounding of its slack, so that ties do not matter. A
/// row whose pivot is lost in rounding (atoms equal, alpha + beta tiny) is left out of A.
///
/// A is a list, `support`, in which confident members come first; what leaves or enters mostly stands at its
/// end, and the factor is kept up to the first row that changed.
template <bool two_sided, class Team>
class Basis {
 public:
  using Scalar = typename Team::Scalar;

  /// Scalars of scratch for n unknowns.
  static constexpr Index scratch_size(Index n) {
    return 2 * Team::padded(n) + 2 * n + 3 * integers(n) + integers(2) + Team::factor_size(n);
  }

  Team const& team;
  Index n;
  MatrixView<Scalar const> Q, beta, lambda;
  Scalar const* root;  ///< sqrt(h_ii)
  Scalar const* r;
  Scalar *u, *slack;  ///< a point, and r - H u there
  Scalar *old_u, *old_slack;
  Scalar *x, *error;  ///< by place in support: what is solved for, and a second such vector
  int *sign, *next;   ///< next_i: the sign that i is exchanged to if it is violated, else sign_i
  int* support;
  int* shared;  ///< what one member tells the others
  Scalar* factor;
  Index size = 0;       ///< of support
  Index kept_rows = 0;  ///< of the factor
  Scalar magnitude;     ///< a bound of the terms that r_i was summed from
  Scalar largest_root;

  DETRAME_HOST_DEVICE Basis(Team const& team_, MatrixView<Scalar const> Q_, MatrixView<Scalar const> beta_,
                            MatrixView<Scalar const> lambda_, Scalar const* root_, Scalar const* r_,
                            Scalar* u_, Scalar* slack_, Scalar magnitude_, Scalar largest_root_,
                            Scalar* scratch)
      : team(team_),
        n(Q_.rows()),
        Q(Q_),
        beta(beta_),
        lambda(lambda_),
        root(root_),
        r(r_),
        u(u_),
        slack(slack_),
        magnitude(magnitude_),
        largest_root(largest_root_) {
    x = scratch;
    error = x + Team::padded(n);
    old_u = error + Team::padded(n);
    old_slack = old_u + n;
    Scalar* const whole = old_slack + n;
    sign = reinterpret_cast<int*>(whole);
    next = reinterpret_cast<int*>(whole + integers(n));
    support = reinterpret_cast<int*>(whole + 2 * integers(n));
    shared = reinterpret_cast<int*>(whole + 3 * integers(n));
    factor = whole + 3 * integers(n) + integers(2);
  }

  /// The basis of a point u, large entries first.
  DETRAME_HOST_DEVICE void adopt() {
    Scalar const large = Scalar(.05) * team.max(n, [this](Index i) { return std::abs(u[i]); });
    team.each(n, [this](Index i) { sign[i] = u[i] > Scalar(0) ? 1 : (u[i] < Scalar(0) ? -1 : 0); });
    team.once([&] {
      int count = 0;
      for (bool confident : {true, false})
        for (int i = 0; i < n; ++i)
          if (sign[i] != 0 && (std::abs(u[i]) >= large) == confident) support[count++] = i;
      shared[0] = count;
    });
    size = shared[0];
    kept_rows = 0;
  }

  /// x = H_AA^-1 (r - sign lambda)_A. Whether rows had to be left out of A for it.
  DETRAME_HOST_DEVICE bool solve() {
    bool singular = false;
    for (;;) {
      fill();
      Index const done = team.cholesky(factor, size, first_row());
      if (done == size) break;
      singular = true;
      team.once([&] {
        sign[support[done]] = 0;
        for (Index p = done + 1; p < size; ++p) support[p - 1] = support[p];
      });
      kept_rows = done;
      --size;
    }
    kept_rows = size;
    team.each(size, [this](Index p) {
      Index const i = support[p];
      x[p] = r[i] - static_cast<Scalar>(sign[i]) * lambda(i, 0);
    });
    team.cholesky_solve(factor, size, x);
    return singular;
  }

  /// u from x, and its slack, four columns of Q at a time.
  DETRAME_HOST_DEVICE void go_to_x() {
    team.each(n, [this](Index i) {
      u[i] = Scalar(0);
      slack[i] = r[i];
    });
    team.each(size, [this](Index p) {
      Index const i = support[p];
      u[i] = x[p];
      slack[i] -= beta(i, 0) * x[p];
    });
    for (Index p = 0; p < size; p += 4) {
      Scalar const* column[4];
      Scalar entry[4];
      for (Index c = 0; c < 4; ++c) {
        column[c] = &Q(0, support[p + c < size ? p + c : p]);
        entry[c] = p + c < size ? x[p + c] : Scalar(0);
      }
      subtract(column[0], column[1], column[2], column[3], entry[0], entry[1], entry[2], entry[3]);
    }
  }

  /// The rounding of a slack: eps times a bound of the terms that it is summed from.
  DETRAME_HOST_DEVICE Scalar rounding() const {
    Scalar const terms = team.sum(n, [this](Index i) { return root[i] * std::abs(u[i]); });
    return limits::epsilon<Scalar> * (magnitude + largest_root * terms);
  }

  /// Marks `next`; how many are violated.
  DETRAME_HOST_DEVICE Index violations() {
    Scalar const enough = 8 * rounding();
    team.each(n, [this, enough](Index i) {
      Scalar const reach = lambda(i, 0) + enough;
      if (sign[i] != 0)
        next[i] = static_cast<Scalar>(sign[i]) * u[i] < Scalar(0) ? 0 : sign[i];
      else
        next[i] = slack[i] > reach ? 1 : (two_sided && slack[i] < -reach ? -1 : 0);
    });
    return static_cast<Index>(
        team.sum(n, [this](Index i) { return static_cast<Scalar>(next[i] != sign[i]); }));
  }

  /// sign <- next: who leaves is taken from the list, who enters is put at its end.
  DETRAME_HOST_DEVICE void exchange() {
    team.once([&] {
      int count = 0, kept = static_cast<int>(kept_rows);
      for (Index p = 0; p < size; ++p) {
        int const i = support[p];
        if (next[i] == 0)
          kept = count < kept ? count : kept;
        else
          support[count++] = i;
      }
      for (int i = 0; i < n; ++i) {
        if (sign[i] == 0 && next[i] != 0) support[count++] = i;
        sign[i] = next[i];
      }
      shared[0] = count;
      shared[1] = kept;
    });
    size = shared[0];
    kept_rows = shared[1];
  }

  /// error = slack - sign lambda on A; its largest magnitude.
  DETRAME_HOST_DEVICE Scalar equation_error() {
    team.each(size, [this](Index p) {
      Index const i = support[p];
      error[p] = slack[i] - static_cast<Scalar>(sign[i]) * lambda(i, 0);
    });
    return team.max(size, [this](Index p) { return std::abs(error[p]); });
  }

  /// How many entries of x have lost their sign.
  DETRAME_HOST_DEVICE Index lost() const {
    return static_cast<Index>(team.sum(size, [this](Index p) { return static_cast<Scalar>(has_lost(p)); }));
  }
  DETRAME_HOST_DEVICE bool has_lost(Index p) const {
    return static_cast<Scalar>(sign[support[p]]) * x[p] < Scalar(0);
  }

 private:
  DETRAME_HOST_DEVICE static constexpr Index integers(Index count) {
    return static_cast<Index>((static_cast<std::size_t>(count) * sizeof(int) + sizeof(Scalar) - 1) /
                              sizeof(Scalar));
  }

  /// Where the factor is continued.
  DETRAME_HOST_DEVICE Index first_row() const { return kept_rows - kept_rows % Team::tile; }

  /// The rows of H_AA that are not factored yet.
  DETRAME_HOST_DEVICE void fill() {
    Index const first = first_row();
    for (Index q = 0; q < size; ++q) {
      Index const from = q < first ? first : q;
      Scalar const* const column = &Q(0, support[q]);
      team.each(size - from,
                [=, this](Index p) { factor[Team::factor_place(from + p, q)] = column[support[from + p]]; });
    }
    team.each(size - first, [=, this](Index p) {
      factor[Team::factor_place(first + p, first + p)] += beta(support[first + p], 0);
    });
  }

  DETRAME_HOST_DEVICE void subtract(Scalar const* q0, Scalar const* q1, Scalar const* q2, Scalar const* q3,
                                    Scalar u0, Scalar u1, Scalar u2, Scalar u3) {
    Scalar* const s = slack;
    team.each(n, [=](Index i) { s[i] -= (q0[i] * u0 + q1[i] * u1) + (q2[i] * u2 + q3[i] * u3); });
  }
};

}  // namespace detrame::exact
