// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>

#include "detrame/exact/block_certificate.hpp"
#include "detrame/exact/coarse_form.hpp"
#include "detrame/exact/kept_factors.hpp"
#include "detrame/exact/pivoting.hpp"
#include "detrame/exact/seed.hpp"
#include "detrame/exact/support_search.hpp"

namespace detrame::exact {

/// Solves one diagonal block of Q for the columns first, first + 1, ..., and certifies: for teams that have
/// a coarse one.
///
/// SupportSearch guesses the support, in the scalar of the coarse team. What counts is the point of that
/// basis, solved for in the problem's own scalar from its members in ascending order, as `Pivoting` ends.
/// Where its signs are right and its equations hold, the certificate alone decides whether anything off the
/// support is violated. A column that is not optimal then, or whose support was not found, goes to
/// `Pivoting`, which ends, from the point that was reached, and is judged again. A support that outgrew the
/// search is guessed by sweeps (Seed) from where the search stopped. A column whose pivoting finds no end
/// from a caller's guess is solved as without it.
///
/// So the way depends on the column alone, and the last point on its basis alone.
template <class Activation, class Team>
struct SupportSet {
  using Scalar = typename Team::Scalar;
  using Coarse = typename Team::Coarse;
  using Entry = typename Coarse::Scalar;
  using Form = CoarseForm<Team>;

  Activation activation;
  bool warm;  ///< u holds a guess on entry
  Index pivot_limit;
  Form coarse;

  /// `problem_rows`: the problem's scratch_rows().
  static constexpr Index scratch_size(Index n, Index problem_rows) {
    Index const side_by_side =
        2 * n + Team::height + std::max(problem_rows, 2 * n + Sweeps::scratch_rows) + 1;
    return width * side_by_side + (width + 4) * Team::padded(n) + Point::scratch_size(n) +
           Entries::scratch_size(n, width) + search_size(n);
  }

  SupportSet block(Index b) const { return {activation, warm, pivot_limit, coarse.block(b)}; }

  /// u, report, kept: the rows of this block, all columns.
  template <FactoredProblem<Team> P>
  void operator()(Team const& team, P problem, Index first, Scalar* scratch, MatrixView<Scalar const> beta,
                  MatrixView<Scalar const> lambda, MatrixView<Scalar> u, MatrixView<Scalar> report,
                  KeptFactors<Scalar> kept) const {
    Index const n = u.rows(), count = std::min(u.cols() - first, width), room = Team::padded(n);
    Scalar* const V = scratch;  // the problem's; the sweeps'
    Scalar* const r = V + std::max(problem.scratch_rows(), 2 * n + Sweeps::scratch_rows) * width;
    Scalar* const v = r + (n + Team::height) * width;  // n x width, side by side, as r is
    Scalar* const powers = v + n * width;
    Scalar* const columns = powers + width;  // n x width, by columns, `room` apart: r
    Scalar* const column = columns + room * width;
    Scalar* const point = column + 4 * room;
    Scalar* const entries_of_u = point + Point::scratch_size(n);
    Entry* const coarse_r = reinterpret_cast<Entry*>(entries_of_u + Entries::scratch_size(n, width));

    problem.known.find(team, problem, first, count, powers);
    problem.linear(team, first, V, r);
    team.split(r, n, columns, room);
    Scalar largest[width];
    find_largest(team, r, n, largest);
    Search search(Coarse(), {coarse.H, Form::stride(n), n, coarse.lambda}, coarse_r + Form::rows(n));
    auto const basis_of = [&](Index c) {
      int const by = problem.powers(team, first + c).weights;
      auto weights = lambda;
      if (by != 0) {
        for (Index i = 0; i < n; ++i) column[i] = scaled(lambda(i, 0), by);
        weights = MatrixView<Scalar const>(column, n, 1, n);
      }
      return Point(team, problem.Q, beta, weights, coarse.root, columns + c * room, column + room,
                   column + 2 * room, column + 3 * room, point);
    };

    auto const optimal = [&](Index c) {
      return report(Index(Report::status), first + c) ==
             static_cast<Scalar>(static_cast<int>(ExactStatus::optimal));
    };
    auto const pivots = [&](Index c) { return static_cast<Index>(report(Index(Report::pivots), first + c)); };
    bool callers[width];  // whether the guess that a column began at is the caller's
    typename Search::End end[width];
    auto const search_support = [&](Index c, Index before, bool behind_pivoting) {
      Index const j = first + c;
      Powers const by = problem.powers(team, j);
      Point basis = basis_of(c);
      if (c == 0 || behind_pivoting) basis.clear();
      team.expect(column_of(u, j), n);
      end[c] = search_column(search, columns + c * room, largest[c], by,
                             callers[c] ? column_of(u, j) : nullptr, coarse_r);
      enter(team, report, j, ExactStatus::inaccurate, before + search.exchanges());
      bool const solved = end[c] == Search::End::found && finish(team, problem, search, basis, u, j);
      if (solved) kept.keep(basis, u, j, true);
      if (!solved && !(callers[c] && end[c] == Search::End::not_begun))
        write_guess(search, largest[c], by, column_of(u, j));
      if (end[c] == Search::End::found && !solved) end[c] = Search::End::given_up;
      basis.leave();
    };
    auto const pivot = [&](Index c) {  // from u; whether it ended by itself
      Index const j = first + c, before = pivots(c);
      Point basis = basis_of(c);
      int const by = problem.powers(team, j).code;
      problem.linear_terms(team, j, V, basis.magnitude);
      for (Index i = 0; i < n; ++i) basis.u[i] = scaled(u(i, j), by);
      auto const done =
          Pivoting<two_sided, Team>(basis).run(pivot_limit - std::min(before, pivot_limit), callers[c]);
      for (Index i = 0; i < n; ++i) u(i, j) = scaled(basis.u[i], -by);
      kept.keep(basis, u, j, done.found);
      enter(team, report, j, done.status, before + done.pivots);
      end[c] = Search::End::given_up;
      return done.found;
    };
    auto const go_on = [&](Index c) {
      if (pivot(c) || !callers[c] || pivots(c) >= pivot_limit) return;
      callers[c] = false;
      search_support(c, pivots(c), true);
      if (end[c] == Search::End::found) return;
      typename Search::End only[width];
      for (Index other = 0; other < width; ++other) only[other] = other == c ? end[c] : Search::End::found;
      sweep(team, problem, first, count, only, beta, lambda, r, V, v, u);
      pivot(c);
    };

    for (Index c = 0; c < count; ++c) {
      callers[c] = warm;
      search_support(c, 0, false);
    }
    sweep(team, problem, first, count, end, beta, lambda, r, V, v, u);
    for (Index c = 0; c < count; ++c)
      if (end[c] != Search::End::found) go_on(c);

    // The judge writes over r: whoever goes on behind it has its column in `columns`, and r anew.
    Entries entries(n, width, entries_of_u);
    certify_block(team, activation, problem, beta, lambda, first, v, V, r, entries, u, report);
    for (Index c = 0; c < count; ++c)
      for (int turn = 0; turn < 2 && end[c] == Search::End::found && !optimal(c); ++turn) {
        problem.linear(team, first, V, r);
        go_on(c);
        certify_block(team, activation, problem, beta, lambda, first + c, v, V, r, entries,
                      u.middle_cols(0, first + c + 1), report);
      }
  }

 private:
  static constexpr bool two_sided = Activation::two_sided;
  static constexpr Index width = Team::width;
  static constexpr int sweeps = 10;
  using Search = SupportSearch<two_sided, Coarse>;
  using Point = Basis<two_sided, Team>;
  using Sweeps = Seed<Activation, Team>;
  using Entries = CodeEntries<Scalar>;

  static constexpr Index search_size(Index n) {
    return Form::entries(Form::rows(n) + Search::scratch_size(n));
  }

  /// max_i |r_ic| s_i of each column; NaN where an entry is not finite.
  void find_largest(Team const& team, Scalar const* r, Index n, Scalar (&largest)[width]) const {
    Scalar poison[width] = {};
    for (Scalar& most : largest) most = Scalar(0);
    for (Index i = 0; i < n; ++i) {
      Scalar const scale = coarse.scale[i];
      team.abreast([&](Index c) {
        Scalar const magnitude = std::abs(r[i * width + c] * scale);
        largest[c] = magnitude > largest[c] ? magnitude : largest[c];
        poison[c] += magnitude - magnitude;
      });
    }
    for (Index c = 0; c < width; ++c) largest[c] += poison[c];
  }

  /// The search for one column, in a unit in which its largest entry is about 1. u: its guess, or null.
  typename Search::End search_column(Search& search, Scalar const* r, Scalar largest, Powers by,
                                     Scalar const* u, Entry* coarse_r) const {
    Index const n = coarse.n;
    search.clear();
    if (pivot_limit == 0 || !(largest <= limits::largest<Scalar>)) return Search::End::not_begun;
    int const unit = to_one(largest);
    Scalar const factor = scaled(Scalar(1), unit);
    for (Index i = 0; i < n; ++i) coarse_r[i] = static_cast<Entry>((r[i] * coarse.scale[i]) * factor);
    for (Index i = n; i < Form::rows(n); ++i) coarse_r[i] = Entry(0);
    Entry const share = scaled(Entry(1), std::clamp(by.weights + unit - *coarse.power, -120, 120));
    return search.run(coarse_r, share, u, pivot_limit);
  }

  /// u becomes the point of the support that was found, where it is one. Whether it is.
  template <class P>
  bool finish(Team const& team, P const& problem, Search const& search, Point& basis, MatrixView<Scalar> u,
              Index j) const {
    Powers const by = problem.powers(team, j);
    Index const size = search.size();
    int place[Search::most];  // of the members, ascending
    for (Index p = 0; p < size; ++p) {
      Index q = p;
      for (; q > 0 && search.member(place[q - 1]) > search.member(p); --q) place[q] = place[q - 1];
      place[q] = static_cast<int>(p);
    }
    for (Index p = 0; 4 * size < coarse.n && p < size; ++p)
      for (Index q = p; q < size; ++q)
        team.expect(&problem.Q(search.member(place[q]), search.member(place[p])), 1);
    Scalar const of_r = problem.linear_size(team, j);
    for (Index p = 0; p < size; ++p) {
      int const i = search.member(place[p]);
      basis.enter(i, search.value(place[p]) < Entry(0) ? -1 : 1);
      basis.magnitude[i] = problem.linear_term(i, of_r, by);
    }
    if (basis.factorise() < size) return false;
    basis.solve();
    if (basis.lost() > 0 || !basis.equations_hold()) return false;
    std::fill_n(column_of(u, j), coarse.n, Scalar(0));
    for (Index p = 0; p < size; ++p) u(basis.member(p), j) = scaled(basis.x[p], -by.code);
    return true;
  }

  /// u becomes the point where the search stopped.
  void write_guess(Search const& search, Scalar largest, Powers by, Scalar* u) const {
    std::fill_n(u, coarse.n, Scalar(0));
    int const power = -to_one(largest) - by.code;
    for (Index p = 0; p < search.size(); ++p) {
      Index const i = search.member(p);
      u[i] = scaled(static_cast<Scalar>(search.value(p)) * coarse.scale[i], power);
    }
  }

  /// Guesses for the columns whose supports outgrew the search, from where it stopped.
  template <class P>
  void sweep(Team const& team, P const& problem, Index first, Index count,
             typename Search::End const (&end)[width], MatrixView<Scalar const> beta,
             MatrixView<Scalar const> lambda, Scalar const* r, Scalar* V, Scalar* U,
             MatrixView<Scalar> u) const {
    Index const n = u.rows();
    Scalar *const weights = V, *const rows = V + n * width;
    auto const outgrown = [&](Index c) { return c < count && end[c] == Search::End::outgrown; };
    bool any = false;
    for (Index c = 0; c < count; ++c) any = any || outgrown(c);
    if (!any) return;
    for (Index c = 0; c < width; ++c) {
      Powers const by = c < count ? problem.powers(team, first + c) : Powers();
      for (Index i = 0; i < n; ++i) {
        U[i * width + c] = outgrown(c) ? scaled(u(i, first + c), by.code) : Scalar(0);
        weights[i * width + c] = scaled(lambda(i, 0), by.weights);
      }
    }
    Sweeps::sweep(team, sweeps, problem.Q, beta, weights, r, U, rows);
    for (Index c = 0; c < count; ++c) {
      if (!outgrown(c)) continue;
      int const back = -problem.powers(team, first + c).code;
      for (Index i = 0; i < n; ++i) u(i, first + c) = scaled(U[i * width + c], back);
    }
  }
};

}  // namespace detrame::exact
