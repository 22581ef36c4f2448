// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>

#include "detrame/exact/problem.hpp"

namespace detrame::inline DETRAME_ABI::exact {

/// A guess at the support of one column's minimiser, with work in the size of that support:
///
///   min_v  1/2 <v, H v> - <r, v> + share sum_i lambda_i |v_i|  (+ indicator(v >= 0))
///
/// Rounds. A round forms the slacks c = r - H v from the columns of H that v needs; the most violated of them
/// enter, one after the other: i, with sign s_i, joins the support A, and v goes along
///
///   v_A(t) = v_A + t (H_AA)^{-1} e_i (c_i - s_i share lambda_i),    0 <= t <= 1,
///
/// which leaves the slacks of the others in A as they are and ends where that of i is right. At the first
/// zero on the way that entry leaves A, and what is left of the way is gone along in the new A. So the
/// objective falls with every step (Lawson and Hanson, with one direction in place of a solution).
/// H_AA^{-1} is kept, and changed by one row at a time: |A|^2 multiply-adds. At the end of a round v is
/// corrected by it.
///
/// Only the support and the signs of v are used, and by whoever checks them: this may be done in coarser
/// arithmetic than the problem has, and it may give up: where the support outgrows `most`, or is going to,
/// half as many again being violated as are in A when those are `early`; where an atom depends on A to
/// working precision, or `limit` exchanges do not suffice. No step depends on another column.
template <bool two_sided, class Team>
class SupportSearch {
 public:
  using Scalar = typename Team::Scalar;
  using Inverse = typename Team::Inverse;

  /// H, lambda: rows filled up to whole blocks by zeros, by infinity.
  struct Form {
    Scalar const* H;
    Index stride, n;
    Scalar const* lambda;
  };
  enum class End { found, outgrown, given_up, not_begun };

  static constexpr Index most = 48;
  static constexpr Index scratch_size(Index n) {
    return Inverse::scratch_size(most) + 5 * places + integers(most + candidates) + 2 * Team::whole_blocks(n);
  }

  SupportSearch(Team const& team, Form const& form, Scalar* scratch)
      : team_(team),
        form_(form),
        rows_(Team::whole_blocks(form.n)),
        inverse_(most, scratch),
        v_(scratch + Inverse::scratch_size(most)),
        sign_(v_ + places),
        y_(sign_ + places),
        a_(y_ + places),
        w_(a_ + places),
        member_(reinterpret_cast<int*>(w_ + places)),
        candidate_(member_ + most),
        c_(w_ + places + integers(most + candidates)),
        excess_(c_ + rows_) {}

  /// From the support and the signs of a guess, or from 0; not at all from one of more than `most` members.
  /// r: whole blocks.
  template <class Guess>
  End run(Scalar const* r, Scalar share, Guess const* guess, Index limit) {
    r_ = r;
    share_ = share;
    limit_ = limit;
    clear();
    if (guess != nullptr && !begin_at(guess)) return End::not_begun;
    bool unasked = true;
    for (bool first = inverse_.size() == 0;; first = false) {
      Scalar const* const c = first ? r_ : slacks();
      Scalar const top = team_.template excesses<two_sided>(c, form_.lambda, share_, rows_, excess_);
      Scalar const least = tolerance();
      if (top <= least) return End::found;
      if (!(top <= limits::largest<Scalar>)) return End::given_up;
      if (unasked && size() >= early) {
        unasked = false;
        Index violated = 0;
        for (Index i = 0; i < rows_; ++i) violated += excess_[i] > least;
        if (2 * violated > 3 * size()) return End::outgrown;
      }
      Index const before = exchanges_;
      Index left = team_.places_of(excess_, std::max(top * taken, least), rows_, candidates, candidate_);
      if (left <= 2 * at_once)
        for (Index q = 0; q < left; ++q) team_.expect(column(candidate_[q]), form_.n);
      for (Index n = 0; left > 0 && n < at_once; --left, ++n) {
        if (size() == most) return End::outgrown;
        if (exchanges_ >= limit_ || !enter(next_candidate(left))) return End::given_up;
      }
      if (exchanges_ == before) return End::given_up;
    }
  }

  void clear() {
    inverse_.clear();
    exchanges_ = 0;
    for (Index p = 0; p < places; ++p) v_[p] = sign_[p] = Scalar(0);
  }
  Index size() const { return inverse_.size(); }
  Index exchanges() const { return exchanges_; }
  int member(Index p) const { return member_[p]; }
  Scalar value(Index p) const { return v_[p]; }

 private:
  static constexpr Index candidates = 32, at_once = 4, places = Inverse::room(most + 1);
  /// So many members that there is room for thrice as many. Where half as many again are violated still, the
  /// support is large, and sweeps find it sooner: so were 2 in 1000 codes of patches that came here, and 93
  /// in 100 dense codes of 128 atoms.
  static constexpr Index early = 16;
  static constexpr Scalar taken = Scalar(.5);             ///< of the largest violation, what enters with it
  static constexpr Scalar dependent = Scalar(1) / 65536;  ///< of h_ii, a pivot that is none

  static constexpr Index integers(Index count) { return scalars_for<Scalar, int>(count); }

  Scalar const* column(Index i) const { return form_.H + i * form_.stride; }
  Scalar weight(Index i) const { return share_ * form_.lambda[i]; }

  /// Of the rounding of the slacks, where h_ii and the data are about 1 and |r_i| at most that: what is less
  /// is left to whoever checks the support.
  Scalar tolerance() const {
    Scalar sum(1);
    for (Index p = 0; p < size(); ++p) sum += 2 * std::abs(v_[p]);
    return 4 * limits::epsilon<Scalar> * sum;
  }

  /// c = r - H v, where v is corrected by what is left of the equations on A; 0 on A.
  Scalar const* slacks() {
    Index const n = size();
    team_.subtract_columns(r_, form_.H, form_.stride, member_, v_, n, rows_, c_);
    for (Index p = 0; p < n; ++p) {
      a_[p] = c_[member_[p]] - sign_[p] * weight(member_[p]);
      c_[member_[p]] = Scalar(0);
    }
    inverse_.multiply(a_, y_);
    bool keeps = true;
    for (Index p = 0; p < n; ++p) keeps &= sign_[p] * (v_[p] + y_[p]) > Scalar(0);
    if (keeps)
      for (Index p = 0; p < n; ++p) v_[p] += y_[p];
    return c_;
  }

  /// The most violated of `count` candidates, which leaves the list.
  Index next_candidate(Index count) {
    Index best = 0;
    for (Index q = 1; q < count; ++q)
      if (excess_[candidate_[q]] > excess_[candidate_[best]]) best = q;
    int const i = candidate_[best];
    candidate_[best] = candidate_[count - 1];
    return i;
  }

  /// <x, y> over A.
  Scalar inner(Scalar const* x, Scalar const* y) const {
    constexpr Index ways = 4;
    Scalar sum[ways] = {};
    Index p = 0;
    for (; p + ways <= size(); p += ways)
      for (Index w = 0; w < ways; ++w) sum[w] += x[p + w] * y[p + w];
    for (; p < size(); ++p) sum[0] += x[p] * y[p];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
  }

  /// w = H_AA^{-1} H_Ai; the pivot of i.
  Scalar pivot(Index i) {
    Scalar const* const h = column(i);
    for (Index p = 0; p < size(); ++p) a_[p] = h[member_[p]];
    inverse_.multiply(a_, w_);
    return h[i] - inner(a_, w_);
  }

  void append(Index i, Scalar sign, Scalar pivot) {
    Index const n = size();
    inverse_.append(w_, pivot);
    member_[n] = static_cast<int>(i);
    sign_[n] = sign;
    v_[n] = Scalar(0);
  }
  void remove(Index q) {
    Index const last = size() - 1;
    inverse_.remove(q);
    member_[q] = member_[last];
    sign_[q] = sign_[last];
    v_[q] = v_[last];
    v_[last] = sign_[last] = Scalar(0);
    ++exchanges_;
  }

  /// Whether i could enter, if it is violated still.
  bool enter(Index i) {
    Scalar const h = column(i)[i], d = pivot(i);
    Scalar const slack = r_[i] - inner(a_, v_);
    Scalar const sign = two_sided && slack < Scalar(0) ? Scalar(-1) : Scalar(1);
    Scalar rest = slack - sign * weight(i);
    if (!(sign * rest > Scalar(0))) return true;
    if (!(d > dependent * h)) return false;
    append(i, sign, d);
    ++exchanges_;
    for (Index place = size() - 1;;) {
      Index const n = size();
      Scalar const* const m = inverse_.column(place);
      if (team_.step(v_, rest, m, sign_, n, y_)) {
        std::swap(v_, y_);
        return true;
      }
      Scalar least = Scalar(1);
      Index first = place;
      for (Index p = 0; p < n; ++p) {
        if (sign_[p] * y_[p] > Scalar(0) || p == place) continue;
        Scalar const t = v_[p] / (v_[p] - y_[p]);
        if (first != place && !(t < least)) continue;
        least = t;
        first = p;
      }
      if (first == place) return false;  // its own sign lost, in rounding
      for (Index p = 0; p < n; ++p) v_[p] += least * (rest * m[p]);
      rest *= Scalar(1) - least;
      if (place == n - 1) place = first;  // the last one takes the place
      remove(first);
      if (exchanges_ >= limit_) return true;
    }
  }

  /// The point of the support of a guess, less what has lost its sign there, as often as that happens.
  /// Whether there was room.
  template <class Guess>
  bool begin_at(Guess const* u) {
    for (Index i = 0; i < form_.n; ++i) {
      bool const member = two_sided ? u[i] != Guess(0) && u[i] == u[i] : u[i] > Guess(0);
      if (!member || !(weight(i) <= limits::largest<Scalar>)) continue;
      if (size() == most) return false;
      Scalar const d = pivot(i);
      if (d > dependent * column(i)[i]) append(i, u[i] > Guess(0) ? Scalar(1) : Scalar(-1), d);
    }
    for (Index lost = 1; lost > 0;) {
      Index const n = size();
      for (Index p = 0; p < n; ++p) a_[p] = r_[member_[p]] - sign_[p] * weight(member_[p]);
      inverse_.multiply(a_, v_);
      lost = 0;
      for (Index p = n - 1; p >= 0; --p)
        if (!(sign_[p] * v_[p] > Scalar(0))) {
          remove(p);
          ++lost;
        }
    }
    return true;
  }

  Team const& team_;
  Form form_;
  Index rows_;
  Inverse inverse_;
  Scalar *v_, *sign_, *y_;  ///< by place in A, 0 beyond it: a point, its signs, the next point
  Scalar *a_, *w_;          ///< by place in A
  int *member_, *candidate_;
  Scalar *c_, *excess_;
  Scalar const* r_ = nullptr;
  Scalar share_ = 0;
  Index limit_ = 0, exchanges_ = 0;
};

}  // namespace detrame::inline DETRAME_ABI::exact
