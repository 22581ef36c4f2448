// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/code_entries.hpp"
#include "detrame/exact/problem.hpp"

namespace detrame::inline DETRAME_ABI::exact {

/// Q = D^T D + alpha I, `width` columns at a time. A kernel of each_column.
template <class Scalar>
struct Gram {
  Scalar alpha;

  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index task, Scalar* scratch,
                                      MatrixView<Scalar const> D, MatrixView<Scalar> Q) const {
    constexpr Index width = Team::width;
    Index const first = task * width;
    Scalar* const atoms = scratch;                        // m x width
    Scalar* const products = scratch + D.rows() * width;  // k x width, and room for more rows
    Scalar const shift = alpha;
    load_columns(team, D, first, [](Index) { return 0; }, atoms);
    exact::multiply(team, D, atoms, products);
    team.each(D.cols(), [=](Index i) {
      for (Index c = 0; c < width && first + c < Q.cols(); ++c)
        Q(i, first + c) = products[i * width + c] + (i == first + c ? shift : Scalar(0));
    });
  }
};

/// Columns of the synthesis form, 1/2 |x - D u|^2 + alpha/2 |u|^2 + <d, u>: r = D^T x - d.               (M1)
template <class Scalar>
struct SynthesisColumns {
  struct Numbers {
    Scalar alpha;
    int matrix = 0;  ///< D is the caller's times 2^matrix, alpha times 4^matrix; d is the caller's
  };
  Numbers numbers;
  MatrixView<Scalar const> D;      // m x n
  MatrixView<Scalar const> d;      // n x 1
  MatrixView<Scalar const> x;      // m x N
  MatrixView<Scalar const> norms;  // n x 1, of the atoms
  MatrixView<Scalar const> Q{};    // n x n, for the search alone
  KnownPowers<Scalar> known{};

  DETRAME_HOST_DEVICE static constexpr Index blocks() { return 1; }
  DETRAME_HOST_DEVICE SynthesisColumns block(Index) const { return *this; }
  template <class Team>
  DETRAME_HOST_DEVICE static constexpr Index width(Team const&) {
    return Team::width;
  }
  DETRAME_HOST_DEVICE static constexpr Index scratch_rows(Index m, Index n) { return 2 * m + n; }
  DETRAME_HOST_DEVICE Index scratch_rows() const { return scratch_rows(D.rows(), D.cols()); }

  template <class Team>
  DETRAME_HOST_DEVICE Powers powers(Team const& team, Index j) const {
    return synthesis_powers(team, known, x, d, j, numbers.matrix);
  }

  template <class Team>
  DETRAME_HOST_DEVICE void linear(Team const& team, Index first, Scalar* X, Scalar* r) const {
    load_columns(team, x, first, [&](Index j) { return powers(team, j).data; }, X);
    exact::multiply(team, D, X, r);
    auto const shift = d;
    bool plain = true;
    for (Index c = 0; c < Team::width && first + c < x.cols(); ++c)
      plain = plain && powers(team, first + c).weights == 0;
    if (plain) {
      team.each(D.cols(), [=](Index i) {
        Scalar const d_i = shift(i, 0);
        for (Index c = 0; c < Team::width; ++c) r[i * Team::width + c] -= d_i;
      });
      return;
    }
    for (Index c = 0; c < Team::width && first + c < x.cols(); ++c) {
      int const by = powers(team, first + c).weights;
      team.each(D.cols(), [=](Index i) { r[i * Team::width + c] -= scaled(shift(i, 0), by); });
    }
  }
  template <class Team>
  DETRAME_HOST_DEVICE void linear_terms(Team const& team, Index j, Scalar*, Scalar* out) const {
    auto const data = *this;
    Powers const by = powers(team, j);
    Scalar const size = linear_size(team, j);
    team.each(D.cols(), [=](Index i) { out[i] = data.linear_term(i, size, by); });
  }
  /// The same by entry: what all entries of a column share, and the bound of entry i.
  template <class Team>
  DETRAME_HOST_DEVICE Scalar linear_size(Team const& team, Index j) const {
    auto const data = *this;
    int const by = powers(team, j).data;
    return norm(team, D.rows(), [=](Index l) { return scaled(data.x(l, j), by); });
  }
  DETRAME_HOST_DEVICE Scalar linear_term(Index i, Scalar size, Powers by) const {
    return norms(i, 0) * size + std::abs(scaled(d(i, 0), by.weights));
  }

  /// Entry i of r of a column whose scaled data are x_j. For teams on a CPU, as what follows.
  template <class Team>
  Scalar linear_entry(Team const& team, Index i, Scalar const* x_j, Powers by) const {
    return team.inner_product(column_of(D, i), x_j, D.rows()) - scaled(d(i, 0), by.weights);
  }
  MatrixView<Scalar const> data() const { return x; }

  /// r of `count` columns times 2^unit, coarsely. X: m x count. R: whole blocks.
  template <class Team, class Form, class Column>
  void coarse_linear(Team const&, Form const& form, MatrixView<Scalar const>, Index count,
                     Scalar const* const* columns, Column const* of, typename Form::Entry* X,
                     typename Form::Entry* R) const {
    using Entry = typename Form::Entry;
    Index const m = D.rows(), n = D.cols(), rows = Form::rows(n);
    for (Index c = 0; c < count; ++c) {
      Scalar const factor = scaled(Scalar(1), of[c].unit);
      for (Index l = 0; l < m; ++l) X[l + c * m] = static_cast<Entry>(columns[c][l] * factor);
    }
    typename Form::Coarse().products(form.atoms, rows, rows, m, X, count, R);
    if (*form.shift == Scalar(0)) return;
    for (Index c = 0; c < count; ++c)
      for (Index i = 0; i < n; ++i)
        R[i + c * rows] -= static_cast<Entry>(scaled(d(i, 0), of[c].by.weights + of[c].unit) * form.scale[i]);
  }

  /// g = D^T (D u - x) + (alpha + beta) u + d,   t_i = sqrt(h_ii) sum_l sqrt(h_ll) |u_l| + |D_i| |x| + |d_i|
  template <class Team>
  DETRAME_HOST_DEVICE void gradient(Team const& team, Index first, Index count, MatrixView<Scalar const> beta,
                                    Scalar const* u, Scalar* V, Scalar* g, Scalar* t) const {
    Index const m = D.rows(), n = D.cols();
    auto const data = *this;
    Scalar *const E = V, *const root = E + m * count;  // E: m x count, D u - x
    team.each(n, [=](Index i) {
      Scalar const length = data.norms(i, 0);
      root[i] = std::sqrt(length * length + (data.numbers.alpha + beta(i, 0)));
    });
    for (Index c = 0; c < count; ++c) {
      int const by = powers(team, first + c).data;
      team.each(m, [=](Index i) { E[i + c * m] = -scaled(data.x(i, first + c), by); });
    }
    add_product(team, D, count, u, E);
    for (Index c = 0; c < count; ++c) {
      Index const j = first + c;
      Powers const by = powers(team, j);
      Scalar const length = norm(team, m, [=](Index l) { return scaled(data.x(l, j), by.data); });
      Scalar const of_u = team.sum(n, [=](Index l) { return root[l] * std::abs(u[l + c * n]); });
      team.each(n, [=](Index l) {
        Scalar const shift = scaled(data.d(l, 0), by.weights);
        g[l + c * n] = dot(column_of(data.D, l), E + c * m, m) +
                       (data.numbers.alpha + beta(l, 0)) * u[l + c * n] + shift;
        t[l + c * n] = root[l] * of_u + data.norms(l, 0) * length + std::abs(shift);
      });
    }
  }

  /// The same of a block of columns side by side, row by row; by[c]: the powers of its columns.
  template <Index width>
  struct Judged {
    SynthesisColumns const& problem;
    MatrixView<Scalar const> beta;
    Scalar of_u[width], of_x[width];
    int by[width];
    bool plain;  ///< by is 0

    /// g: D^T (D u - x) on entry
    template <class Team>
    void gradient(Team const& team, Index i, Scalar const* u, Scalar* g) const {
      Scalar const own = problem.numbers.alpha + beta(i, 0), d_i = problem.d(i, 0);
      if (plain)
        team.abreast([&](Index c) { g[c] = g[c] + own * u[c] + d_i; });
      else
        for (Index c = 0; c < width; ++c) g[c] = g[c] + own * u[c] + scaled(d_i, by[c]);
    }
    template <class Team>
    void terms(Team const& team, Index i, Scalar* t) const {
      Scalar const length = problem.norms(i, 0), d_i = problem.d(i, 0);
      Scalar const root = std::sqrt(length * length + (problem.numbers.alpha + beta(i, 0)));
      team.abreast([&](Index c) { t[c] = root * of_u[c] + length * of_x[c]; });
      for (Index c = 0; c < width; ++c) t[c] += std::abs(plain ? d_i : scaled(d_i, by[c]));
    }
  };

  /// u: its entries that are not 0. products: D^T (D u - x), side by side. For teams on a CPU.
  template <class Team>
  Judged<Team::width> judge(Team const& team, Index first, Index count, MatrixView<Scalar const> beta,
                            CodeEntries<Scalar> const& u, Scalar* V, Scalar* products) const {
    constexpr Index width = Team::width;
    Index const m = D.rows();
    Scalar *const E = V, *const residual = E + m * width;  // E: m x width, D u - x
    Judged<width> judged{*this, beta, {}, {}, {}, true};
    auto const data = *this;
    for (Index c = 0; c < width; ++c) {
      if (c >= count) {
        for (Index l = 0; l < m; ++l) E[l * width + c] = Scalar(0);
        continue;
      }
      Powers const power = powers(team, first + c);
      judged.by[c] = power.weights;
      judged.plain = judged.plain && power.weights == 0;
      Scalar const* const x_c = column_of(x, first + c);
      for (Index l = 0; l < m; ++l) residual[l] = -x_c[l];
      if (power.data != 0)
        for (Index l = 0; l < m; ++l) residual[l] = -scaled(x_c[l], power.data);
      judged.of_x[c] = norm(team, m, [=](Index l) { return residual[l]; });
      u.add_product(team, D, c, residual);
      for (Index l = 0; l < m; ++l) E[l * width + c] = residual[l];
      judged.of_u[c] = u.sum(c, [=](Index i, Scalar v) {
        Scalar const length = data.norms(i, 0);
        return std::sqrt(length * length + (data.numbers.alpha + beta(i, 0))) * std::abs(v);
      });
    }
    team.judged_products(column_of(D, 0), D.stride(), m, D.cols(), E, products);
    return judged;
  }

  /// The judge: D u - x, a product with an atom, three more terms, lambda. The search: D^T x and D^T D one
  /// after the other, r - H u, and u itself.
  DETRAME_HOST_DEVICE Index roundings() const {
    Index const m = D.rows(), n = D.cols();
    return (product_chain(n) + dot_chain(m) + 6) + (m + product_chain(n) + 6);
  }
};

}  // namespace detrame::inline DETRAME_ABI::exact
