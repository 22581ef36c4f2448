// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "detrame/core/random.hpp"
#include "detrame/core/unobserved.hpp"
#include "detrame/exact/exact_synthesis.hpp"
#include "detrame/learn/atoms.hpp"
#include "detrame/learn/update_dictionary.hpp"

namespace detrame::inline DETRAME_ABI {

/// What codes may be, for learn_dictionary: nonnegative, or of either sign.
using NonnegativeCodes = formula::NonnegativeShrinkage;
using SignedCodes = formula::SoftShrinkage;

/// What is learnt, and how.
struct LearningOptions {
  Index atoms;          ///< k
  double lambda;        ///< the weight of |a|_1
  double alpha = 1e-4;  ///< that of |a|^2 / 2
  bool nonnegative_atoms = false;
  Index passes = 1;       ///< over the samples, from the beginning of learning on
  Index batch = 512;      ///< samples a step
  double forgetting = 8;  ///< rho: at step t what is remembered counts (1 - 1/t)^rho; 0 forgets nothing
  Index sweeps = 1;       ///< of update_dictionary, a step
  Index patience = 4096;  ///< an atom that no code has used for more samples than this is replaced
  std::uint64_t seed = 0;
};

/// A dictionary, and what it takes to go on with learning it.
template <Backend B>
struct LearnedDictionary {
  Synthesis<B> synthesis{};  ///< D: m x k, with the alpha and lambda that it was learnt for; beta and d are 0
  Matrix<B> AA, XA;          ///< k x k, m x k: what is remembered of the sums of a a^T and x a^T
  std::vector<Index> idle;   ///< how many samples ago an atom was last used
  Index steps = 0;           ///< minibatches
};

/// One step: a minibatch coded and learnt from.
struct LearningProgress {
  Index step;        ///< counted from 0
  Index pass;        ///< which it belongs to
  double objective;  ///< mean over the minibatch, with the dictionary before the step
  Index replaced;    ///< atoms that gave way to samples
};

namespace learn {

/// Column j of AA <- keep AA + sum a a^T and of XA <- keep XA + sum x a^T, and how many codes use atom j; one
/// task an atom. Work grows with the entries that are not 0.
template <class Scalar>
struct AddCodes {
  Scalar keep;

  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar*, MatrixView<Scalar const> x,
                                      MatrixView<Scalar const> a, MatrixView<Scalar> AA,
                                      MatrixView<Scalar> XA, MatrixView<Scalar> uses) const {
    Index const m = x.rows(), k = a.rows();
    Scalar const kept = keep;
    Scalar *const to_AA = &AA(0, j), *const to_XA = &XA(0, j);
    team.each(k, [=](Index i) { to_AA[i] *= kept; });
    team.each(m, [=](Index i) { to_XA[i] *= kept; });
    Index count = 0;
    for (Index n = 0; n < a.cols(); ++n) {
      Scalar const a_j = a(j, n);
      if (a_j == Scalar(0)) continue;
      ++count;
      Scalar const *const code = &a(0, n), *const sample = &x(0, n);
      team.each(k, [=](Index i) { to_AA[i] += code[i] * a_j; });
      team.each(m, [=](Index i) { to_XA[i] += sample[i] * a_j; });
    }
    team.once([=] { uses(j, 0) = static_cast<Scalar>(count); });
  }
};

/// |x - D a|^2 and the objective of one code; one task a column, with scratch for m scalars.
template <class Scalar>
struct Judge {
  Scalar lambda, alpha;

  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar* e, MatrixView<Scalar const> x,
                                      MatrixView<Scalar const> D, MatrixView<Scalar const> a,
                                      MatrixView<Scalar> square, MatrixView<Scalar> objective) const {
    Index const m = x.rows();
    team.each(m, [=](Index i) { e[i] = x(i, j); });
    Scalar penalty = 0;
    for (Index l = 0; l < a.rows(); ++l) {
      Scalar const a_l = a(l, j);
      if (a_l == Scalar(0)) continue;
      penalty += lambda * (a_l < Scalar(0) ? -a_l : a_l) + alpha / Scalar(2) * (a_l * a_l);
      team.each(m, [=](Index i) { e[i] -= D(i, l) * a_l; });
    }
    Scalar const sum = team.sum(m, [=](Index i) { return e[i] * e[i]; });
    team.once([=] {
      square(0, j) = sum;
      objective(0, j) = sum / Scalar(2) + penalty;
    });
  }
};

inline void check(LearningOptions const& options) {
  auto const at_least = [](char const* name, auto value, auto low) {
    require_at_least("learn_dictionary", name, value, low);
  };
  at_least("atoms", options.atoms, Index{1});
  at_least("lambda", options.lambda, 0.);
  at_least("passes", options.passes, Index{0});
  at_least("batch", options.batch, Index{1});
  at_least("forgetting", options.forgetting, 0.);
  at_least("sweeps", options.sweeps, Index{1});
  at_least("patience", options.patience, Index{0});
  if (!(options.alpha > 0))
    throw DomainError(message("learn_dictionary: alpha = ", options.alpha, ", must be > 0"));
}

/// What a state lacks to begin with; refuses one of other sizes.
template <Backend B>
void begin(B& backend, ConstView<B> x, LearningOptions const& options, LearnedDictionary<B>& state) {
  using Scalar = typename B::Scalar;
  Index const m = x.rows(), k = options.atoms;
  if (m < 1 || x.cols() < 1)
    throw ShapeError(message("learn_dictionary: X is ", m, " x ", x.cols(), ", must have rows and samples"));
  Synthesis<B>& synthesis = state.synthesis;
  bool const from_samples = synthesis.D.cols() == 0;
  if (!from_samples) require_shape("learn_dictionary", "D", synthesis.D, m, k);
  if (state.steps == 0) {
    if (from_samples)
      synthesis.D = first_atoms(backend, x, k, options.nonnegative_atoms,
                                Random(options.seed, ~std::uint64_t{0}));  // passes have those from 0 on
    state.AA = zeros(backend, k, k);
    state.XA = zeros(backend, m, k);
    state.idle.assign(static_cast<std::size_t>(k), 0);
  }
  require_shape("learn_dictionary", "AA", state.AA, k, k);
  require_shape("learn_dictionary", "XA", state.XA, m, k);
  if (static_cast<Index>(state.idle.size()) != k)
    throw ShapeError(message("learn_dictionary: idle has ", state.idle.size(), " entries, must be ", k));
  synthesis.alpha = static_cast<Scalar>(options.alpha);
  synthesis.beta = 0;
  synthesis.lambda = static_cast<Scalar>(options.lambda);
  synthesis.d = zeros(backend, k, 1);
}

/// The worst represented samples of a batch, of error > 0, take the places of atoms that were not used for
/// long, and what is remembered of these is forgotten. How many.
template <Backend B>
Index replace_idle(B& backend, ConstView<B> x, ConstView<B> squares, LearningOptions const& options,
                   LearnedDictionary<B>& state) {
  using Scalar = typename B::Scalar;
  std::vector<Index> idle, worst;
  for (Index j = 0; j < options.atoms; ++j)
    if (state.idle[static_cast<std::size_t>(j)] > options.patience) idle.push_back(j);
  if (idle.empty()) return 0;
  HostMatrix<Scalar> const square = to_host(backend, squares);  // 1 x n
  for (Index n = 0; n < x.cols(); ++n)
    if (square(0, n) > Scalar(0)) worst.push_back(n);
  std::stable_sort(worst.begin(), worst.end(), [&](Index a, Index b) { return square(0, a) > square(0, b); });
  std::size_t const count = std::min(idle.size(), worst.size());
  auto& lane = backend.lane();
  View<B> const D = state.synthesis.D, AA = state.AA, XA = state.XA;
  formula::Fill<Scalar> const forget{0};
  for (std::size_t i = 0; i < count; ++i) {
    Index const j = idle[i];
    View<B> const atom = D.middle_cols(j, 1);
    gather_columns(lane, x, std::span<Index const>(&worst[i], 1), atom);
    each_column(backend, 1, 0, ToUnitNorm<Scalar>{options.nonnegative_atoms}, atom);
    each(lane, forget, AA.middle_cols(j, 1));
    each(lane, forget, AA.middle_rows(j, 1));
    each(lane, forget, XA.middle_cols(j, 1));
    state.idle[static_cast<std::size_t>(j)] = 0;
  }
  return static_cast<Index>(count);
}

}  // namespace learn

/// Online dictionary learning: exact codes of a minibatch, then a move of the dictionary.         (O1, O2)
///
///   minimise over D  mean_n min_a  1/2 |x_n - D a|^2 + lambda |a|_1 + alpha/2 |a|^2
///   with |d_j| <= 1, d_j >= 0 where options.nonnegative_atoms, a >= 0 for NonnegativeCodes
///
///   step t:   a_n the exact codes of the minibatch,   keep = (1 - 1/t)^rho
///             AA <- keep AA + sum a_n a_n^T,   XA <- keep XA + sum x_n a_n^T
///             D  <- update_dictionary(AA, XA, D), `sweeps` times
///             atoms out of use for more than `patience` samples <- the samples with the largest |x - D a|
///
/// Learning goes on from `state` up to options.passes over the samples in all: an empty state begins with
/// samples of unit norm, one with synthesis.D alone from that. observe(LearningProgress) is called after each
/// step; where it returns false, learning ends there.
///
/// Shapes    X: m x N, a column a sample, m and N >= 1.  state.synthesis.D: m x k, what comes out.
/// Requires  atoms, batch, sweeps >= 1; passes, patience, lambda, forgetting >= 0, alpha > 0, else
///           DomainError; X of at least a row and a column, a state of its sizes, else ShapeError.
/// Ensures   (1) every code learnt from is `optimal`; else NotConverged with its step, and the state is that
///           of the step before. (2) |d_j| <= 1 up to rounding, d_j >= 0 exactly where asked. (3) The order
///           of samples is a function of seed and pass, the result one of X, options and state: the same
///           bits for any number of threads, and for a run that was stopped after any step and went on.
/// Cost      a step: exact_synthesis of the minibatch, 2 (m + k) flops for each used entry of a code, twice
///           m for the objective, 4 m k^2 a sweep. Memory beyond the state: (m + k) batch + m k scalars.
/// Source    docs/maths.md (O1, O2); Mairal et al., arXiv 0908.0050. Departures: codes are exact; forgetting
///           counts steps of any size; which atoms are out of use is counted, not guessed from AA_jj.
/// Tested    tests/learn/learn_dictionary_test.cpp
template <class Codes = NonnegativeCodes, Backend B, class Observe = Unobserved>
void learn_dictionary(B& backend, Input<B> X, LearningOptions const& options, LearnedDictionary<B>& state,
                      Observe&& observe = {}) {
  using Scalar = typename B::Scalar;
  ConstView<B> const samples = X;
  learn::check(options);
  learn::begin(backend, samples, options, state);
  Synthesis<B>& synthesis = state.synthesis;
  Index const m = samples.rows(), N = samples.cols(), k = options.atoms;
  SeparablePenalty<B, Codes> const psi(backend, k, synthesis.lambda, Scalar(0));
  std::vector<Index> order(static_cast<std::size_t>(N));
  Matrix<B> batch, report, uses;
  resize(backend, batch, m, std::min(options.batch, N));
  resize(backend, report, 2, std::min(options.batch, N));
  resize(backend, uses, k, 1);
  ExactResult<B> code;
  Index const steps = (N - 1) / options.batch + 1;  // a pass
  for (Index ordered = -1; state.steps / steps < options.passes;) {
    Index const pass = state.steps / steps, first = state.steps % steps * options.batch;
    if (ordered != pass) shuffle(Random(options.seed, static_cast<std::uint64_t>(pass)), order);
    ordered = pass;
    Index const n = std::min(options.batch, N - first);
    View<B> const x = View<B>(batch).middle_cols(0, n);  // m x n
    each_chunk(backend, Batch{n}, m, [&](typename B::Lane& lane, Columns c) {
      gather_columns(lane, samples, {order.data() + first + c.first, static_cast<std::size_t>(c.count)},
                     columns(x, c));
    });

    exact_synthesis(backend, synthesis, psi, x, code);
    if (code.status != ExactStatus::optimal)
      throw NotConverged(message("learn_dictionary: the codes of step ", state.steps, " are ",
                                 name(code.status), ", residual ", code.largest_residual, " of its terms"));
    ConstView<B> const a = code.u;  // k x n
    View<B> const square = View<B>(report).middle_cols(0, n).middle_rows(0, 1),
                  objective = View<B>(report).middle_cols(0, n).middle_rows(1, 1);  // 1 x n
    each_column(backend, n, m, learn::Judge<Scalar>{synthesis.lambda, synthesis.alpha}, x,
                ConstView<B>(synthesis.D), a, square, objective);

    double const keep = std::pow(1 - 1 / static_cast<double>(state.steps + 1), options.forgetting);
    each_column(backend, k, 0, learn::AddCodes<Scalar>{static_cast<Scalar>(keep)}, x, a, View<B>(state.AA),
                View<B>(state.XA), View<B>(uses));
    for (Index sweep = 0; sweep < options.sweeps; ++sweep)
      update_dictionary(backend, state.AA, state.XA, options.nonnegative_atoms, synthesis.D);

    HostMatrix<Scalar> const used = to_host(backend, uses);  // k x 1
    for (Index j = 0; j < k; ++j) {
      Index& idle = state.idle[static_cast<std::size_t>(j)];
      idle = used(j, 0) > Scalar(0) ? 0 : idle + n;
    }
    Index const replaced = learn::replace_idle<B>(backend, x, square, options, state);
    double const mean = static_cast<double>(sum_to_host(backend.lane(), objective)) / static_cast<double>(n);
    ++state.steps;
    if (!observe(LearningProgress{state.steps - 1, pass, mean, replaced})) return;
  }
}

/// The same from the beginning, as a value.
template <class Codes = NonnegativeCodes, Backend B>
LearnedDictionary<B> learn_dictionary(B& backend, Input<B> X, LearningOptions const& options) {
  LearnedDictionary<B> state;
  learn_dictionary<Codes>(backend, std::move(X), options, state);
  return state;
}

template <detail::NoBackend B, class... Rest>
auto learn_dictionary(B const&, Rest const&...) {
  return detail::explain<B>();
}

}  // namespace detrame::inline DETRAME_ABI
