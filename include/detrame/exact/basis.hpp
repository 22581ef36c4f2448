// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/basis_memory.hpp"

namespace detrame::inline DETRAME_ABI::exact {

/// A basis of one column's problem: which u_i may differ from 0, and with which sign.
///
///   min_u  f(u) = 1/2 <u, H u> - <r, u> + sum_i lambda_i |u_i|  (+ indicator(u >= 0)),   H = Q + diag(beta)
///
/// sign_i is -1, 0 or 1 (0 or 1 where u >= 0), A = {i: sign_i != 0}. The *point of the basis* has u = 0 off A
/// and slack_i := (r - H u)_i = sign_i lambda_i on A: one factorisation.
/// It is the minimiser iff no i is *violated*,
///
///   sign_i u_i >= 0 on A,     |slack_i| <= lambda_i off A   (slack_i <= lambda_i where u >= 0)
///
/// In floating point i is violated off A only beyond the rounding of its slack, so that ties do not matter. A
/// row whose pivot is lost in rounding (atoms equal, alpha + beta tiny) cannot be in A with those before it.
///
/// A is a list, `support`, in ascending order, so that the bits of the point do not depend on the way to it;
/// the factor is kept up to the first row that changed.
template <bool two_sided, class Team>
class Basis : public BasisMemory<Team> {
  using Memory = BasisMemory<Team>;

 public:
  using Scalar = typename Team::Scalar;
  using Memory::Memory;

  using Memory::beta, Memory::error, Memory::factor, Memory::kept_rows, Memory::lambda, Memory::low,
      Memory::magnitude, Memory::n, Memory::next, Memory::Q, Memory::r, Memory::refused, Memory::root,
      Memory::shared, Memory::shift, Memory::sign, Memory::size, Memory::slack, Memory::support, Memory::team,
      Memory::u, Memory::x;

  /// The basis of a point u.
  DETRAME_HOST_DEVICE void adopt() {
    team.each(n, [this](Index i) { next[i] = u[i] > Scalar(0) ? 1 : (u[i] < Scalar(0) ? -1 : 0); });
    size = kept_rows = 0;
    team.each(n, [this](Index i) { sign[i] = 0; });
    exchange();
  }

  /// No member. With it `enter` costs what its members are, not n.
  DETRAME_HOST_DEVICE void clear() {
    size = kept_rows = 0;
    team.each(n, [this](Index i) { sign[i] = 0; });
  }
  /// i joins a basis that is not factored, behind its other members, with the sign s.
  DETRAME_HOST_DEVICE void enter(int i, int s) {
    support[size++] = i;
    sign[i] = s;
  }
  /// No member, by the members.
  DETRAME_HOST_DEVICE void leave() {
    for (Index p = 0; p < size; ++p) sign[member(p)] = 0;
    size = kept_rows = 0;
  }

  /// H_AA = L L^T. How many rows of A are factored: all, or those before the first whose pivot
  /// is lost in rounding.
  DETRAME_HOST_DEVICE Index factorise() {
    fill();
    return kept_rows = team.cholesky(factor, size, first_row());
  }

  /// x = H_AA^-1 (r - sign lambda)_A, where all of A is factored.
  DETRAME_HOST_DEVICE void solve() {
    DETRAME_ASSERT(kept_rows == size);
    team.each(size, [this](Index p) {
      Index const i = member(p);
      x[p] = r[i] - static_cast<Scalar>(sign[i]) * lambda(i, 0);
    });
    team.cholesky_solve(factor, size, x);
  }

  /// The member at `place` leaves A.
  DETRAME_HOST_DEVICE void drop(Index place) {
    DETRAME_ASSERT(place >= 0 && place < size);
    team.once([&] {
      sign[member(place)] = 0;
      for (Index p = place + 1; p < size; ++p) support[p - 1] = support[p];
    });
    kept_rows = place < kept_rows ? place : kept_rows;
    --size;
  }

  /// u from x, and its slack, four columns of Q at a time.
  DETRAME_HOST_DEVICE void go_to_x() {
    begin_at_x();
    team.each(size, [this](Index p) {
      Index const i = member(p);
      slack[i] -= diagonal(i) * x[p];
    });
    for (Index p = 0; p < size; p += 4) {
      Scalar const* column[4];
      Scalar entry[4];
      for (Index c = 0; c < 4; ++c) {
        column[c] = &Q(0, member(p + c < size ? p + c : p));
        entry[c] = p + c < size ? x[p + c] : Scalar(0);
      }
      subtract(column[0], column[1], column[2], column[3], entry[0], entry[1], entry[2], entry[3]);
    }
  }

  /// The same, with the slack as of sums in doubled precision.
  DETRAME_HOST_DEVICE void go_to_x_sharply() {
    begin_at_x();
    team.each(n, [this](Index i) { low[i] = Scalar(0); });
    team.each(size, [this](Index p) {
      Index const i = member(p);
      subtract_sharply(i, diagonal(i), x[p]);
    });
    for (Index p = 0; p < size; ++p) {
      Scalar const* const column = &Q(0, member(p));
      Scalar const entry = x[p];
      team.each(n, [=, this](Index i) { subtract_sharply(i, column[i], entry); });
    }
    team.each(n, [this](Index i) { slack[i] += low[i]; });
  }

  /// u and slack on A alone, from x.
  DETRAME_HOST_DEVICE void go_to_x_on_support() {
    team.each(size, [this](Index p) {
      Index const i = member(p);
      Scalar const* const column = &Q(0, i);
      Scalar sum[4] = {};
      Index q = 0;
      for (; q + 4 <= size; q += 4)
        for (Index c = 0; c < 4; ++c) sum[c] += column[member(q + c)] * x[q + c];
      for (Index c = 0; q < size; ++q, ++c) sum[c] += column[member(q)] * x[q];
      u[i] = x[p];
      slack[i] = (r[i] - diagonal(i) * x[p]) - ((sum[0] + sum[1]) + (sum[2] + sum[3]));
    });
  }

  /// sum_i root_i |u_i| of a point that is 0 off A, so that root_i times it bounds the terms of (H u)_i.
  DETRAME_HOST_DEVICE Scalar size_of_u() const {
    return team.sum(size, [this](Index p) { return root[member(p)] * std::abs(u[member(p)]); });
  }
  /// A bound of the terms that slack_i and its distance to lambda_i are summed from.
  DETRAME_HOST_DEVICE Scalar terms(Index i, Scalar size_of_u) const {
    return magnitude[i] + root[i] * size_of_u + lambda(i, 0);
  }

  /// Marks `next`; how many are violated.
  DETRAME_HOST_DEVICE Index violations() {
    Scalar const size_here = size_of_u();
    team.each(n, [this, size_here](Index i) {
      Scalar const reach = lambda(i, 0) + 8 * limits::epsilon<Scalar> * terms(i, size_here);
      if (sign[i] != 0)
        next[i] = static_cast<Scalar>(sign[i]) * u[i] < Scalar(0) ? 0 : sign[i];
      else
        next[i] = slack[i] > reach ? 1 : (two_sided && slack[i] < -reach ? -1 : 0);
    });
    return static_cast<Index>(
        team.sum(n, [this](Index i) { return static_cast<Scalar>(next[i] != sign[i]); }));
  }

  /// Of those that `next` lets enter, the one that promises most, by its violation in units of root_i, and
  /// was not refused yet; now it is. Whether there is one.
  DETRAME_HOST_DEVICE bool choose() {
    team.once([&] {
      Scalar most(0);
      int best = -1;
      for (int i = 0; i < n; ++i) {
        if (sign[i] != 0 || next[i] == 0) continue;
        Scalar const promise = (std::abs(slack[i]) - lambda(i, 0)) / root[i];
        if (!refused[i] && (best < 0 || promise > most)) {
          most = promise;
          best = i;
        }
      }
      for (int i = 0; i < n; ++i)
        if (sign[i] == 0 && i != best) next[i] = 0;
      if (best >= 0) refused[best] = 1;
      shared[0] = best;
    });
    return shared[0] >= 0;
  }

  /// sign <- next. The factor is kept up to the first place that changes.
  DETRAME_HOST_DEVICE void exchange() {
    team.once([&] {
      int count = 0, kept = static_cast<int>(kept_rows);
      for (int i = 0; i < n; ++i) {
        if (next[i] != sign[i] && count < kept) kept = count;
        if (next[i] != 0) support[count++] = i;
        sign[i] = next[i];
      }
      shared[0] = count;
      shared[1] = kept;
    });
    size = shared[0];
    kept_rows = shared[1];
  }

  /// The member of A at a place.
  DETRAME_HOST_DEVICE Index member(Index place) const {
    DETRAME_ASSERT(place >= 0 && place < size);
    return support[place];
  }

  /// error = slack - sign lambda on A; its largest magnitude, in units of its terms.
  DETRAME_HOST_DEVICE Scalar equation_error() {
    team.each(size, [this](Index p) { error[p] = excess(member(p)); });
    Scalar const size_here = size_of_u();
    return team.max(size, [this, size_here](Index p) {
      return error[p] == Scalar(0) ? Scalar(0) : std::abs(error[p]) / terms(member(p), size_here);
    });
  }

  /// At x, where all of A is factored: whether its equations hold without refinement.
  DETRAME_HOST_DEVICE bool equations_hold() {
    go_to_x_on_support();
    Scalar const size_here = size_of_u(), tolerance = 2 * limits::epsilon<Scalar>;
    return team.max(size, [=, this](Index p) {
      Index const i = member(p);
      return std::abs(excess(i)) <= tolerance * terms(i, size_here) ? Scalar(0) : Scalar(1);
    }) == Scalar(0);
  }

  /// How many entries of x have lost their sign.
  DETRAME_HOST_DEVICE Index lost() const {
    return static_cast<Index>(
        team.sum(size, [this](Index p) { return static_cast<Scalar>(has_lost(x, p)); }));
  }
  /// Whether the entry of v, by place in support, has another sign than the basis.
  DETRAME_HOST_DEVICE bool has_lost(Scalar const* v, Index p) const {
    return static_cast<Scalar>(sign[member(p)]) * v[p] < Scalar(0);
  }

  /// -df/du_i in the orthant of the basis.
  DETRAME_HOST_DEVICE Scalar excess(Index i) const {
    return slack[i] - static_cast<Scalar>(sign[i]) * lambda(i, 0);
  }

 private:
  /// Where the factor is continued.
  DETRAME_HOST_DEVICE Index first_row() const { return kept_rows - kept_rows % Team::tile; }

  /// The rows of H_AA that are not factored yet.
  DETRAME_HOST_DEVICE void fill() {
    Index const first = first_row();
    place_rows(team, Q, support, size, first, factor);
    team.each(size - first, [=, this](Index p) {
      factor[Team::factor_place(first + p, first + p)] += diagonal(member(first + p));
    });
  }

  /// What H has on its diagonal beyond Q.
  DETRAME_HOST_DEVICE Scalar diagonal(Index i) const {
    return shift > Scalar(0) ? beta(i, 0) + shift * (root[i] * root[i]) : beta(i, 0);
  }

  /// u = x on A, else 0. slack = r
  DETRAME_HOST_DEVICE void begin_at_x() {
    team.each(n, [this](Index i) {
      u[i] = Scalar(0);
      slack[i] = r[i];
    });
    team.each(size, [this](Index p) { u[member(p)] = x[p]; });
  }

  /// (slack + low)_i -= a b. The product and the sum are exact but for what `low` rounds.
  DETRAME_HOST_DEVICE void subtract_sharply(Index i, Scalar a, Scalar b) {
    Scalar const product = a * b, rest = std::fma(a, b, -product);
    Scalar const sum = slack[i] - product, part = sum - slack[i];
    low[i] += ((slack[i] - (sum - part)) - (product + part)) - rest;
    slack[i] = sum;
  }

  DETRAME_HOST_DEVICE void subtract(Scalar const* q0, Scalar const* q1, Scalar const* q2, Scalar const* q3,
                                    Scalar u0, Scalar u1, Scalar u2, Scalar u3) {
    Scalar* const s = slack;
    team.each(n, [=](Index i) { s[i] -= (q0[i] * u0 + q1[i] * u1) + (q2[i] * u2 + q3[i] * u3); });
  }
};

}  // namespace detrame::inline DETRAME_ABI::exact
