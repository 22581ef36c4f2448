// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "detrame/prox/per_sample.hpp"
#include "detrame/prox/stopping.hpp"
#include "detrame/prox/watch.hpp"

namespace detrame::inline DETRAME_ABI::detail {

/// The iterates of one run of a recursion, and what is watched of them. What is iterated is a `Problem`:
///
///   batch(), rows(), working_set()       its columns, and how they are cut into chunks
///   start()                              every entry of the first iterate, unless another one is given
///   evaluate(lane, c, U, V)              V, from which the next iterate and r follow
///   residuals(lane, c, watched, out, U, V)  |r|_2 of each sample
///   terms(lane, c, watched, out, U)      |t|_2 of each sample, t a bound of the terms of r              (U1)
///   given(lane, c, watched, out)         a size of the data, 0 where t(0) = 0 without rounding
///   rounding(), slope()                  c eps;  |t|_2 <= 2 (|t(0)|_2 + slope max |u_i|)
///   reach_from_terms, reach_divisor()    beyond |r(0)|_2 or |t(0)|_2 over it no solution can be
template <class Problem>
class Iteration {
 public:
  using B = typename Problem::Backend;
  using Scalar = typename B::Scalar;
  using Lane = typename B::Lane;

  /// From an iterate of its own it starts there, finite in each entry; t(0) is that of start() all the same.
  Iteration(B& backend, Problem const& problem, std::optional<ConstView<B>> const& from = std::nullopt)
      : backend_(backend),
        problem_(problem),
        batch_(problem.batch()),
        elsewhere_(from.has_value()),
        farthest_(std::abs(problem.start())),
        per_sample_(backend, batch_.unit, batch_.columns) {
    U_ = zeros(backend, problem.rows(), batch_.columns);
    if (problem.start() != Scalar(0))
      each(backend.lane(), formula::Fill<Scalar>{problem.start()}, View<B>(U_));
    if (from) {
      each(backend.lane(), formula::StoreMagnitude{}, View<B>(U_), *from);
      if (samples() > 0) farthest_ = max_to_host(backend.lane(), ConstView<B>(U_));
      each(backend.lane(), formula::Assign{}, View<B>(U_), *from);
    }
    V_ = zeros(backend, problem.rows(), batch_.columns);
    watch_ = zeros(backend, watch_rows, samples());
    if (batch_.unit > 1) active_sites_ = zeros(backend, 1, batch_.columns);
  }

  Index samples() const { return batch_.columns / batch_.unit; }
  Scalar farthest() const { return farthest_; }  ///< max |u_i| of the first iterate

  /// Runs until no sample is active, or for `limit` updates, of which it returns the number; u of a sample
  /// that is not finite is NaN then. `contracts()` says whether kappa < 1 is known, and is asked once, when
  /// an iterate seems to come back; never where not `may_cycle`.
  template <class Updates, class Contracts>
  Index run(Updates& updates, Scalar tolerance, Index limit, bool may_cycle, Contracts const& contracts) {
    anchor_ = zeros(backend_, problem_.rows(), batch_.columns);
    last_ = zeros(backend_, problem_.rows(), batch_.columns);
    may_cycle_ = may_cycle;
    for (Index t = 0;; ++t) {
      observe(t, tolerance);
      if (!decide(contracts) || t == limit) {
        spoil();
        return t;
      }
      advance(updates);
    }
  }

  /// Exactly T updates of every sample; nothing is watched.
  template <class Updates>
  void unroll(Updates& updates, Index T) {
    each_piece([&](Lane& lane, Columns c) {
      measure(lane, c);
      begin(lane, c);
      each(lane, formula::Fill<Scalar>{Scalar(sample_active)}, row(row_active, c));
    });
    for (Index t = 0; t < T; ++t) {
      if (t > 0) each_piece([&](Lane& lane, Columns c) { evaluate(lane, c); });
      advance(updates);
    }
    if (T > 0) each_piece([&](Lane& lane, Columns c) { measure(lane, c); });
  }

  /// What is known of the samples: the worst status and residual, and the longest |r|_2.
  struct Outcome {
    Status status;
    Scalar residual, length;
    std::vector<Status> of_sample;
  };

  Outcome outcome(bool with_statuses) const {
    Index const N = samples();
    HostMatrix<Scalar> const watch = to_host(backend_, ConstView<B>(watch_));  // watch_rows x N
    Outcome out{with_statuses ? Status::all_zero : Status::unrolled, Scalar(0), Scalar(0), {}};
    out.of_sample.resize(static_cast<std::size_t>(N), Status::unrolled);
    auto const keep_worst = [](Scalar& worst, Scalar x) {
      if (!(x <= worst) && worst == worst) worst = x;
    };
    for (Index j = 0; j < N; ++j) {
      Scalar const r = watch(row_residual, j), terms = watch(row_terms, j);
      bool const in_range = watch(row_in_range, j) != Scalar(0);
      Scalar const outside = r + terms == r + terms ? std::numeric_limits<Scalar>::infinity() : r + terms;
      keep_worst(out.residual, !in_range ? outside : r == Scalar(0) ? r : r / terms);
      keep_worst(out.length, in_range ? r : outside);
      if (!with_statuses) continue;
      Status const status = static_cast<Status>(static_cast<int>(watch(row_status, j)));
      out.of_sample[static_cast<std::size_t>(j)] = status;
      out.status = std::max(out.status, status);
    }
    if (N == 0 && with_statuses) out.status = Status::residual_reached;
    return out;
  }

  /// max over samples of |f(u, v, args...)|_2 at the last iterate; 0 where there is none.
  template <class F, class... Args>
  Scalar largest_norm(F const& f, Args const&... args) {
    if (samples() == 0) return Scalar(0);
    each_piece([&](Lane& lane, Columns c) {
      per_sample_.norms(lane, row(row_distance, c), c, f, iterate(c), value(c), args...);
    });
    return max_to_host(backend_.lane(), ConstView<B>(row(row_distance)));
  }

  Matrix<B> take_iterate() { return std::move(U_); }

 private:
  View<B> row(WatchRow r) { return View<B>(watch_).middle_rows(r, 1); }
  View<B> row(WatchRow r, Columns c) { return columns(row(r), per_sample_.samples(c)); }
  ConstView<B> iterate(Columns c) { return columns(View<B>(U_), c); }
  ConstView<B> value(Columns c) { return columns(View<B>(V_), c); }

  template <class F>
  void each_piece(F const& f) {
    each_chunk(backend_, batch_, problem_.working_set(), f);
  }

  void evaluate(Lane& lane, Columns c) { problem_.evaluate(lane, c, iterate(c), columns(View<B>(V_), c)); }

  void measure(Lane& lane, Columns c) {
    evaluate(lane, c);
    problem_.residuals(lane, c, per_sample_, row(row_residual, c), iterate(c), value(c));
  }

  template <class Updates>
  void advance(Updates& updates) {
    updates.advance(backend_, U_, V_,
                    per_sample_.spread(backend_.lane(), ConstView<B>(row(row_active)), active_sites_));
  }

  /// A sample at its start: whether it is solved there, what its terms are, and how far from 0 its solution
  /// can be.
  void begin(Lane& lane, Columns c) {
    View<B> const given = lane.scratch(1, c.count / batch_.unit);
    problem_.given(lane, c, per_sample_, given);
    ConstView<B> at = iterate(c);
    if (elsewhere_) {
      View<B> const start = lane.scratch(problem_.rows(), c.count);
      each(lane, formula::Fill<Scalar>{problem_.start()}, start);
      at = start;
    }
    problem_.terms(lane, c, per_sample_, row(row_terms, c), at);
    per_sample_.maxima(lane, row(row_size, c), c, formula::Magnitude{}, iterate(c));
    each(lane, WatchStart<Scalar>{Problem::reach_from_terms, problem_.reach_divisor()}, row(row_status, c),
         row(row_active, c), row(row_in_range, c), row(row_change, c), row(row_reach, c),
         ConstView<B>(row(row_size, c)), ConstView<B>(row(row_residual, c)), ConstView<B>(row(row_terms, c)),
         ConstView<B>(given));
  }

  /// NaN for u where what was given, or its products, are out of range.
  void spoil() {
    if (samples() == 0) return;
    ConstView<B> const in_range =
        per_sample_.spread(backend_.lane(), ConstView<B>(row(row_in_range)), active_sites_);
    each_piece([&](Lane& lane, Columns c) {
      each(lane, SpoilWhereOutOfRange{}, columns(View<B>(U_), c), PerColumn{columns(in_range, c)});
    });
  }

  /// What became of every sample after t updates. The anchor is the iterate at the last power of two.
  void observe(Index t, Scalar tolerance) {
    bool const new_anchor = t > 0 && (t & (t - 1)) == 0;
    Watch<Scalar> const watch{tolerance, problem_.rounding(), problem_.slope(),
                              static_cast<Scalar>(t - anchored_at_), may_cycle_};
    each_piece([&](Lane& lane, Columns c) {
      ConstView<B> const U = iterate(c);
      View<B> const anchor = columns(View<B>(anchor_), c), last = columns(View<B>(last_), c);
      using Distance = formula::MagnitudeOf<formula::Difference>;
      measure(lane, c);
      if (t == 0) begin(lane, c);
      if (t > 0) per_sample_.maxima(lane, row(row_change, c), c, Distance{}, U, ConstView<B>(last));
      per_sample_.maxima(lane, row(row_size, c), c, formula::Magnitude{}, U);
      per_sample_.maxima(lane, row(row_distance, c), c, Distance{}, U, ConstView<B>(anchor));
      each(lane, watch, row(row_status, c), row(row_active, c), row(row_farthest, c), row(row_return, c),
           row(row_still, c), ConstView<B>(row(row_residual, c)), ConstView<B>(row(row_terms, c)),
           ConstView<B>(row(row_size, c)), ConstView<B>(row(row_distance, c)),
           ConstView<B>(row(row_change, c)), ConstView<B>(row(row_reach, c)));
      each(lane, formula::Assign{}, last, U);
      if (!new_anchor) return;
      each(lane, formula::Assign{}, anchor, U);
      each(lane, formula::Fill<Scalar>{Scalar(0)}, row(row_farthest, c));
      each(lane, formula::Fill<Scalar>{Scalar(0)}, row(row_return, c));
    });
    if (new_anchor) anchored_at_ = t;
  }

  /// Whether a sample is active, after a closer look at those that are suspected of something.
  template <class Contracts>
  bool decide(Contracts const& contracts) {
    auto const busiest = [&] { return max_to_host(backend_.lane(), ConstView<B>(row(row_active))); };
    Scalar const most = busiest();
    if (!(most > Scalar(sample_active))) return most > Scalar(sample_at_rest);
    if (most == Scalar(sample_like_a_cycle) && !asked_) {
      asked_ = true;
      may_cycle_ = may_cycle_ && !contracts();
    }
    each_piece([&](Lane& lane, Columns c) {
      View<B> const terms = lane.scratch(1, c.count / batch_.unit);
      problem_.terms(lane, c, per_sample_, terms, iterate(c));
      each(lane, Decide<Scalar>{problem_.rounding(), may_cycle_}, row(row_status, c), row(row_active, c),
           ConstView<B>(row(row_residual, c)), ConstView<B>(terms));
    });
    return busiest() > Scalar(sample_at_rest);
  }

  B& backend_;
  Problem const& problem_;
  Batch batch_;
  bool elsewhere_;   // than at start()
  Scalar farthest_;  // max |u_i| of the first iterate
  PerSample<B> per_sample_;
  Matrix<B> U_, V_;          // k x N
  Matrix<B> watch_;          // watch_rows x samples
  Matrix<B> active_sites_;   // 1 x N, where a sample has many sites
  Matrix<B> anchor_, last_;  // k x N
  Index anchored_at_ = 0;
  bool may_cycle_ = false, asked_ = false;
};

}  // namespace detrame::inline DETRAME_ABI::detail
