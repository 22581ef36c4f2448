// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <concepts>

#include "detrame/core/matrix_view.hpp"
#include "detrame/exact/range.hpp"

namespace detrame::inline DETRAME_ABI::exact {

/// What kernels of exact/ see of a problem: raw memory, one diagonal block of Q at a time,
/// and for each column
///
///   f(u) + sum_i lambda_i rho(u_i),   f(u) = 1/2 <u, Q u> - <r, u> + sum_i beta_i/2 u_i^2
///   H = Q + diag(beta)
///
/// rho: the rule of a penalty (metric/concept.hpp). A problem is one struct, a model of this concept, with
/// Numbers and views in that order, the same in every kernel. Everything but the caller's u and lambda, which
/// `powers` scales, is in range already. What it owes:
///
///   blocks(), block(b)          the problems of the diagonal blocks of Q, one after the other
///   width(team)                 how many columns are worked on side by side
///   scratch_rows()              rows of scratch, of width(team) scalars each, that the verbs below need as
///                               V; a static overload says so of sizes, before there is a problem
///   powers(team, j)             by what column j is scaled; `known.find` notes it for those that a task
///                               works on
///   linear(team, first, V, r)   r of the scaled columns, for the search: side by side, width(team) in a row
///   linear_terms(team, j, V, out)
///                               bounds of the terms that its entries were summed from
///
/// and to its judge, by loops that share no code with those for the search:
///
///   gradient(team, first, count, beta, u, V, g, t)
///                               g, the gradient of f at scaled codes u, entry by entry, and t, a bound of
///                               the terms that it was summed from, in the unit of that entry; u, g, t: n
///                               numbers a column
///   roundings()                 how many the longest chains of sums have, the judge's and the search's
///                               together: what both may differ by is half of that times eps t           (U5)
///
/// The modulus of f, lambda_min(Q) + min beta, is its caller's.
template <class P, class Team>
concept Problem = requires(P const& problem, Team const& team, Index j,
                           MatrixView<typename Team::Scalar const> beta, typename Team::Scalar* v) {
  typename P::Numbers;
  { problem.blocks() } -> std::same_as<Index>;
  { problem.block(j) } -> std::same_as<P>;
  { problem.width(team) } -> std::same_as<Index>;
  { problem.scratch_rows() } -> std::same_as<Index>;
  { problem.powers(team, j) } -> std::same_as<Powers>;
  problem.known(j);
  problem.linear(team, j, v, v);
  problem.linear_terms(team, j, v, v);
  problem.gradient(team, j, j, beta, v, v, v, v);
  { problem.roundings() } -> std::same_as<Index>;
};

/// A problem whose Q is only multiplied with, for the face search.
///
///   diagonal(team, out)            q_ii
///   multiply(team, x, V, y)        y = Q x for one column
///   spread(team, x, V, y)          y = |Q| x, or more, for x >= 0
template <class P, class Team>
concept MultipliedProblem =
    Problem<P, Team> && requires(P const& problem, Team const& team, Index j, typename Team::Scalar* v) {
      problem.diagonal(team, v);
      problem.multiply(team, v, v, v);
      problem.spread(team, v, v, v);
    };

/// A problem whose Q is a matrix, for the active set. On a CPU it owes besides, for blocks of columns,
///
///   linear_size(team, j), linear_term(i, size, by)
///                               linear_terms by entry: what column j shares, and the bound of entry i
///   data()                      the data of all columns, which powers().data scales
///   linear_entry(team, i, data_j, by)
///                               entry i of r, from the scaled data of a column
///   coarse_linear(team, form, beta, count, data, of, X, R)
///                               R, whole blocks by columns: r 2^unit s_i as a CoarseForm has its entries;
///                               of[c].by, of[c].unit: the powers of column c and its unit
///   judge(team, first, count, beta, u, V, products)
///                               to its judge: gradients of a block of columns side by side; `gradient` of
///                               what it returns makes of a row of `products` that of the gradient, and
///                               `terms` are bounds of what that was summed from
template <class P, class Team>
concept FactoredProblem = Problem<P, Team> && !MultipliedProblem<P, Team> && requires(P const& problem) {
  { problem.Q } -> std::convertible_to<MatrixView<typename Team::Scalar const>>;
};

/// How many scalars hold `count` objects of T, in scratch that is handed out as scalars.
template <class Scalar, class T>
DETRAME_HOST_DEVICE constexpr Index scalars_for(Index count) {
  return static_cast<Index>((static_cast<std::size_t>(count) * sizeof(T) + sizeof(Scalar) - 1) /
                            sizeof(Scalar));
}

/// The entries of a column; a matrix without entries has no memory, and no place in it.
template <class Scalar>
DETRAME_HOST_DEVICE Scalar* column_of(MatrixView<Scalar> A, Index j) {
  return A.data() == nullptr ? nullptr : A.data() + j * A.stride();
}

/// The rows of Q_AA from `first` on in the places of a factor, where first = 0 modulo the team's tile; above
/// the diagonal of a tile, too, where nobody reads.
template <class Team, class Scalar>
DETRAME_HOST_DEVICE void place_rows(Team const& team, MatrixView<Scalar const> Q, int const* member,
                                    Index size, Index first, Scalar* factor) {
  constexpr Index tile = Team::tile;
  Index const tiles = (size + tile - 1) / tile;
  for (Index q = 0; q < size; ++q) {
    Index const from = (q < first ? first : q) / tile;
    Scalar const* const column = column_of(Q, member[q]);
    team.each(tiles - from, [=](Index t) {
      Index const p = (from + t) * tile, rows = size - p < tile ? size - p : tile;
      Scalar* const to = factor + Team::factor_place(p, q);
      for (Index i = 0; i < rows; ++i) to[i] = column[member[p + i]];
    });
  }
}

/// out_ic = A(i, first + c) 2^power(first + c)
template <class Team, class Scalar, class Power>
DETRAME_HOST_DEVICE void load_columns(Team const& team, MatrixView<Scalar const> A, Index first,
                                      Power const& power, Scalar* out) {
  if (first + Team::width <= A.cols())
    team.each(A.rows(), [=](Index i) {
      for (Index c = 0; c < Team::width; ++c)
        out[i * Team::width + c] = A.data()[i + (first + c) * A.stride()];
    });
  else
    team.each(A.rows(), [=](Index i) {
      for (Index c = 0; c < Team::width; ++c)
        out[i * Team::width + c] = first + c < A.cols() ? A(i, first + c) : Scalar(0);
    });
  for (Index c = 0; c < Team::width && first + c < A.cols(); ++c)
    if (int const by = power(first + c); by != 0)
      team.each(A.rows(), [=](Index i) { out[i * Team::width + c] = scaled(A(i, first + c), by); });
}

/// r = A^T X for X side by side, by the team's products. A: n x k. X: n x width, r: k x width.
template <class Team, class Scalar>
DETRAME_HOST_DEVICE void multiply(Team const& team, MatrixView<Scalar const> A, Scalar const* X, Scalar* r) {
  for (Index i = 0; i < A.cols(); i += Team::height)
    team.inner_products(column_of(A, i), A.stride(), A.rows(),
                        A.cols() - i < Team::height ? A.cols() - i : Team::height, X, r + i * Team::width);
}

/// Y += A X by columns, or |A| X, four columns of A at a time, in plain loops: for certificates. An entry of
/// Y passes product_chain(columns of A) roundings.
template <bool magnitudes = false, class Team, class Scalar>
DETRAME_HOST_DEVICE void add_product(Team const& team, MatrixView<Scalar const> A, Index count,
                                     Scalar const* X, Scalar* Y) {
  Index const rows = A.rows(), n = A.cols();
  auto const entry = [](Scalar a) { return magnitudes ? std::abs(a) : a; };
  Index l = 0;
  for (; l + 4 <= n; l += 4)
    for (Index c = 0; c < count; ++c) {
      Scalar const *a0 = column_of(A, l), *a1 = column_of(A, l + 1), *a2 = column_of(A, l + 2),
                   *a3 = column_of(A, l + 3);
      Scalar const* const x = X + l + c * n;
      Scalar const x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3];
      Scalar* const y = Y + c * rows;
      team.each(rows, [=](Index i) {
        y[i] += (entry(a0[i]) * x0 + entry(a1[i]) * x1) + (entry(a2[i]) * x2 + entry(a3[i]) * x3);
      });
    }
  for (; l < n; ++l)
    for (Index c = 0; c < count; ++c) {
      Scalar const x0 = X[l + c * n];
      team.each(rows, [=](Index i) { Y[i + c * rows] += entry(A(i, l)) * x0; });
    }
}
DETRAME_HOST_DEVICE constexpr Index product_chain(Index columns) { return columns / 4 + columns % 4 + 3; }

/// sum_i a_i b_i, or sum_i |a_i| b_i, sixteen partial sums in a fixed order: dot_chain(n) roundings.
template <bool magnitudes = false, class Scalar>
DETRAME_HOST_DEVICE Scalar dot(Scalar const* a, Scalar const* b, Index n) {
  constexpr Index ways = 16;
  auto const entry = [](Scalar v) { return magnitudes ? std::abs(v) : v; };
  Scalar partial[ways] = {};
  Index i = 0;
  for (; i + ways <= n; i += ways)
    for (Index w = 0; w < ways; ++w) partial[w] += entry(a[i + w]) * b[i + w];
  for (Index w = 0; w < ways; ++w)  // places that are constants: in registers on a device
    if (i + w < n) partial[w] += entry(a[i + w]) * b[i + w];
  Scalar sum(0);
  for (Scalar p : partial) sum += p;
  return sum;
}
DETRAME_HOST_DEVICE constexpr Index dot_chain(Index n) { return n / 16 + 18; }

/// Powers of a few columns, found once.
template <class Scalar>
struct KnownPowers {
  Scalar const* data = nullptr;
  Index first = 0;

  /// For `count` columns from `begin` on, written to `row`: what their data ask for, and the rule allows.
  template <class Team, class P, class Rule>
  DETRAME_HOST_DEVICE void find(Team const& team, P const& problem, Rule const& rule, Index begin,
                                Index count, Scalar* row) {
    for (Index c = 0; c < count; ++c) {
      Powers const by = problem.powers(team, begin + c);
      int const power = by.data + (rule.unit(by.code) - by.code);
      team.once([=] { row[c] = static_cast<Scalar>(power); });
    }
    data = row;
    first = begin;
  }
  DETRAME_HOST_DEVICE int operator()(Index j) const { return static_cast<int>(data[j - first]); }
};

/// Powers of a column of the metric form, whose Q was times 4^matrix: what brings z into range; u and z have
/// one unit.
template <class Team, class Scalar>
DETRAME_HOST_DEVICE Powers metric_powers(Team const& team, KnownPowers<Scalar> const& known,
                                         MatrixView<Scalar const> z, Index j, int matrix) {
  int const data =
      known.data ? known(j) : into_range(team.max(z.rows(), [=](Index i) { return std::abs(z(i, j)); }));
  return {data, data, data + 2 * matrix};
}

/// Those of a column of the synthesis form, whose D was times 2^matrix: what brings x into range, or, where x
/// is small, the larger one of x and d; but nothing that makes a small x smaller.
template <class Team, class Scalar>
DETRAME_HOST_DEVICE Powers synthesis_powers(Team const& team, KnownPowers<Scalar> const& known,
                                            MatrixView<Scalar const> x, MatrixView<Scalar const> d, Index j,
                                            int matrix) {
  auto const found = [&] {
    Scalar const largest = team.max(x.rows(), [=](Index i) { return std::abs(x(i, j)); });
    int const of_x = into_range(largest);
    if (of_x <= 0 && largest != Scalar(0)) return of_x;
    int const of_both =
        into_range(team.max(d.rows(), [=](Index i) { return std::abs(scaled(d(i, 0), matrix)); }, largest));
    return largest != Scalar(0) && of_both < 0 ? 0 : of_both;
  };
  int const data = known.data ? known(j) : found();
  return {data, data - matrix, data + matrix};
}

/// The codes of `count` columns from `first` on, scaled. v: n x count, by columns.
template <class Team, class P, class Scalar>
DETRAME_HOST_DEVICE void load_codes(Team const& team, P const& problem, MatrixView<Scalar const> u,
                                    Index first, Index count, Scalar* v) {
  Index const n = u.rows();
  for (Index c = 0; c < count; ++c) {
    int const by = problem.powers(team, first + c).code;
    team.each(n, [=](Index i) { v[i + c * n] = scaled(u(i, first + c), by); });
  }
}

/// What a kernel is on block b: itself, unless it says so.
template <class Kernel>
DETRAME_HOST_DEVICE Kernel on_block(Kernel const& kernel, Index b) {
  if constexpr (requires { kernel.block(b); })
    return kernel.block(b);
  else
    return kernel;
}

/// A kernel of each_column on one diagonal block of a problem and a few of its columns: what stands beside
/// the problem is cut to the rows of the block.
template <class Problem, class Kernel>
struct OnBlocks {
  Kernel kernel;
  typename Problem::Numbers numbers;

  template <class Team, class Scalar, class U, class... Views>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index task, Scalar* scratch,
                                      MatrixView<Scalar const> beta, MatrixView<Scalar const> lambda, U u,
                                      MatrixView<Scalar> out, Views... views) const {
    Problem const problem{numbers, views...};
    Index const blocks = problem.blocks(), block = task % blocks, n = u.rows() / blocks,
                rows = out.rows() / blocks;
    on_block(kernel, block)(team, problem.block(block), task / blocks * problem.width(team), scratch,
                            beta.middle_rows(block * n, n), lambda.middle_rows(block * n, n),
                            u.middle_rows(block * n, n), out.middle_rows(block * rows, rows));
  }
};

}  // namespace detrame::inline DETRAME_ABI::exact
