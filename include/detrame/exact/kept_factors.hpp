// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/problem.hpp"
#include "detrame/exact/report.hpp"

namespace detrame::inline DETRAME_ABI::exact {

/// Where factors of H_AA are kept, a slot a column: views of ExactFactors, or nothing.
template <class Scalar>
struct KeptFactors {
  MatrixView<Scalar> slots{}, sizes{};

  DETRAME_HOST_DEVICE bool exist() const { return sizes.cols() > 0; }

  DETRAME_HOST_DEVICE KeptFactors block(Index b) const {
    if (!exist()) return {};
    Index const slot = slots.rows() / sizes.rows();
    return {slots.middle_rows(b * slot, slot), sizes.middle_rows(b, 1)};
  }

  /// Keeps that of the basis where the search for column j ended, if there is room and it is the one of the
  /// support of u as returned. found: whether u is the point of the basis.
  template <class Basis>
  DETRAME_HOST_DEVICE void keep(Basis const& basis, MatrixView<Scalar> u, Index j, bool found) const {
    if (!exist()) return;
    auto const& team = basis.team;
    Index const size = basis.size, count = team.factor_size(size);
    Scalar const zeros =
        team.sum(size, [&](Index p) { return u(basis.member(p), j) != Scalar(0) ? Scalar(0) : Scalar(1); });
    bool const whole = found && basis.kept_rows == size && basis.shift == Scalar(0) && zeros == Scalar(0) &&
                       count <= slots.rows();
    Scalar const* const from = basis.factor;
    Scalar* const to = column_of(slots, j);
    team.each(whole ? count : 0, [=](Index i) { to[i] = from[i]; });
    MatrixView<Scalar> const entry = sizes;
    team.once([=] { entry(0, j) = whole ? -static_cast<Scalar>(size) : Scalar(1); });
  }

  /// That of column j, if it has `size` rows, else null.
  DETRAME_HOST_DEVICE Scalar const* find(Index j, Index size) const {
    return exist() && sizes(0, j) == -static_cast<Scalar>(size) ? column_of(slots, j) : nullptr;
  }
};

/// OnBlocks of a solver that keeps factors.
template <class Problem, class Solver>
struct OnBlocksKeeping {
  Solver solver;
  typename Problem::Numbers numbers;

  template <class Team, class Scalar, class... Views>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index task, Scalar* scratch,
                                      MatrixView<Scalar const> beta, MatrixView<Scalar const> lambda,
                                      MatrixView<Scalar> u, MatrixView<Scalar> report,
                                      MatrixView<Scalar> slots, MatrixView<Scalar> sizes,
                                      Views... views) const {
    Problem const problem{numbers, views...};
    Index const blocks = problem.blocks(), block = task % blocks, n = u.rows() / blocks,
                rows = report.rows() / blocks;
    on_block(solver, block)(team, problem.block(block), task / blocks * problem.width(team), scratch,
                            beta.middle_rows(block * n, n), lambda.middle_rows(block * n, n),
                            u.middle_rows(block * n, n), report.middle_rows(block * rows, rows),
                            KeptFactors<Scalar>{slots, sizes}.block(block));
  }
};

/// Refuses factors of other columns than N, or of another number of blocks.
template <Backend B>
void require_factors(char const* who, ExactFactors<B> const& factors, Index blocks, Index N) {
  if (factors.sizes.cols() > 0 && (factors.sizes.rows() != blocks || factors.sizes.cols() != N))
    throw ShapeError(message(who, ": factors of ", factors.sizes.rows(), " x ", factors.sizes.cols(),
                             " solutions, there are ", blocks, " x ", N));
}

/// Memory for the factors of N columns and `blocks` blocks of n rows, none of them kept yet: none where no
/// bytes are given for it.
template <Backend B>
void reserve_factors(B& backend, Index n, Index blocks, Index N, Index bytes, ExactFactors<B>& factors) {
  using Scalar = typename B::Scalar;
  Index const tasks = blocks * N, room = tasks > 0 ? bytes / Index{sizeof(Scalar)} / tasks : 0;
  Index const slot = room < B::Team::factor_size(n) ? room : B::Team::factor_size(n);
  bool const any = slot > 0;
  reserve(backend, factors.sizes, any ? blocks : 0, any ? N : 0);
  if (any) each(backend.lane(), formula::Fill<Scalar>{1}, factors.sizes);
  reserve(backend, factors.slots, any ? slot * blocks : 0, any ? N : 0);
}

/// Behind the kernels: whether every factor is kept.
template <Backend B>
void finish_factors(B& backend, ExactFactors<B>& factors) {
  factors.all = factors.sizes.cols() > 0 &&
                max_to_host(backend.lane(), ConstView<B>(factors.sizes)) <= typename B::Scalar(0);
}

}  // namespace detrame::inline DETRAME_ABI::exact
