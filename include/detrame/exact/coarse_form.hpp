// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>

#include "detrame/backend/concept.hpp"
#include "detrame/exact/problem.hpp"

namespace detrame::exact {

/// A team with a coarser one, whose loops may guess for it: on a CPU, where columns are worked on one at a
/// time between products.
template <class Team>
concept GuessingTeam = requires { typename Team::Coarse; };

/// What a support search reads of H = Q + diag(beta) and lambda, in the scalar of a coarse team: each entry
/// in a unit of its own, a power of two, in which h_ii is in [1, 4), and lambda in one unit more, in which
/// the largest one that is finite is about 1. Blocks of Q side by side.
///
///   H_ij = s_i s_j h_ij,   lambda_i = 2^power s_i lambda_i
///
/// `written`: while it is formed.
template <GuessingTeam Team, bool written = false>
struct CoarseForm {
  using Scalar = typename Team::Scalar;
  using Coarse = typename Team::Coarse;
  using Entry = typename Coarse::Scalar;
  template <class T>
  using Pointer = std::conditional_t<written, T*, T const*>;

  Pointer<Entry> H = nullptr, lambda = nullptr;
  Pointer<Scalar> scale = nullptr, root = nullptr;  ///< s_i, sqrt(h_ii)
  Pointer<int> power = nullptr;
  Index n = 0;

  static constexpr Index rows(Index n) { return Coarse::whole_blocks(n); }
  /// Columns lie apart by more than whole blocks, so that they do not share few sets of a cache.
  static constexpr Index stride(Index n) { return rows(n) + Coarse::column_block / 2; }
  static constexpr Index entries(Index count) { return scalars_for<Scalar, Entry>(count); }
  /// Scalars of memory for k entries in blocks of n.
  static constexpr Index size(Index n, Index k) {
    return 2 * k + entries(k * stride(n)) + entries(k / n * rows(n)) + scalars_for<Scalar, int>(k / n);
  }

  CoarseForm() = default;
  CoarseForm(Index n_, Index k, Pointer<Scalar> memory) : scale(memory), root(memory + k), n(n_) {
    Pointer<Scalar> const atoms = memory + 2 * k;
    Pointer<Scalar> const weights = atoms + entries(k * stride(n));
    H = reinterpret_cast<Pointer<Entry>>(atoms);
    lambda = reinterpret_cast<Pointer<Entry>>(weights);
    power = reinterpret_cast<Pointer<int>>(weights + entries(k / n * rows(n)));
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
    Scalar const own = form.scale[j];
    for (Index i = 0; i < n; ++i) h[i] = static_cast<Entry>(q[i] * scale[i] * own);
    Index const i = j % n;
    h[i] = static_cast<Entry>((q[i] + beta(j, 0)) * own * own);
    for (Index l = n; l < form.stride(n); ++l) h[l] = Entry(0);
  }
};

/// Scalars of memory for the form of a problem whose Q is n x k, blocks side by side.
template <class Team>
constexpr Index coarse_size(Index n, Index k) {
  if constexpr (GuessingTeam<Team>)
    return CoarseForm<Team>::size(n, k);
  else
    return 0;
}

/// Scales and lambda, into memory of coarse_size; what H is made of beside them is not touched.
template <Backend B>
void weigh_coarse_form(B& backend, ConstView<B> Q, ConstView<B> beta, ConstView<B> lambda, View<B> memory) {
  using Team = typename B::Team;
  if constexpr (GuessingTeam<Team>)
    each_column(backend, Q.cols() / Q.rows(), 0, CoarseWeights<Team>{{Q.rows(), Q.cols(), memory.data()}}, Q,
                beta, lambda);
}

/// The whole form.
template <Backend B>
void form_coarsely(B& backend, ConstView<B> Q, ConstView<B> beta, ConstView<B> lambda, View<B> memory) {
  using Team = typename B::Team;
  weigh_coarse_form<B>(backend, Q, beta, lambda, memory);
  if constexpr (GuessingTeam<Team>)
    each_column(backend, Q.cols(), 0, CoarseColumn<Team>{{Q.rows(), Q.cols(), memory.data()}}, Q, beta);
}

}  // namespace detrame::exact
