// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/problem.hpp"

namespace detrame::exact {

/// What a support search reads of H = Q + diag(beta) and lambda, in the scalar of a coarse team: each entry
/// in a unit of its own, a power of two, in which h_ii is in [1, 4), and lambda in one unit more, in which
/// the largest one that is finite is about 1. Blocks of Q side by side.
///
///   H_ij = s_i s_j h_ij,   lambda_i = 2^power s_i lambda_i
template <class Team>
struct CoarseForm {
  using Scalar = typename Team::Scalar;
  using Coarse = typename Team::Coarse;
  using Entry = typename Coarse::Scalar;

  Entry *H = nullptr, *lambda = nullptr;
  Scalar *scale = nullptr, *root = nullptr;  ///< s_i, sqrt(h_ii)
  int* power = nullptr;
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
  CoarseForm(Index n_, Index k, Scalar* memory) : scale(memory), root(memory + k), n(n_) {
    Scalar* const atoms = memory + 2 * k;
    Scalar* const weights = atoms + entries(k * stride(n));
    H = reinterpret_cast<Entry*>(atoms);
    lambda = reinterpret_cast<Entry*>(weights);
    power = reinterpret_cast<int*>(weights + entries(k / n * rows(n)));
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
  CoarseForm<Team_> form;

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
  CoarseForm<Team_> form;

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

/// The form of a problem on blocks, formed once a call.
template <class Team, class B, class View>
CoarseForm<Team> coarse_form(B& backend, View Q, View beta, View lambda) {
  Index const n = Q.rows(), k = Q.cols();
  if (k == 0) return {};
  CoarseForm<Team> const form(n, k, backend.lane().scratch(CoarseForm<Team>::size(n, k), 1).data());
  each_column(backend, k / n, 0, CoarseWeights<Team>{form}, Q, beta, lambda);
  each_column(backend, k, 0, CoarseColumn<Team>{form}, Q, beta);
  return form;
}

}  // namespace detrame::exact
