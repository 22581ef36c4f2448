// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/active_set.hpp"
#include "detrame/exact/report.hpp"
#include "detrame/exact/scaling.hpp"
#include "detrame/exact/search_faces.hpp"
#include "detrame/exact/support_set.hpp"

namespace detrame::inline DETRAME_ABI::exact {

/// What all columns of a problem share whose Q is a matrix, brought into range. M: ConstView<B>, of a lane's
/// scratch and of what the caller has; Matrix<B>, of an owner.
template <Backend B, class M = ConstView<B>>
struct SharedColumns {
  typename B::Scalar lambda_min{};  ///< of Q, in the caller's unit
  M curvature{};                    ///< k x 1, beta in the caller's unit
  int matrix = 0;                   ///< D is the caller's times 2^matrix; Q, alpha and beta times 4^matrix
  typename B::Scalar alpha{};       ///< of the synthesis form, as D and d
  M D{}, d{};                       ///< m x k, k x 1: d is the caller's
  M lengths{};                      ///< k x 1: |D_i|, of the metric form sqrt(q_ii)
  M Q{};                            ///< n x k, blocks side by side
  M beta{}, lambda{};               ///< k x 1, of EntryWeights
  M coarse{};                       ///< the memory of a CoarseForm
};

/// The same with a coarse form in the lane's scratch.
template <Backend B>
SharedColumns<B> formed_coarsely(B& backend, SharedColumns<B> shared) {
  if (Index const size = coarse_size<typename B::Team>(shared.Q.rows(), shared.Q.cols(), shared.D.rows());
      size > 0) {
    View<B> const memory = backend.lane().scratch(size, 1);
    form_coarsely<B>(backend, shared.Q, shared.D, shared.d, shared.beta, shared.lambda, memory);
    shared.coarse = memory;
  }
  return shared;
}

/// Solves and certifies all columns, blocks side by side: those of a shrinkage by SupportSet where the team
/// can guess, by ActiveSet where it cannot; those of any other penalty by SearchFaces, without factors.
///
/// N: how many. numbers, views: what the problem is made of. problem_rows: its scratch_rows.
template <class Form, Backend B, class Activation, class... Views>
void solve_columns(B& backend, char const* who, Activation activation, SharedColumns<B> const& shared,
                   Index N, ExactOptions options, ExactResult<B>& result, typename Form::Numbers numbers,
                   Index problem_rows, Views const&... views) {
  constexpr bool shrinks = requires { Activation::two_sided; };
  if (!shrinks) require_no_factors(who, options);
  using Team = typename B::Team;
  Index const k = shared.curvature.rows(), n = shared.Q.rows(), blocks = N > 0 ? k / n : 1;
  bool const warm = prepare(backend, who, k, N, options, result);
  reserve_factors(backend, n, blocks, N, options.factor_bytes, result.factors);
  auto const frame = backend.lane().frame();
  View<B> const report = backend.lane().scratch(blocks * Index(Report::count), N), u = result.u;
  // At the least a product for r, and one for the certificate.
  Tasks const tasks((N + Team::width - 1) / Team::width * blocks,
                    2. * static_cast<double>(Team::width) * static_cast<double>(n) * static_cast<double>(n));
  if constexpr (!shrinks) {
    using Solver = SearchFaces<Activation>;
    if (N > 0)
      each_column(backend, tasks, Solver::template scratch_of_columns<Team>(n, problem_rows),
                  OnBlocks<Form, Solver>{{activation, warm, options.pivot_limit}, numbers}, shared.beta,
                  shared.lambda, u, report, views...);
  } else if constexpr (GuessingTeam<Team>) {
    using Solver = SupportSet<Activation, Team>;
    if (N > 0)
      each_column(
          backend, tasks, Solver::scratch_size(n, problem_rows),
          OnBlocksKeeping<Form, Solver>{{activation, warm, options.pivot_limit,
                                         CoarseForm<Team>(n, k, shared.D.rows(), shared.coarse.data())},
                                        numbers},
          shared.beta, shared.lambda, u, report, View<B>(result.factors.slots), View<B>(result.factors.sizes),
          views...);
  } else {
    using Solver = ActiveSet<Activation>;
    if (N > 0)
      each_column(backend, tasks, Solver::template scratch_size<Team>(n, problem_rows),
                  OnBlocksKeeping<Form, Solver>{{activation, warm, options.pivot_limit}, numbers},
                  shared.beta, shared.lambda, u, report, View<B>(result.factors.slots),
                  View<B>(result.factors.sizes), views...);
  }
  finish_factors(backend, result.factors);
  finish<B>(backend, shared.lambda_min, shared.curvature, report, result);
}

}  // namespace detrame::inline DETRAME_ABI::exact
