// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <type_traits>
#include <utility>

#include "detrame/backend/concept.hpp"
#include "detrame/exact/problem.hpp"

namespace detrame::inline DETRAME_ABI::exact {

/// A team with a coarser one, whose loops may guess for it: on a CPU, where columns are worked on one at a
/// time between products.
template <class Team>
concept GuessingTeam = requires { typename Team::Coarse; };

/// What a support search reads of H = Q + diag(beta) and lambda, in the scalar of a coarse team: each entry
/// in a unit of its own, a power of two, in which h_ii is in [1, 4), and lambda in one unit more, in which
/// the largest one that is finite is about 1. Blocks of Q side by side.
///
///   H_ij = s_i s_j h_ij,   lambda_i = 2^power s_i lambda_i,   atoms_il = s_i D_li,   shift = max_i s_i |d_i|
///
/// The last two of a problem that has D and d. `written`: while it is formed.
template <GuessingTeam Team, bool written = false>
struct CoarseForm {
  using Scalar = typename Team::Scalar;
  using Coarse = typename Team::Coarse;
  using Entry = typename Coarse::Scalar;
  template <class T>
  using Pointer = std::conditional_t<written, T*, T const*>;

  Pointer<Entry> H = nullptr, lambda = nullptr, atoms = nullptr;     ///< atoms: n x m, whole blocks
  Pointer<Scalar> scale = nullptr, root = nullptr, shift = nullptr;  ///< s_i, sqrt(h_ii)
  Pointer<int> power = nullptr;
  Index n = 0;

  static constexpr Index rows(Index n) { return Coarse::whole_blocks(n); }
  /// Columns lie apart by more than whole blocks, so that they do not share few sets of a cache.
  static constexpr Index stride(Index n) { return rows(n) + Coarse::column_block / 2; }
  static constexpr Index entries(Index count) { return scalars_for<Scalar, Entry>(count); }
  /// Scalars of memory for k entries in blocks of n, with atoms of m rows.
  static constexpr Index size(Index n, Index k, Index m) {
    return 2 * k + 1 + entries(k * stride(n)) + entries(k / n * rows(n)) + entries(m * rows(n)) +
           scalars_for<Scalar, int>(k / n);
  }

  CoarseForm() = default;
  CoarseForm(Index n_, Index k, Index m, Pointer<Scalar> memory)
      : scale(memory), root(memory + k), shift(memory + 2 * k), n(n_) {
    Pointer<Scalar> rest = memory + 2 * k + 1;
    auto const take = [&rest](Index count) {
      return reinterpret_cast<Pointer<Entry>>(std::exchange(rest, rest + entries(count)));
    };
    H = take(k * stride(n));
    lambda = take(k / n * rows(n));
    atoms = take(m * rows(n));
    power = reinterpret_cast<Pointer<int>>(rest);
  }

  CoarseForm block(Index b) const {
    CoarseForm part = *this;
    part.H += b * n * stride(n);
    part.lambda += b * rows(n);
    part.scale += b * n;
    part.root += b * n;
    part.power += b;
    return part;
  }
};

/// Scales and lambda of each block; a task a block.
template <class Team_>
struct CoarseWeights {
  CoarseForm<Team_, true> form;

  template <class Team, class Scalar>
  void operator()(Team const& team, Index b, Scalar*, MatrixView<Scalar const> Q,
                  MatrixView<Scalar const> beta_rows, MatrixView<Scalar const> lambda_rows) const {
    auto const out = form.block(b);
    Index const n = out.n;
    auto const beta = beta_rows.middle_rows(b * n, n), lambda = lambda_rows.middle_rows(b * n, n);
    for (Index i = 0; i < n; ++i) {
      out.root[i] = std::sqrt(Q(i, b * n + i) + beta(i, 0));
      out.scale[i] = scaled(Scalar(1), to_one(out.root[i]) + 1);
    }
    Scalar const largest = team.max(n, [&](Index i) {
      return lambda(i, 0) <= limits::largest<Scalar> ? lambda(i, 0) * out.scale[i] : Scalar(0);
    });
    *out.power = to_one(largest);
    using Entry = typename CoarseForm<Team_>::Entry;
    for (Index i = 0; i < form.rows(n); ++i)
      out.lambda[i] = i < n ? static_cast<Entry>(scaled(lambda(i, 0) * out.scale[i], *out.power))
                            : limits::infinity<Entry>;
  }
};

/// A column of H.
template <class Team_>
struct CoarseColumn {
  CoarseForm<Team_, true> form;

  template <class Team, class Scalar>
  void operator()(Team const&, Index j, Scalar*, MatrixView<Scalar const> Q,
                  MatrixView<Scalar const> beta) const {
    using Entry = typename CoarseForm<Team_>::Entry;
    Index const n = form.n;
    Scalar const* const scale = form.scale + j / n * n;
    Scalar const* const q = column_of(Q, j);
    Entry* const h = form.H + j * form.stride(n);
    if (j == 0) *form.shift = Scalar(0);  // CoarseAtoms, where there is one, comes later
    Scalar const own = form.scale[j];
    for (Index i = 0; i < n; ++i) h[i] = static_cast<Entry>(q[i] * scale[i] * own);
    Index const i = j % n;
    h[i] = static_cast<Entry>((q[i] + beta(j, 0)) * own * own);
    for (Index l = n; l < form.stride(n); ++l) h[l] = Entry(0);
  }
};

/// Rows `width` task, ... of D, for all atoms; shift with the first.
template <class Team_>
struct CoarseAtoms {
  CoarseForm<Team_, true> form;

  template <class Team, class Scalar>
  void operator()(Team const& team, Index task, Scalar*, MatrixView<Scalar const> D,
                  MatrixView<Scalar const> d) const {
    using Entry = typename CoarseForm<Team_>::Entry;
    Index const n = form.n, rows = form.rows(n), first = task * Team::width;
    if (task == 0) *form.shift = team.max(n, [&](Index i) { return std::abs(d(i, 0)) * form.scale[i]; });
    for (Index l = first; l < std::min(first + Team::width, D.rows()); ++l)
      std::fill_n(form.atoms + l * rows + n, rows - n, Entry(0));
    for (Index i = 0; i < n; ++i)
      for (Index l = first; l < std::min(first + Team::width, D.rows()); ++l)
        form.atoms[l * rows + i] = static_cast<Entry>(D(l, i) * form.scale[i]);
  }
};

/// Scalars of memory for the form of a problem whose Q is n x k, blocks side by side, and D m x n.
template <class Team>
constexpr Index coarse_size(Index n, Index k, Index m) {
  if constexpr (GuessingTeam<Team>)
    return CoarseForm<Team>::size(n, k, m);
  else
    return 0;
}

/// Scales and lambda, into memory of coarse_size; what is made of Q and D beside them is not touched.
/// D: m x n, without rows and columns where the problem has none.
template <Backend B>
void weigh_coarse_form(B& backend, ConstView<B> Q, ConstView<B> D, ConstView<B> beta, ConstView<B> lambda,
                       View<B> memory) {
  using Team = typename B::Team;
  if constexpr (GuessingTeam<Team>)
    each_column(backend, Q.cols() / Q.rows(), 0,
                CoarseWeights<Team>{{Q.rows(), Q.cols(), D.rows(), memory.data()}}, Q, beta, lambda);
}

/// The whole form.
template <Backend B>
void form_coarsely(B& backend, ConstView<B> Q, ConstView<B> D, ConstView<B> d, ConstView<B> beta,
                   ConstView<B> lambda, View<B> memory) {
  using Team = typename B::Team;
  weigh_coarse_form<B>(backend, Q, D, beta, lambda, memory);
  if constexpr (GuessingTeam<Team>) {
    CoarseForm<Team, true> const form(Q.rows(), Q.cols(), D.rows(), memory.data());
    each_column(backend, Q.cols(), 0, CoarseColumn<Team>{form}, Q, beta);
    if (D.cols() > 0)
      each_column(backend, std::max<Index>(1, (D.rows() + Team::width - 1) / Team::width), 0,
                  CoarseAtoms<Team>{form}, D, d);
  }
}

}  // namespace detrame::inline DETRAME_ABI::exact
