// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/basis.hpp"
#include "detrame/exact/result.hpp"

namespace detrame::exact {

/// The search for the basis whose point is the minimiser, from a guess u that respects the constraints.
///
/// *Block pivoting* (Judice and Pires, Comput. Oper. Res. 21, 1994): exchange all that are violated, go to
/// the point of the new basis. A few steps mostly do, but it may cycle. So it goes on while the number of
/// violations falls, and three steps more; then follows
///
/// *descent*, which ends. It moves through points that respect the signs of their basis. A *round* starts at
/// the point u of a basis that has no violation on A, enters violated indices, and goes towards the point x
/// of the basis: to x itself where that respects the signs; else to x with the entries that lost their sign
/// set to 0, if f falls; else along the line from u to x up to the first 0 on the way, where f, convex and
/// least at x, has fallen. What is 0 leaves A, and so on until x respects the signs, after at most |A| steps.
/// If one step fails with several indices entered, only the most violated one is entered; then the line is
/// not blocked at u itself, since all other entries of u are nonzero and the derivative of f along x - u is
/// negative only if u_i moves in its sign's direction. So f falls strictly from round to round, every round
/// ends at the point of a basis, no basis comes twice, and there are at most 3^n. In floating point it also
/// ends where f no longer falls, or after pivot_limit steps, at the point of the least f so far; then the
/// certificate says what was reached.
template <bool two_sided, class Team>
class Pivoting {
 public:
  using Scalar = typename Team::Scalar;
  struct End {
    ExactStatus status;  ///< unless the certificate says `optimal`
    Index pivots;
  };

  DETRAME_HOST_DEVICE explicit Pivoting(Basis<two_sided, Team>& basis) : b_(basis), team_(basis.team) {}

  /// basis.u: the guess on entry, what was reached at the end.
  DETRAME_HOST_DEVICE End run(Index pivot_limit) {
    limit_ = pivot_limit;
    if (zero_is_optimal()) team_.each(b_.n, [this](Index i) { b_.u[i] = Scalar(0); });
    team_.each(b_.n, [this](Index i) { b_.old_u[i] = b_.u[i]; });
    bool const ended = block_pivoting() || descent();
    if (ended)
      refine();
    else
      team_.each(b_.n, [this](Index i) { b_.u[i] = b_.old_u[i]; });
    return {ended || pivots_ < limit_ ? (singular_ ? ExactStatus::singular : ExactStatus::inaccurate)
                                      : ExactStatus::iteration_limit,
            pivots_};
  }

 private:
  /// r <= lambda, or |r| <= lambda, up to the rounding of r.
  DETRAME_HOST_DEVICE bool zero_is_optimal() const {
    Scalar const excess = team_.max(
        b_.n, [this](Index i) { return (two_sided ? std::abs(b_.r[i]) : b_.r[i]) - b_.lambda(i, 0); });
    return excess <= 8 * limits::epsilon<Scalar> * b_.magnitude;
  }

  DETRAME_HOST_DEVICE bool block_pivoting() {
    b_.adopt();
    Index least = b_.n + 1;
    for (int patience = 3;;) {
      singular_ = b_.solve();
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

  DETRAME_HOST_DEVICE bool descent() {
    team_.each(b_.n, [this](Index i) { b_.u[i] = b_.old_u[i]; });
    b_.adopt();
    team_.each(b_.size, [this](Index p) { b_.x[p] = b_.u[b_.support[p]]; });
    b_.go_to_x();
    for (Index entered = 0; pivots_ < limit_;) {
      ++pivots_;
      team_.each(b_.n, [this](Index i) {
        b_.old_u[i] = b_.u[i];
        b_.old_slack[i] = b_.slack[i];
      });
      singular_ = b_.solve();
      bool const whole = b_.lost() == 0;
      bool falls = step_to_x();
      if (!whole && !falls && entered > 1) {
        enter_one(b_.size - entered);
        entered = 1;
        continue;
      }
      if (!whole && !falls) falls = step_to_first_zero();
      if (!falls && (!whole || entered > 0)) return false;
      entered = 0;
      if (whole) {
        entered = b_.violations();
        if (entered == 0) return true;
      } else {
        team_.each(b_.n, [this](Index i) { b_.next[i] = b_.u[i] != Scalar(0) ? b_.sign[i] : 0; });
      }
      b_.exchange();
    }
    return false;
  }

  /// To x, with 0 for what has lost its sign; error keeps x. Whether f falls.
  DETRAME_HOST_DEVICE bool step_to_x() {
    team_.each(b_.size, [this](Index p) {
      b_.error[p] = b_.x[p];
      if (b_.has_lost(p)) b_.x[p] = Scalar(0);
    });
    b_.go_to_x();
    return change() < Scalar(0);
  }

  /// From old_u towards `error`, until the first entry is 0. Whether f falls.
  DETRAME_HOST_DEVICE bool step_to_first_zero() {
    team_.each(b_.size, [this](Index p) { b_.x[p] = b_.error[p]; });
    auto const speed = [this](Index p) {  // entry p is 0 at the step 1 / speed
      Scalar const from = std::abs(b_.old_u[b_.support[p]]);
      return b_.has_lost(p) ? (from + std::abs(b_.x[p])) / from : Scalar(0);
    };
    Scalar const fastest = team_.max(b_.size, speed);
    team_.each(b_.size, [=, this](Index p) {
      Scalar const from = b_.old_u[b_.support[p]];
      b_.x[p] = speed(p) >= fastest ? Scalar(0) : from + (b_.x[p] - from) / fastest;
    });
    b_.go_to_x();
    return change() < Scalar(0);
  }

  /// f(u) - f(old_u), both in the orthant of sign: without the cancellation of two values of f.
  DETRAME_HOST_DEVICE Scalar change() const {
    return team_.sum(b_.n, [this](Index i) {
      Scalar const kink = static_cast<Scalar>(b_.sign[i]) * b_.lambda(i, 0);
      return b_.sign[i] == 0
                 ? Scalar(0)
                 : (b_.old_u[i] - b_.u[i]) * ((b_.slack[i] - kink) + (b_.old_slack[i] - kink)) / Scalar(2);
    });
  }

  /// Back to old_u; of the members of A from place `first` on, who have just entered, the most violated one
  /// stays.
  DETRAME_HOST_DEVICE void enter_one(Index first) {
    team_.each(b_.n, [this](Index i) {
      b_.u[i] = b_.old_u[i];
      b_.slack[i] = b_.old_slack[i];
    });
    team_.once([&] {
      int best = b_.support[first];
      for (Index p = first; p < b_.size; ++p) {
        int const i = b_.support[p];
        if (std::abs(b_.slack[i]) - b_.lambda(i, 0) > std::abs(b_.slack[best]) - b_.lambda(best, 0)) best = i;
      }
      for (Index p = first; p < b_.size; ++p)
        if (b_.support[p] != best) b_.sign[b_.support[p]] = 0;
      b_.support[first] = best;
    });
    b_.size = first + 1;
    b_.kept_rows = first;
  }

  /// One step of iterative refinement where the equations on A are off by more than their rounding; it stays
  /// if it lowers the error and no sign is lost.
  DETRAME_HOST_DEVICE void refine() {
    Scalar const before = b_.equation_error();
    if (!(before > 2 * b_.rounding())) return;
    team_.each(b_.size, [this](Index p) { b_.old_u[p] = b_.x[p]; });
    team_.cholesky_solve(b_.factor, b_.size, b_.error);
    team_.each(b_.size, [this](Index p) { b_.x[p] += b_.error[p]; });
    b_.go_to_x();
    if (b_.lost() == 0 && b_.equation_error() < before) return;
    team_.each(b_.size, [this](Index p) { b_.x[p] = b_.old_u[p]; });
    b_.go_to_x();
  }

  Basis<two_sided, Team>& b_;
  Team const& team_;
  Index limit_ = 0, pivots_ = 0;
  bool singular_ = false;
};

}  // namespace detrame::exact
