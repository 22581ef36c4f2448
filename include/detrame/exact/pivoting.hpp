// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/basis.hpp"
#include "detrame/exact/result.hpp"

namespace detrame::inline DETRAME_ABI::exact {

/// The search for the basis whose point is the minimiser, from a guess u, which is brought into u >= 0 where
/// the penalty asks for it. A guess that is not finite, or (for the descent) no better than 0, is dropped for
/// 0.
///
/// *Block pivoting* (Judice and Pires, Comput. Oper. Res. 21, 1994): exchange all that are violated, go to
/// the point of the new basis. A few steps mostly do, but it may cycle. So it goes on while the number of
/// violations falls, and three steps more; then follows
///
/// *descent*, which ends. A *round* starts at the point of a basis that respects its signs, enters violated
/// indices, and *settles*: goes towards the point x of the basis, to x itself where that respects the signs;
/// else to x with the entries that lost their sign set to 0, if f is below that of the start; else along the
/// line to x up to the first 0 on the way. What is 0 leaves A, and so on until x respects the signs, after at
/// most |A| steps. A round that does not lower f is undone; first all violated indices enter, then, until a
/// round lowers f, one after the other alone, the most violated one first. There f falls: the line is not
/// blocked at u itself, since all other entries of u are nonzero and the derivative of f along x - u is
/// negative only if the entering u_i moves in its sign's direction. Where no index lowers f, the search ends.
/// Where that is no minimiser, or a row is lost in rounding, or refinement does not solve the equations of A,
/// descent begins again at 0, then with H + shift diag(H), shift the smallest of n eps, 2 n eps, ... that
/// will do: a change of the slack by terms of its own rounding.
///
/// So it ends. In exact arithmetic f falls strictly from round to round, no basis comes twice, and there are
/// at most 3^n. In floating point slacks are summed in doubled precision, and the fall is bounded with its
/// rounding: a round counts only if f of the stored numbers falls for certain, but for n rounds, for which
/// the computed fall is enough. After the last of those f falls strictly, so that no u comes twice, and there
/// are finitely many; each round tries at most n + 1 times to settle, in at most n + 1 steps. A shift above n
/// makes H + shift diag(H) diagonally dominant; there are no more. pivot_limit bounds the steps all the same.
/// At the end u is the point of the least f so far, and the certificate says what was reached.
///
/// The last point is computed from its basis alone, sharply where its equations or a slack ask for it: so it
/// does not depend on the guess, unless a row is lost in rounding or a slack is within rounding of its
/// threshold. A search from a caller's guess does not begin again at 0: where it finds no end, the caller
/// searches without it.
template <bool two_sided, class Team>
class Pivoting {
 public:
  using Scalar = typename Team::Scalar;
  struct End {
    ExactStatus status;  ///< unless the certificate says `optimal`
    Index pivots;
    bool found;  ///< whether the search ended, by itself, at a point without violations
  };

  DETRAME_HOST_DEVICE explicit Pivoting(Basis<two_sided, Team>& basis) : b_(basis), team_(basis.team) {}

  /// basis.u: the guess on entry, what was reached at the end. warm: the guess is a caller's.
  DETRAME_HOST_DEVICE End run(Index pivot_limit, bool warm) {
    limit_ = pivot_limit;
    if constexpr (!two_sided)
      team_.each(b_.n, [this](Index i) { b_.u[i] = b_.u[i] < Scalar(0) ? Scalar(0) : b_.u[i]; });
    if (!guess_is_finite() || zero_is_optimal()) team_.each(b_.n, [this](Index i) { b_.u[i] = Scalar(0); });
    team_.each(b_.n, [this](Index i) { b_.old_u[i] = b_.u[i]; });
    bool const ended = (block_pivoting() && confirm()) || descents(warm);
    if (!ended) team_.each(b_.n, [this](Index i) { b_.u[i] = b_.old_u[i]; });
    return {ended || pivots_ < limit_ ? (singular_ ? ExactStatus::singular : ExactStatus::inaccurate)
                                      : ExactStatus::iteration_limit,
            pivots_, ended};
  }

 private:
  DETRAME_HOST_DEVICE bool guess_is_finite() const {
    return team_.max(b_.n, [this](Index i) { return std::abs(b_.u[i]); }) <= limits::largest<Scalar>;
  }

  /// r <= lambda, or |r| <= lambda, up to the rounding of r.
  DETRAME_HOST_DEVICE bool zero_is_optimal() const {
    return team_.sum(b_.n, [this](Index i) {
      Scalar const excess = (two_sided ? std::abs(b_.r[i]) : b_.r[i]) - b_.lambda(i, 0);
      return static_cast<Scalar>(!(excess <= 8 * limits::epsilon<Scalar> * b_.magnitude[i]));
    }) == Scalar(0);
  }

  DETRAME_HOST_DEVICE bool block_pivoting() {
    b_.adopt();
    Index least = b_.n + 1;
    for (int patience = 3;;) {
      singular_ = false;
      for (Index done; (done = b_.factorise()) < b_.size; singular_ = true) b_.drop(done);
      b_.solve();
      b_.go_to_x();
      Index const count = b_.violations();
      if (count == 0) return true;
      if (count < least) {
        least = count;
        patience = 3;
      } else if (patience-- == 0) {
        return false;
      }
      if (pivots_ >= limit_) return false;
      ++pivots_;
      b_.exchange();
    }
  }

  /// The point of the basis has no violation and its equations hold: as it is, or else with the equations
  /// solved sharply.
  DETRAME_HOST_DEVICE bool confirm() {
    if (b_.equations_hold() && b_.violations() == 0) return true;
    return sharpen() <= solved && b_.violations() == 0;
  }

  /// Iterative refinement of x with slacks in doubled precision, while it lowers the error of the equations
  /// to half. That error.
  DETRAME_HOST_DEVICE Scalar sharpen() {
    b_.go_to_x_sharply();
    Scalar error = b_.equation_error();
    for (bool halved = error > Scalar(0); halved;) {
      team_.each(b_.size, [this](Index p) { b_.before[p] = b_.x[p]; });
      team_.cholesky_solve(b_.factor, b_.size, b_.error);
      team_.each(b_.size, [this](Index p) { b_.x[p] += b_.error[p]; });
      b_.go_to_x_sharply();
      Scalar const next = b_.equation_error();
      halved = next < error && next <= error / 2;
      if (next < error) {
        error = next;
      } else {
        team_.each(b_.size, [this](Index p) { b_.x[p] = b_.before[p]; });
        b_.go_to_x_sharply();
      }
    }
    return error;
  }

  /// Descent from the guess, then, unless that is a caller's, from 0, with the first shift for which it ends
  /// at a minimiser.
  DETRAME_HOST_DEVICE bool descents(bool warm) {
    Scalar const n = static_cast<Scalar>(b_.n);
    for (bool guess = true; pivots_ < limit_; guess = false) {
      if (descent(guess)) return true;
      if (guess && warm) return false;
      if (guess) continue;
      singular_ = true;
      if (b_.shift > n) return false;
      b_.shift = b_.shift > Scalar(0) ? 2 * b_.shift : n * limits::epsilon<Scalar>;
    }
    return false;
  }

  DETRAME_HOST_DEVICE bool descent(bool guess) {
    start(guess);
    if (!settle()) return false;
    for (Index uncertain = b_.n;;) {
      keep();
      team_.each(b_.n, [this](Index i) { b_.refused[i] = 0; });
      for (bool alone = false;; alone = true) {
        Index const count = b_.violations();
        if (count == 0) return end_of_descent();
        if ((alone || count == 1) && !b_.choose()) return false;
        b_.exchange();
        bool const settled = settle();
        Scalar const fall = settled ? -change() : Scalar(0);
        if (fall > Scalar(0) && (fall > rounding_of_change() || uncertain-- > 0)) break;
        go_back();
        if (lost_row_ || pivots_ >= limit_) return false;
      }
    }
  }

  /// At the guess, or at 0 where it is not wanted or f is no lower there.
  DETRAME_HOST_DEVICE void start(bool guess) {
    team_.each(b_.n, [=, this](Index i) {
      b_.u[i] = guess ? b_.old_u[i] : Scalar(0);
      b_.old_u[i] = Scalar(0);
      b_.old_slack[i] = b_.r[i];
    });
    go_to_u();
    if (guess && !(change() < Scalar(0))) {
      team_.each(b_.n, [this](Index i) { b_.u[i] = Scalar(0); });
      go_to_u();
    }
    keep();
  }

  /// The basis of u, and the slack there.
  DETRAME_HOST_DEVICE void go_to_u() {
    b_.adopt();
    team_.each(b_.size, [this](Index p) { b_.x[p] = b_.u[b_.member(p)]; });
    b_.go_to_x_sharply();
  }

  DETRAME_HOST_DEVICE void keep() {
    team_.each(b_.n, [this](Index i) {
      b_.old_u[i] = b_.u[i];
      b_.old_slack[i] = b_.slack[i];
    });
  }

  DETRAME_HOST_DEVICE void go_back() {
    team_.each(b_.n, [this](Index i) {
      b_.u[i] = b_.old_u[i];
      b_.slack[i] = b_.old_slack[i];
    });
    b_.adopt();
  }

  /// No index is violated at u: the last point anew, as block pivoting would end, unless that one is worse.
  DETRAME_HOST_DEVICE bool end_of_descent() {
    b_.solve();
    b_.go_to_x();
    if (!confirm()) go_back();
    return true;
  }

  /// From u to the point of a basis that respects its signs, A less what is 0 on the way. Whether it came
  /// there: within the limit, with no row lost and no number that is not finite.
  DETRAME_HOST_DEVICE bool settle() {
    for (Index members = b_.size + 1; pivots_ < limit_ && b_.size < members;) {
      ++pivots_;
      members = b_.size;
      lost_row_ = b_.factorise() < members;
      if (lost_row_) return false;
      team_.each(members, [this](Index p) { b_.base[p] = b_.u[b_.member(p)]; });
      b_.solve();
      lost_row_ = sharpen() > solved;
      if (lost_row_) return false;
      if (b_.lost() == 0) return true;
      team_.each(members, [this](Index p) {
        b_.error[p] = b_.x[p];
        if (b_.has_lost(b_.x, p)) b_.x[p] = Scalar(0);
      });
      b_.go_to_x_sharply();
      if (!(change() < Scalar(0))) step_to_first_zero();
      team_.each(b_.n, [this](Index i) { b_.next[i] = b_.u[i] != Scalar(0) ? b_.sign[i] : 0; });
      b_.exchange();
    }
    return false;
  }

  /// From `base` towards `error`, until the first entry is 0.
  DETRAME_HOST_DEVICE void step_to_first_zero() {
    auto const speed = [=, this](Index p) {  // entry p is 0 at the step 1 / speed
      Scalar const from = std::abs(b_.base[p]);
      return b_.has_lost(b_.error, p) ? (from + std::abs(b_.error[p])) / from : Scalar(0);
    };
    Scalar const fastest = team_.max(b_.size, speed);
    team_.each(b_.size, [=, this](Index p) {
      b_.x[p] = speed(p) >= fastest ? Scalar(0) : b_.base[p] + (b_.error[p] - b_.base[p]) / fastest;
    });
    b_.go_to_x_sharply();
  }

  /// f(u) - f(old_u), both in one orthant: without the cancellation of two values of f.
  DETRAME_HOST_DEVICE Scalar change() const {
    return team_.sum(b_.n, [this](Index i) {
      return step(i) == Scalar(0) ? Scalar(0)
                                  : -step(i) * (steepness(b_.slack, i) + steepness(b_.old_slack, i)) / 2;
    });
  }

  /// A bound of the rounding of change(): of its sum, of the slacks,
  /// and of what they lost in doubled precision.
  DETRAME_HOST_DEVICE Scalar rounding_of_change() const {
    Scalar const eps = limits::epsilon<Scalar>, n = static_cast<Scalar>(b_.n), size_here = b_.size_of_u();
    return team_.sum(b_.n, [=, this](Index i) {
      if (step(i) == Scalar(0)) return Scalar(0);
      Scalar const of_sum =
          (n + 8) * (std::abs(steepness(b_.slack, i)) + std::abs(steepness(b_.old_slack, i)));
      Scalar const of_slacks = std::abs(b_.slack[i]) + std::abs(b_.old_slack[i]);
      Scalar const lost = 4 * (n + 8) * (n + 8) * eps * b_.terms(i, size_here);
      return eps * std::abs(step(i)) * (of_sum + of_slacks + lost);
    });
  }

  DETRAME_HOST_DEVICE Scalar step(Index i) const { return b_.u[i] - b_.old_u[i]; }

  /// -df/du_i in the orthant of u and old_u.
  DETRAME_HOST_DEVICE Scalar steepness(Scalar const* slack, Index i) const {
    return b_.u[i] + b_.old_u[i] > Scalar(0) ? slack[i] - b_.lambda(i, 0) : slack[i] + b_.lambda(i, 0);
  }

  /// Equations of a basis hold where they are off by no more, in units of their terms.
  static constexpr Scalar solved = 8 * limits::epsilon<Scalar>;

  Basis<two_sided, Team>& b_;
  Team const& team_;
  Index limit_ = 0, pivots_ = 0;
  bool singular_ = false, lost_row_ = false;
};

}  // namespace detrame::inline DETRAME_ABI::exact
