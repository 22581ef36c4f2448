// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/problem.hpp"

namespace detrame::inline DETRAME_ABI::exact {

/// Where the vectors of a basis stand: those of the caller, and those in its scratch.
template <class Team>
struct BasisMemory {
  using Scalar = typename Team::Scalar;

  /// Scalars of scratch for n unknowns.
  static constexpr Index scratch_size(Index n) {
    return 2 * Team::padded(n) + 5 * n + 4 * integers(n) + integers(2) + Team::factor_size(n);
  }

  Team const& team;
  Index n;
  MatrixView<Scalar const> Q, beta, lambda;
  Scalar const* root;  ///< sqrt(h_ii)
  Scalar* magnitude;   ///< bounds of the terms that the r_i were summed from
  Scalar const* r;
  Scalar *u, *slack;          ///< a point, and r - H u there
  Scalar *old_u, *old_slack;  ///< another one
  Scalar* low;                ///< what the sums of the slack lost in rounding
  Scalar *x, *error;          ///< by place in support: what is solved for, and a second such vector
  Scalar *base, *before;      ///< by place in support: where a step begins, and x before a correction
  int *sign, *next;           ///< next_i: the sign that i is exchanged to if it is violated, else sign_i
  int* refused;               ///< whether i was tried alone, in vain
  int* support;
  int* shared;  ///< what one member tells the others
  Scalar* factor;
  Index size = 0;       ///< of support
  Index kept_rows = 0;  ///< of the factor
  Scalar shift = 0;     ///< H is taken as Q + diag(beta) + shift diag(h_ii)

  DETRAME_HOST_DEVICE BasisMemory(Team const& team_, MatrixView<Scalar const> Q_,
                                  MatrixView<Scalar const> beta_, MatrixView<Scalar const> lambda_,
                                  Scalar const* root_, Scalar const* r_, Scalar* u_, Scalar* slack_,
                                  Scalar* magnitude_, Scalar* scratch)
      : team(team_),
        n(Q_.rows()),
        Q(Q_),
        beta(beta_),
        lambda(lambda_),
        root(root_),
        magnitude(magnitude_),
        r(r_),
        u(u_),
        slack(slack_) {
    factor = scratch;  // first, where memory is aligned as the caller's is
    x = factor + Team::factor_size(n);
    error = x + Team::padded(n);
    old_u = error + Team::padded(n);
    old_slack = old_u + n;
    low = old_slack + n;
    base = low + n;
    before = base + n;
    Scalar* const whole = before + n;
    sign = reinterpret_cast<int*>(whole);
    next = reinterpret_cast<int*>(whole + integers(n));
    refused = reinterpret_cast<int*>(whole + 2 * integers(n));
    support = reinterpret_cast<int*>(whole + 3 * integers(n));
    shared = reinterpret_cast<int*>(whole + 4 * integers(n));
  }

 private:
  DETRAME_HOST_DEVICE static constexpr Index integers(Index count) { return scalars_for<Scalar, int>(count); }
};

}  // namespace detrame::inline DETRAME_ABI::exact
