// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/active_set.hpp"
#include "detrame/exact/scaling.hpp"
#include "detrame/exact/support_set.hpp"

namespace detrame::exact {

/// A team with a coarser one, whose loops may guess for it: on a CPU, where columns are worked on one at a
/// time between products.
template <class Team>
concept GuessingTeam = requires { typename Team::Coarse; };

/// Solves and certifies all columns of a problem whose Q is a matrix, blocks side by side: by SupportSet
/// where the team can guess, by ActiveSet where it cannot.
///
/// views: what the problem is made of, behind its numbers. problem_rows: its scratch_rows.
template <class Form, Backend B, class Activation, class... Views>
void solve_columns(B& backend, Activation activation, bool warm, Index pivot_limit,
                   typename Form::Numbers numbers, Index problem_rows, EntryWeights<B> const& entry,
                   ConstView<B> Q, View<B> u, View<B> report, ExactFactors<B>& factors,
                   Views const&... views) {
  static_assert(
      requires { Activation::two_sided; },
      "exact: the active set takes penalties whose only kink is 0 (Shrinkage: lambda |u|, perhaps on "
      "u >= 0); any other Penalty is solved in a ConvolutionalMetric or a ConvolutionalSynthesis");
  using Team = typename B::Team;
  Index const n = Q.rows(), N = u.cols();
  if (n == 0 || N == 0) return;
  // At the least a product for r, and one for the certificate.
  Tasks const tasks((N + Team::width - 1) / Team::width * (Q.cols() / n),
                    2. * static_cast<double>(Team::width) * static_cast<double>(n) * static_cast<double>(n));
  if constexpr (GuessingTeam<Team>) {
    using Solver = SupportSet<Activation, Team>;
    Solver const solver{activation, warm, pivot_limit,
                        coarse_form<Team>(backend, Q, entry.beta, entry.lambda)};
    each_column(backend, tasks, Solver::scratch_size(n, problem_rows),
                OnBlocksKeeping<Form, Solver>{solver, numbers}, entry.beta, entry.lambda, u, report,
                View<B>(factors.slots), View<B>(factors.sizes), views...);
  } else {
    using Solver = ActiveSet<Activation>;
    each_column(backend, tasks, Solver::template scratch_size<Team>(n, problem_rows),
                OnBlocksKeeping<Form, Solver>{{activation, warm, pivot_limit}, numbers}, entry.beta,
                entry.lambda, u, report, View<B>(factors.slots), View<B>(factors.sizes), views...);
  }
  finish_factors(backend, factors);
}

}  // namespace detrame::exact
