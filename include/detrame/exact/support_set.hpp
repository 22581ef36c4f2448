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

namespace detrame::inline DETRAME_ABI::exact {

/// Solves one diagonal block of Q for the columns first, first + 1, ..., and certifies: for teams that have
/// a coarse one.
///
/// SupportSearch guesses the support, in the scalar of the coarse team. What counts is the point of that
/// basis, solved for in the problem's own scalar from its members in ascending order, as `Pivoting` ends.
/// Where its signs are right and its equations hold, the certificate alone decides whether anything off the
/// support is violated. A column that is not optimal then, or whose support was not found, goes to
/// `Pivoting`, which ends, from the point that was reached, and is judged again. A support that outgrew the
/// search is guessed by sweeps from where the search stopped; a caller's guess that the search has no room
/// for is where pivoting begins. A column whose pivoting finds no end from a caller's guess is solved as
/// without it.
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
    return width * (2 * n + 1) + shared_size(n, problem_rows) + 5 * Team::padded(n) + Point::scratch_size(n) +
           Entries::scratch_size(n, width) + search_size(n);
  }

  SupportSet block(Index b) const { return {activation, warm, pivot_limit, coarse.block(b)}; }

  /// u, report, kept: the rows of this block, all columns.
  template <FactoredProblem<Team> P>
  void operator()(Team const& team, P problem, Index first, Scalar* scratch, MatrixView<Scalar const> beta,
                  MatrixView<Scalar const> lambda, MatrixView<Scalar> u, MatrixView<Scalar> report,
                  KeptFactors<Scalar> kept) const {
    Index const n = u.rows(), count = std::min(u.cols() - first, width), room = Team::padded(n),
                depth = problem.data().rows(), rows = Form::rows(n);
    Scalar* const V = scratch;  // the problem's; the sweeps'
    Scalar* const g = V + shared_size(n, problem.scratch_rows());
    Scalar* const v = g + n * width;  // n x width, side by side, as g is
    Scalar* const powers = v + n * width;
    Scalar* const column = powers + width;  // four of them
    Scalar* const r = column + 4 * room;    // of the column at hand, where it is needed
    Scalar* const point = r + room;
    Scalar* const entries_of_u = point + Point::scratch_size(n);
    Entry* const R = reinterpret_cast<Entry*>(entries_of_u + Entries::scratch_size(n, width));  // by columns

    problem.known.find(team, problem, activation, first, count, powers);
    Column of[width];
    Scalar const* data[width];
    auto const data_of = [&](Index c) {  // scaled; in V where they are not the caller's
      Scalar const* const x = column_of(problem.data(), first + c);
      if (of[c].by.data == 0) return x;
      Scalar* const out = V + c * depth;
      for (Index l = 0; l < depth; ++l) out[l] = scaled(x[l], of[c].by.data);
      return static_cast<Scalar const*>(out);
    };
    for (Index c = 0; c < count; ++c) {
      of[c].by = problem.powers(team, first + c);
      of[c].size = problem.linear_size(team, first + c);
      of[c].unit = to_one(std::max(of[c].size, scaled(*coarse.shift, of[c].by.weights)));
      data[c] = data_of(c);
    }
    problem.coarse_linear(team, coarse, beta, count, data, of, reinterpret_cast<Entry*>(V + width * depth),
                          R);
    Search search(Coarse(), {coarse.H, Form::stride(n), n, coarse.lambda}, R + width * rows);
    auto const basis_of = [&](Index c) {
      int const power = of[c].by.weights;
      auto weights = lambda;
      if (power != 0) {
        for (Index i = 0; i < n; ++i) column[i] = scaled(lambda(i, 0), power);
        weights = MatrixView<Scalar const>(column, n, 1, n);
      }
      return Point(team, problem.Q, beta, weights, coarse.root, r, column + room, column + 2 * room,
                   column + 3 * room, point);
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
      Point basis = basis_of(c);
      if (c == 0 || behind_pivoting) basis.clear();
      team.expect(column_of(u, j), n);
      end[c] = search_column(search, R + c * rows, of[c], callers[c] ? column_of(u, j) : nullptr);
      enter(team, report, j, ExactStatus::inaccurate, before + search.exchanges());
      bool const solved = end[c] == Search::End::found &&
                          finish(team, problem, search, of[c], data_of(c), basis, r, column_of(u, j));
      if (solved) kept.keep(basis, u, j, true);
      if (!solved && !(callers[c] && end[c] == Search::End::not_begun))
        write_guess(search, of[c], column_of(u, j));
      if (end[c] == Search::End::found && !solved) end[c] = Search::End::given_up;
      basis.leave();
    };
    auto const pivot = [&](Index c) {  // from u; whether it ended by itself
      Index const j = first + c, before = pivots(c);
      Point basis = basis_of(c);
      int const code = of[c].by.code;
      Scalar const* const x = data_of(c);
      for (Index i = 0; i < n; ++i) r[i] = problem.linear_entry(team, i, x, of[c].by);
      problem.linear_terms(team, j, V, basis.magnitude);
      for (Index i = 0; i < n; ++i) basis.u[i] = scaled(u(i, j), code);
      auto const done =
          Pivoting<two_sided, Team>(basis).run(pivot_limit - std::min(before, pivot_limit), callers[c]);
      for (Index i = 0; i < n; ++i) u(i, j) = scaled(basis.u[i], -code);
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
      sweep(only, of, R, V, u.middle_cols(first, count));
      pivot(c);
    };

    for (Index c = 0; c < count; ++c) {
      callers[c] = warm;
      search_support(c, 0, false);
    }
    sweep(end, of, R, V, u.middle_cols(first, count));
    for (Index c = 0; c < count; ++c)
      if (end[c] != Search::End::found) go_on(c);

    Entries entries(n, width, entries_of_u);
    certify_block(team, activation, problem, beta, lambda, first, v, V, g, entries, u, report);
    for (Index c = 0; c < count; ++c)
      for (int turn = 0; turn < 2 && end[c] == Search::End::found && !optimal(c); ++turn) {
        go_on(c);
        certify_block(team, activation, problem, beta, lambda, first + c, v, V, g, entries,
                      u.middle_cols(0, first + c + 1), report);
      }
  }

 private:
  static constexpr bool two_sided = Activation::two_sided;
  static constexpr Index width = Team::width;
  static constexpr int sweeps = 12;
  using Search = SupportSearch<two_sided, Coarse>;
  using Point = Basis<two_sided, Team>;
  static_assert(Coarse::width == width);
  using Entries = CodeEntries<Scalar>;

  /// Of V: the problem's, or for sweeps lambda, r and u side by side, and a few rows of H u.
  static constexpr Index shared_size(Index n, Index problem_rows) {
    return std::max(problem_rows * width, Form::entries((3 * n + Coarse::height) * width));
  }
  static constexpr Index search_size(Index n) {
    return Form::entries(width * Form::rows(n) + Search::scratch_size(n));
  }

  /// What a column is scaled by; what its r shares; the power of two that its coarse r has besides.
  struct Column {
    Powers by;
    Scalar size;
    int unit;

    /// Entry i of a code is v s_i times this, where v is that of the coarse code.
    Scalar unit_of_code() const { return scaled(Scalar(1), -unit - by.code); }
  };

  /// Of the weights of a coarse form, of a column.
  Entry share_of_lambda(Column const& column) const {
    return scaled(Entry(1), std::clamp(column.by.weights + column.unit - *coarse.power, -120, 120));
  }

  /// The search for one column, in a unit in which its data are about 1. u: its guess, or null.
  typename Search::End search_column(Search& search, Entry const* r, Column const& column,
                                     Scalar const* u) const {
    search.clear();
    if (pivot_limit == 0 || !(column.size <= limits::largest<Scalar>)) return Search::End::not_begun;
    return search.run(r, share_of_lambda(column), u, pivot_limit);
  }

  /// u becomes the point of the support that was found, where it is one. Whether it is. x: the scaled data;
  /// r: basis.r.
  template <class P>
  bool finish(Team const& team, P const& problem, Search const& search, Column const& column, Scalar const* x,
              Point& basis, Scalar* r, Scalar* u) const {
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
    for (Index p = 0; p < size; ++p) {
      int const i = search.member(place[p]);
      basis.enter(i, search.value(place[p]) < Entry(0) ? -1 : 1);
      basis.magnitude[i] = problem.linear_term(i, column.size, column.by);
      r[i] = problem.linear_entry(team, i, x, column.by);
    }
    if (basis.factorise() < size) return false;
    basis.solve();
    if (basis.lost() > 0 || !basis.equations_hold()) return false;
    std::fill_n(u, coarse.n, Scalar(0));
    for (Index p = 0; p < size; ++p) u[basis.member(p)] = scaled(basis.x[p], -column.by.code);
    return true;
  }

  /// u becomes the point where the search stopped.
  void write_guess(Search const& search, Column const& column, Scalar* u) const {
    std::fill_n(u, coarse.n, Scalar(0));
    Scalar const unit = column.unit_of_code();
    for (Index p = 0; p < search.size(); ++p) {
      Index const i = search.member(p);
      u[i] = static_cast<Scalar>(search.value(p)) * coarse.scale[i] * unit;
    }
  }

  /// Guesses for those of the columns u whose supports outgrew the search, from where it stopped: sweeps of
  /// over-relaxed coordinate descent, as Seed does them. How many depends on no data.
  void sweep(typename Search::End const (&end)[width], Column const (&of)[width], Entry const* R, Scalar* V,
             MatrixView<Scalar> u) const {
    Index const n = u.rows(), count = u.cols(), rows = Form::rows(n);
    Entry *const weights = reinterpret_cast<Entry*>(V), *const r = weights + n * width,
                 *const U = r + n * width, *const product = U + n * width;
    auto const outgrown = [&](Index c) { return c < count && end[c] == Search::End::outgrown; };
    bool any = false;
    for (Index c = 0; c < count; ++c) any = any || outgrown(c);
    if (!any) return;
    std::fill_n(weights, 3 * n * width, Entry(0));
    for (Index c = 0; c < count; ++c) {
      if (!outgrown(c)) continue;
      Scalar const unit = of[c].unit_of_code();
      Entry const share = share_of_lambda(of[c]);
      for (Index i = 0; i < n; ++i) {
        weights[i * width + c] = share * coarse.lambda[i];
        r[i * width + c] = R[i + c * rows];
        if (u(i, c) != Scalar(0)) U[i * width + c] = static_cast<Entry>(u(i, c) / unit / coarse.scale[i]);
      }
    }
    for (int s = 0; s < sweeps; ++s)
      for (Index i = 0; i < n; i += Coarse::height) {
        Index const height = std::min(Coarse::height, n - i), at = i * width;
        Entry const* const H = coarse.H + i * Form::stride(n);
        Coarse().inner_products(H, Form::stride(n), n, height, U, product);
        Coarse().relax(activation, over_relaxation<Entry>, H + i, Form::stride(n), height, r + at,
                       weights + at, product, U + at);
      }
    for (Index c = 0; c < count; ++c) {
      if (!outgrown(c)) continue;
      Scalar const unit = of[c].unit_of_code();
      for (Index i = 0; i < n; ++i) u(i, c) = static_cast<Scalar>(U[i * width + c]) * coarse.scale[i] * unit;
    }
  }
};

}  // namespace detrame::inline DETRAME_ABI::exact
