// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>
#include <utility>

#include "detrame/metric/misuse.hpp"
#include "detrame/prox/contraction.hpp"
#include "detrame/prox/iteration.hpp"
#include "detrame/prox/residual.hpp"

namespace detrame::inline DETRAME_ABI {

namespace detail {

/// What is known after a run on a problem of (M3).
template <class Run, class Problem>
auto prox_result(Run& run, Problem const& problem, Index iterations, bool with_statuses) {
  using B = typename Problem::Backend;
  using Scalar = typename B::Scalar;
  auto known = run.outcome(with_statuses);
  Scalar bound = known.length / problem.modulus();
  if (known.length > Scalar(0) && bound < std::numeric_limits<Scalar>::min())
    bound = std::numeric_limits<Scalar>::min();  // no quotient that underflows is a bound
  return ProxResult<B>{run.take_iterate(), known.status, iterations,
                       known.residual,     bound,        std::move(known.of_sample)};
}

/// A run of a recursion on such a problem.
template <class Problem, Metric M, Penalty P, class R>
auto iterate_problem(typename M::Backend& backend, Problem const& problem, M const& Q, P const& psi,
                     R const& scheme, typename M::Scalar tolerance, Index limit) {
  Iteration run(backend, problem);
  auto updates = scheme.start(backend, Q, psi, problem.batch().columns);
  Index const iterations = run.run(updates, tolerance, limit, !always_converges<R>, [&] {
    if constexpr (TiedScheme<R, M> && !always_converges<R>)
      return known_to_contract(backend, Q, psi, scheme);
    else
      return false;
  });
  return prox_result(run, problem, iterations, true);
}

}  // namespace detail

/// The proximity operator of psi in the metric Q, by a recursion from its start (U1): one problem per
/// sample.                                                                                               (M3)
///
///   prox^Q_psi(z) = argmin_u  1/2 <u - z, Q (u - z)> + psi(u)
///
/// Shapes    Q: k x k, or convolutional.  z, u: k x N, a column a site; below, a sample is a column, or an
///           image of a convolutional metric.
/// Requires  z.rows() == Q.dim() == psi.dim(), whole samples, and a Q with entries (weights), else
///           ShapeError; a tolerance and a limit >= 0, the tolerance finite, else DomainError.
/// Ensures   (1) u is in the domain of psi (u >= 0 for NonnegativeElasticNet), or not finite.
///           (2) residual = max over samples of |r|_2 / |t(0)|_2, r the minimum-norm subgradient from u as
///               returned, t(0) the terms of it at the start (see `residual`): it has no unit.      (C4) (U1)
///           (3) the status of each sample is the inequality that fired (Status); residual <= until.tolerance
///               if the worst is residual_reached. A sample is not touched after its own inequality fired,
///               and its bits depend on no other, finite or not.
///           (4) whatever the status, |u - u_star|_2 <= bound in every sample, in the units of u: bound =
///               max |r|_2 / (lambda_min(Q) + min_i beta_i), up to the rounding of r; where r is not finite,
///               or products of the data leave the range of the scalar, it is not finite.
///           (5) in other units, by powers of two, the same bits of u, statuses and counts.              (U2)
///           (6) z is not written; N = 0 returns at once with residual_reached and residual 0.
/// Adjoint   unrolled_prox_pullback for T updates of the form (20); exact_prox_pullback at the solution.
/// Cost      an update: one product with Q, which serves the step and r; besides one with |Q| at the start,
///           and where |r| is near rounding. kappa, once, where an iterate seems to come back. Workspace
///           4 k N scalars, the iterate and its last values among them; for FISTA 6 k N.
/// Source    docs/maths.md (M3), (M5), (M7), (C4), (C5), (U1)
/// Tested    tests/prox/metric_prox_test.cpp, tests/prox/status_test.cpp, tests/prox/units_test.cpp
template <Backend B, MetricOn<B> M, Penalty P, Scheme<M, P> R>
ProxResult<B> metric_prox(B& backend, M const& Q, P const& psi, Input<B> z, R const& scheme,
                          Until const& until = {}) {
  ConstView<B> const Z = z;
  auto const tolerance = tolerance_of<typename B::Scalar>("metric_prox", until);
  detail::MetricProblem<M, P> const problem(backend, "metric_prox", Q, psi, Z);
  return detail::iterate_problem(backend, problem, Q, psi, scheme, tolerance, until.limit);
}

/// The same after exactly T updates, whatever they lead to: the status is `unrolled`, residual and bound are
/// those of U_T. T >= 0, else DomainError.                                                               (M5)
template <Backend B, MetricOn<B> M, Penalty P, Scheme<M, P> R>
ProxResult<B> metric_prox(B& backend, M const& Q, P const& psi, Input<B> z, R const& scheme,
                          Updates const& updates_wanted) {
  ConstView<B> const Z = z;
  detail::MetricProblem<M, P> const problem(backend, "metric_prox", Q, psi, Z);
  require_at_least("metric_prox", "T", updates_wanted.count, Index{0});
  detail::Iteration run(backend, problem);
  auto updates = scheme.start(backend, Q, psi, Z.cols());
  run.unroll(updates, updates_wanted.count);
  return detail::prox_result(run, problem, updates_wanted.count, false);
}

template <Backend B, MetricOn<B> M, Penalty P, Scheme<M, P> R, int T>
ProxResult<B> metric_prox(B& backend, M const& Q, P const& psi, Input<B> z, R const& scheme, Unroll<T>) {
  return metric_prox(backend, Q, psi, z, scheme, Updates{T});
}

template <class B, class M, class P, class... Rest>
  requires detail::Misused<B, M, P>
auto metric_prox(B const&, M const&, P const&, Rest const&...) {
  return detail::explain<B, M, P>();
}

}  // namespace detrame::inline DETRAME_ABI
