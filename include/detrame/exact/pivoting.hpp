// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/problem.hpp"

namespace detrame::exact {

/// The minimiser of one column by principal pivoting: a search for its support and signs.
///
///   min_u  1/2 <u, H u> - <r, u> + sum_i lambda_i |u_i|  (+ indicator(u >= 0)),   H = Q + diag(beta)
///
/// A *basis* gives each i a sign in {-1, 0, 1} ({0, 1} where u >= 0). Its point has u_i = 0 where the sign is 0,
/// and slack_i := (r - H u)_i = sign_i lambda_i elsewhere: one factorisation. It is the minimiser iff no i is
/// *violated*: sign_i u_i >= 0 on the support, |slack_i| <= lambda_i off it (slack_i <= lambda_i where u >= 0).
/// An exchange of i takes it from the support, or enters it with the sign of its slack.
///
/// Block rule: exchange all that are violated (Judice and Pires, Comput. Oper. Res. 21, 1994). It is fast, and
/// may cycle. So: while the number of violations falls, and three times more; after that only the *least*
/// violated index (Murty 1974), until the number has fallen below the least one so far.
///
/// The least-index rule ends. By induction on n: between two exchanges of index n the others follow the rule in
/// a problem of n - 1 unknowns of the same kind (u_n fixed: H without n; slack_n fixed: the Schur complement), so
/// they come to an end. Let t -> phi(t) be slack_n at the minimiser over the others with u_n = t. It falls
/// strictly, since (u - u')_i (slack - slack')_i >= 0 for i < n by monotonicity of d|.|, while the sum over
/// all i is -<u - u', H (u - u')> < 0. If sign_n = 0 is violated, phi(0) > lambda_n say, then the t with
/// phi(t) = lambda_n is positive, and n, entered with sign 1, is not violated again. If sign_n = 1 is violated,
/// then t < 0, so phi(0) < lambda_n: from 0, n stays or enters with sign -1. Index n is exchanged at most twice,
/// all of them at most 3^n times. The number of violations is an integer that the rule above makes fall: the
/// whole search ends. In exact arithmetic, that is; in floating point pivot_limit stands behind it.
///
/// Ties: an index enters only where its violation exceeds the rounding of its slack. A row whose pivot is lost in
/// rounding (atoms equal, alpha + beta tiny) is left out of the support; then its slack vanishes, or the
/// column ends as `singular`.
///
/// The support is a list in which confident guesses come first; what leaves or enters mostly stands at its end,
/// and the factor is kept up to the first row that changed.
template <bool two_sided, class Team>
class Pivoting {
 public:
  using Scalar = typename Team::Scalar;
  struct End {
    bool ended;     ///< no violation was left
    bool singular;  ///< rows were left out of the last support
    Index pivots;
  };

  /// Scalars of scratch for n unknowns.
  static constexpr Index scratch_size(Index n) {
    return 2 * Team::padded(n) + n + 3 * integers(n) + integers(2) + Team::factor_size(n);
  }

  /// u, slack: n scalars each, r: n scalars. u is the guess on entry, the point of the last basis at the end, and
  /// slack = r - H u.
  DETRAME_HOST_DEVICE Pivoting(Team const& team, MatrixView<Scalar const> Q, MatrixView<Scalar const> beta,
                               MatrixView<Scalar const> lambda, Scalar const* root, Scalar const* r, Scalar* u,
                               Scalar* slack, Scalar* scratch)
      : team_(team), n_(Q.rows()), Q_(Q), beta_(beta), lambda_(lambda), root_(root), r_(r), u_(u), slack_(slack) {
    x_ = scratch;                                                          // the right-hand side, then u_A
    kept_ = x_ + Team::padded(n_);
    error_ = kept_ + n_;
    sign_ = reinterpret_cast<int*>(error_ + Team::padded(n_));
    next_ = reinterpret_cast<int*>(error_ + Team::padded(n_) + integers(n_));
    support_ = reinterpret_cast<int*>(error_ + Team::padded(n_) + 2 * integers(n_));
    shared_ = reinterpret_cast<int*>(error_ + Team::padded(n_) + 3 * integers(n_));
    factor_ = error_ + Team::padded(n_) + 3 * integers(n_) + integers(2);
  }

  /// `magnitude`: a bound of the terms that r was summed from; `largest_root`: of root_i = sqrt(h_ii).
  DETRAME_HOST_DEVICE End run(Scalar magnitude, Scalar largest_root, Index pivot_limit) {
    magnitude_ = magnitude;
    largest_root_ = largest_root;
    start();
    Index least = n_ + 1;
    int patience = 3;
    for (Index pivots = 0;; ++pivots) {
      bool const singular = solve();
      Index const count = violations();
      if (count == 0) {
        refine();
        return {true, singular, pivots};
      }
      if (pivots >= pivot_limit) return {false, singular, pivots};
      if (count < least) {
        least = count;
        patience = 3;
        exchange(n_);
      } else {
        exchange(patience-- > 0 ? n_ : 1);
      }
    }
  }

 private:
  static constexpr Index integers(Index n) {
    return static_cast<Index>((static_cast<std::size_t>(n) * sizeof(int) + sizeof(Scalar) - 1) / sizeof(Scalar));
  }

  /// The rounding of a slack: eps times a bound of the terms that it is summed from.
  DETRAME_HOST_DEVICE Scalar rounding() const {
    Scalar const terms = team_.sum(n_, [this](Index i) { return root_[i] * std::abs(u_[i]); });
    return std::numeric_limits<Scalar>::epsilon() * (magnitude_ + largest_root_ * terms);
  }

  /// The basis of the guess: nothing where u = 0 is the minimiser, else the support of u, large entries first.
  DETRAME_HOST_DEVICE void start() {
    Scalar const excess =
        team_.max(n_, [this](Index i) { return (two_sided ? std::abs(r_[i]) : r_[i]) - lambda_(i, 0); });
    bool const zero = excess <= 8 * std::numeric_limits<Scalar>::epsilon() * magnitude_;
    Scalar const largest = team_.max(n_, [this](Index i) { return std::abs(u_[i]); });
    team_.each(n_, [this, zero](Index i) { sign_[i] = zero ? 0 : (u_[i] > Scalar(0) ? 1 : (u_[i] < Scalar(0) ? -1 : 0)); });
    team_.once([&] {
      int size = 0;
      Scalar above = std::numeric_limits<Scalar>::infinity();
      for (Scalar level : {Scalar(.05), Scalar(0)}) {
        Scalar const from = level * largest;
        for (int i = 0; i < n_; ++i)
          if (sign_[i] != 0 && std::abs(u_[i]) < above && std::abs(u_[i]) >= from) support_[size++] = i;
        above = from;
      }
      shared_[0] = size;
    });
    size_ = shared_[0];
    kept_rows_ = 0;
  }

  /// u and slack of the basis. Whether rows had to be left out.
  DETRAME_HOST_DEVICE bool solve() {
    bool singular = false;
    for (;;) {
      fill();
      Index const done = team_.cholesky(factor_, size_, first_row());
      if (done == size_) break;
      singular = true;
      team_.once([&] {
        sign_[support_[done]] = 0;
        for (Index p = done + 1; p < size_; ++p) support_[p - 1] = support_[p];
      });
      kept_rows_ = done;
      --size_;
    }
    team_.each(size_, [this](Index p) {
      Index const i = support_[p];
      x_[p] = r_[i] - static_cast<Scalar>(sign_[i]) * lambda_(i, 0);
    });
    team_.cholesky_solve(factor_, size_, x_);
    point();
    return singular;
  }

  /// Where the factor is continued.
  DETRAME_HOST_DEVICE Index first_row() const { return kept_rows_ - kept_rows_ % Team::tile; }

  /// The rows of H_AA that are not factored yet.
  DETRAME_HOST_DEVICE void fill() {
    Index const first = first_row();
    for (Index q = 0; q < size_; ++q) {
      Index const from = q < first ? first : q;
      Scalar const* const column = &Q_(0, support_[q]);
      team_.each(size_ - from, [=, this](Index p) {
        factor_[Team::factor_place(from + p, q)] = column[support_[from + p]];
      });
    }
    team_.each(size_ - first, [=, this](Index p) {
      factor_[Team::factor_place(first + p, first + p)] += beta_(support_[first + p], 0);
    });
  }

  /// u from x, and the slack, four columns of Q at a time.
  DETRAME_HOST_DEVICE void point() {
    team_.each(n_, [this](Index i) {
      u_[i] = Scalar(0);
      slack_[i] = r_[i];
    });
    team_.each(size_, [this](Index p) {
      Index const i = support_[p];
      u_[i] = x_[p];
      slack_[i] -= beta_(i, 0) * x_[p];
    });
    for (Index p = 0; p < size_; p += 4) {
      Scalar const* column[4];
      Scalar entry[4];
      for (Index c = 0; c < 4; ++c) {
        column[c] = &Q_(0, support_[p + c < size_ ? p + c : p]);
        entry[c] = p + c < size_ ? x_[p + c] : Scalar(0);
      }
      subtract(column[0], column[1], column[2], column[3], entry[0], entry[1], entry[2], entry[3]);
    }
  }

  DETRAME_HOST_DEVICE void subtract(Scalar const* q0, Scalar const* q1, Scalar const* q2, Scalar const* q3, Scalar u0,
                                    Scalar u1, Scalar u2, Scalar u3) {
    Scalar* const slack = slack_;
    team_.each(n_, [=](Index i) { slack[i] -= (q0[i] * u0 + q1[i] * u1) + (q2[i] * u2 + q3[i] * u3); });
  }

  /// Marks next_i: the sign that i is exchanged to where i is violated, else the one it has. How many are.
  DETRAME_HOST_DEVICE Index violations() {
    Scalar const enough = 8 * rounding();
    team_.each(n_, [this, enough](Index i) {
      Scalar const reach = lambda_(i, 0) + enough;
      if (sign_[i] != 0)
        next_[i] = static_cast<Scalar>(sign_[i]) * u_[i] < Scalar(0) ? 0 : sign_[i];
      else
        next_[i] = slack_[i] > reach ? 1 : (two_sided && slack_[i] < -reach ? -1 : 0);
    });
    return static_cast<Index>(team_.sum(n_, [this](Index i) { return static_cast<Scalar>(next_[i] != sign_[i]); }));
  }

  /// The first `count` of the violated indices are exchanged.
  DETRAME_HOST_DEVICE void exchange(Index count) {
    team_.once([&] {
      int last = -1;                                                       // the last index that is exchanged
      for (int i = 0; i < n_ && count > 0; ++i)
        if (next_[i] != sign_[i]) {
          last = i;
          --count;
        }
      int size = 0, kept_rows = static_cast<int>(size_);
      for (Index p = 0; p < size_; ++p) {
        int const i = support_[p];
        if (i <= last && next_[i] == 0)
          kept_rows = size < kept_rows ? size : kept_rows;
        else
          support_[size++] = i;
      }
      for (int i = 0; i <= last; ++i)
        if (next_[i] != sign_[i]) {
          if (sign_[i] == 0) support_[size++] = i;
          sign_[i] = next_[i];
        }
      shared_[0] = size;
      shared_[1] = kept_rows;
    });
    size_ = shared_[0];
    kept_rows_ = shared_[1];
  }

  /// One step of iterative refinement where the equations on the support are off by more than their rounding; it
  /// stays if it lowers the error and no sign is lost.
  DETRAME_HOST_DEVICE void refine() {
    Scalar const before = equation_error();
    if (!(before > 2 * rounding())) return;
    team_.each(size_, [this](Index p) { kept_[p] = x_[p]; });
    team_.cholesky_solve(factor_, size_, error_);
    team_.each(size_, [this](Index p) { x_[p] += error_[p]; });
    point();
    Scalar const lost =
        team_.sum(size_, [this](Index p) {
          return static_cast<Scalar>(static_cast<Scalar>(sign_[support_[p]]) * x_[p] < Scalar(0));
        });
    if (lost == Scalar(0) && equation_error() < before) return;
    team_.each(size_, [this](Index p) { x_[p] = kept_[p]; });
    point();
  }

  /// error = slack - sign lambda on the support; its largest magnitude.
  DETRAME_HOST_DEVICE Scalar equation_error() {
    team_.each(size_, [this](Index p) {
      Index const i = support_[p];
      error_[p] = slack_[i] - static_cast<Scalar>(sign_[i]) * lambda_(i, 0);
    });
    return team_.max(size_, [this](Index p) { return std::abs(error_[p]); });
  }

  Team const& team_;
  Index n_;
  MatrixView<Scalar const> Q_, beta_, lambda_;
  Scalar const *root_, *r_;
  Scalar *u_, *slack_, *x_, *kept_, *error_, *factor_;
  int *sign_, *next_, *support_, *shared_;
  Index size_ = 0, kept_rows_ = 0;
  Scalar magnitude_ = 0, largest_root_ = 0;
};

}  // namespace detrame::exact
