// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/prox/per_sample.hpp"
#include "detrame/prox/recursion.hpp"
#include "detrame/prox/residual.hpp"
#include "detrame/prox/stopping.hpp"
#include "detrame/prox/watch.hpp"

namespace detrame {

namespace detail {

/// The iterates of one run, and what is watched of them.
template <Metric M, Penalty P>
class ProxRun {
 public:
  using B = typename M::Backend;
  using Scalar = typename M::Scalar;
  using Activation = typename P::Activation;

  ProxRun(B& backend, M const& Q, P const& psi, ConstView<B> Z)
      : backend_(backend),
        Q_(Q),
        psi_(psi),
        Z_(Z),
        unit_(Q.structure().unit()),
        modulus_(convexity_modulus(backend, Q, psi)),
        per_sample_(backend, unit_, Z.cols()) {
    U_ = zeros(backend, Z.rows(), Z.cols());
    V_ = zeros(backend, Z.rows(), Z.cols());
    watch_ = zeros(backend, watch_rows, Z.cols() / unit_);
    if (unit_ > 1) active_sites_ = zeros(backend, 1, Z.cols());
    each(backend.lane(), formula::Fill<Scalar>{Scalar(1)}, row(row_active));
  }

  /// V = Q (U - Z), the residual and the size of every column; with `visit(lane, c)` for what else is wanted
  /// of it.
  template <class Visit>
  void measure(Visit const& visit) {
    View<B> const U = U_, V = V_;
    each_chunk(backend_, Batch{Z_.cols(), unit_}, 5 * Z_.rows(), [&](typename B::Lane& lane, Columns c) {
      metric_gradient(lane, Q_, ConstView<B>(columns(U, c)), columns(Z_, c), columns(V, c));
      per_sample_.sums(lane, row(row_residual, c), c, formula::SubgradientSquare<Activation>{},
                       ConstView<B>(columns(U, c)), ConstView<B>(columns(V, c)), PerRow{psi_.lambda()},
                       PerRow{psi_.beta()});
      visit(lane, c);
    });
  }

  template <class Updates>
  void advance(Updates& updates) {
    updates.advance(backend_, U_, V_,
                    per_sample_.spread(backend_.lane(), ConstView<B>(row(row_active)), active_sites_));
  }

  /// Runs until no column is active, or for `limit` updates. Returns the number of updates.
  template <class Updates>
  Index run(Updates& updates, Scalar tolerance, Index limit) {
    anchor_ = zeros(backend_, Z_.rows(), Z_.cols());
    for (Index t = 0;; ++t) {
      observe(t, tolerance);
      if (t == limit || !(max_to_host(backend_.lane(), ConstView<B>(row(row_active))) > Scalar(0))) return t;
      advance(updates);
    }
  }

  /// The result; without statuses it is that of an unroll.
  ProxResult<B> result(Index iterations, bool with_statuses) {
    Index const N = Z_.cols() / unit_;
    HostMatrix<Scalar> const watch = to_host(backend_, ConstView<B>(View<B>(watch_)));  // watch_rows x N
    ProxResult<B> out{
        {}, with_statuses ? Status::all_zero : Status::unrolled, iterations, Scalar(0), Scalar(0), {}};
    out.column_status.resize(static_cast<std::size_t>(N), Status::unrolled);
    for (Index j = 0; j < N; ++j) {
      Scalar const r = std::sqrt(watch(row_residual, j));
      if (!(r <= out.residual)) out.residual = out.residual == out.residual ? r : out.residual;
      if (!with_statuses) continue;
      Status const status = static_cast<Status>(static_cast<int>(watch(row_status, j)));
      out.column_status[static_cast<std::size_t>(j)] = status;
      out.status = std::max(out.status, status);
    }
    if (N == 0 && with_statuses) out.status = Status::residual_reached;
    out.bound = out.residual / modulus_;
    out.u = std::move(U_);
    return out;
  }

 private:
  View<B> row(WatchRow r) { return View<B>(watch_).middle_rows(r, 1); }
  View<B> row(WatchRow r, Columns c) { return columns(row(r), per_sample_.samples(c)); }

  /// What became of every column after t updates. The anchor is the iterate at the last power of two.
  void observe(Index t, Scalar tolerance) {
    bool const new_anchor = t > 0 && (t & (t - 1)) == 0;
    Watch<Scalar> const watch{tolerance, static_cast<Scalar>(t - anchored_at_)};
    View<B> const U = U_, anchor = anchor_;
    measure([&](typename B::Lane& lane, Columns c) {
      ConstView<B> const U_c = columns(U, c);
      if (t == 0) begin(lane, c);
      per_sample_.sums(lane, row(row_size, c), c, formula::Square{}, U_c);
      per_sample_.sums(lane, row(row_distance, c), c, formula::SquaredDifference{}, U_c,
                       ConstView<B>(columns(anchor, c)));
      each(lane, watch, row(row_status, c), row(row_active, c), row(row_farthest, c), row(row_return, c),
           ConstView<B>(row(row_residual, c)), ConstView<B>(row(row_size, c)),
           ConstView<B>(row(row_distance, c)), ConstView<B>(row(row_reach, c)));
      if (!new_anchor) return;
      each(lane, formula::Assign{}, columns(anchor, c), U_c);
      each(lane, formula::Fill<Scalar>{Scalar(0)}, row(row_farthest, c));
      each(lane, formula::Fill<Scalar>{Scalar(0)}, row(row_return, c));
    });
    if (new_anchor) anchored_at_ = t;
  }

  /// A column at u = 0: whether it is solved there, and how far from 0 its solution can be.
  void begin(typename B::Lane& lane, Columns c) {
    View<B> const largest = lane.scratch(1, c.count / unit_);
    per_sample_.maxima(lane, largest, c, formula::SubgradientMagnitude<Activation>{},
                       ConstView<B>(columns(View<B>(U_), c)), ConstView<B>(columns(View<B>(V_), c)),
                       PerRow{psi_.lambda()}, PerRow{psi_.beta()});
    each(lane, WatchStart<Scalar>{modulus_}, row(row_status, c), row(row_active, c), row(row_reach, c),
         ConstView<B>(largest), ConstView<B>(row(row_residual, c)));
  }

  B& backend_;
  M const& Q_;
  P const& psi_;
  ConstView<B> Z_;  // k x N
  Index unit_;
  Scalar modulus_;
  PerSample<B> per_sample_;
  Matrix<B> U_, V_;         // k x N
  Matrix<B> watch_;         // watch_rows x samples
  Matrix<B> active_sites_;  // 1 x N, where a sample has many sites
  Matrix<B> anchor_;        // k x N
  Index anchored_at_ = 0;
};

}  // namespace detail

/// The proximity operator of psi in the metric Q, by a recursion from U_0 = 0: one problem per sample.   (M3)
///
///   prox^Q_psi(z) = argmin_u  1/2 <u - z, Q (u - z)> + psi(u)
///
/// Shapes    Q: k x k, or convolutional.  z, u: k x N, a column a site; below, "column" is a sample: an image
///           of a convolutional metric.
/// Requires  z.rows() == Q.dim() == psi.dim() and whole samples, else ShapeError; a tolerance and a limit >=
///           0, else DomainError.
/// Ensures   (1) u is in the domain of psi (u >= 0 for NonnegativeElasticNet), or not finite.
///           (2) residual = max over columns of |r|_2, in the units of Q z, r the minimum-norm subgradient
///               from u as returned (see `residual`).                                                    (C4)
///           (3) the status of each column is the inequality that fired (Status); residual <= until.tolerance
///               if the worst is residual_reached. A column is not touched after its own inequality fired, so
///               it does not depend on its neighbours.
///           (4) whatever the status, |u - u_star|_2 <= bound = residual / (lambda_min(Q) + min_i beta_i), up
///               to the rounding of r; where r is not finite, neither is the bound.
///           (5) z is not written; N = 0 returns at once with residual_reached and residual 0.
/// Adjoint   unrolled_prox_pullback for T updates of the form (20); exact_prox_pullback at the solution.
/// Cost      an update: one product with Q, which serves the step and r; workspace 4 k N scalars.
/// Source    docs/maths.md (M3), (M5), (M7), (C4), (C5)
/// Tested    tests/prox/metric_prox_test.cpp
template <Backend B, Metric M, Penalty P, Recursion<M, P> R>
ProxResult<B> metric_prox(B& backend, M const& Q, P const& psi, Input<B> z, R const& recursion,
                          Until const& until = {}) {
  using Scalar = typename B::Scalar;
  ConstView<B> const Z = z;
  detail::check_problem("metric_prox", Q, psi, Z);
  Scalar const tolerance = tolerance_of<Scalar>("metric_prox", until);
  detail::ProxRun<M, P> run(backend, Q, psi, Z);
  auto updates = recursion.start(backend, Q, psi, Z.cols());
  Index const iterations = run.run(updates, tolerance, until.limit);
  return run.result(iterations, true);
}

/// The same after exactly T updates, whatever they lead to: the status is `unrolled`, residual and bound are
/// those of U_T. T >= 0, else DomainError.                                                               (M5)
template <Backend B, Metric M, Penalty P, Recursion<M, P> R>
ProxResult<B> metric_prox(B& backend, M const& Q, P const& psi, Input<B> z, R const& recursion,
                          Updates const& updates_wanted) {
  ConstView<B> const Z = z;
  detail::check_problem("metric_prox", Q, psi, Z);
  require_at_least("metric_prox", "T", updates_wanted.count, Index{0});
  detail::ProxRun<M, P> run(backend, Q, psi, Z);
  auto updates = recursion.start(backend, Q, psi, Z.cols());
  for (Index t = 0; t < updates_wanted.count; ++t) {
    run.measure([](typename B::Lane&, Columns) {});
    run.advance(updates);
  }
  run.measure([](typename B::Lane&, Columns) {});
  return run.result(updates_wanted.count, false);
}

template <Backend B, Metric M, Penalty P, Recursion<M, P> R, int T>
ProxResult<B> metric_prox(B& backend, M const& Q, P const& psi, Input<B> z, R const& recursion, Unroll<T>) {
  return metric_prox(backend, Q, psi, z, recursion, Updates{T});
}

}  // namespace detrame
