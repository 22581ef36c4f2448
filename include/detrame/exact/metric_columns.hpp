// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/code_entries.hpp"
#include "detrame/exact/problem.hpp"

namespace detrame::inline DETRAME_ABI::exact {

/// sqrt(q_ii) of blocks side by side; a task an entry. A kernel of each_column.
struct DiagonalRoots {
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index i, Scalar*, MatrixView<Scalar const> Q,
                                      MatrixView<Scalar> roots) const {
    Scalar const q_ii = Q(i % Q.rows(), i);
    team.once([=] { roots(i, 0) = std::sqrt(q_ii); });
  }
};

/// Columns of the metric form, 1/2 |u - z|_Q^2: r = Q z.                                                (M3)
template <class Scalar>
struct MetricColumns {
  struct Numbers {
    int matrix = 0;  ///< Q is the caller's times 4^matrix
  };
  Numbers numbers;
  MatrixView<Scalar const> Q;        // n x k, the blocks side by side
  MatrixView<Scalar const> z{};      // k x N
  MatrixView<Scalar const> roots{};  // k x 1, by DiagonalRoots: for search and certificate alone
  KnownPowers<Scalar> known{};

  DETRAME_HOST_DEVICE Index blocks() const { return Q.cols() / Q.rows(); }
  DETRAME_HOST_DEVICE MetricColumns block(Index b) const {
    Index const n = Q.rows();
    return {numbers, Q.middle_cols(b * n, n), z.middle_rows(b * n, n),
            roots.data() == nullptr ? roots : roots.middle_rows(b * n, n), known};
  }
  template <class Team>
  DETRAME_HOST_DEVICE static constexpr Index width(Team const&) {
    return Team::width;
  }
  DETRAME_HOST_DEVICE static constexpr Index scratch_rows(Index n) { return 3 * n; }
  DETRAME_HOST_DEVICE Index scratch_rows() const { return scratch_rows(Q.rows()); }

  template <class Team>
  DETRAME_HOST_DEVICE Powers powers(Team const& team, Index j) const {
    return metric_powers(team, known, z, j, numbers.matrix);
  }

  template <class Team>
  DETRAME_HOST_DEVICE void linear(Team const& team, Index first, Scalar* Z, Scalar* r) const {
    load_columns(team, z, first, [&](Index j) { return powers(team, j).data; }, Z);
    exact::multiply(team, Q, Z, r);
  }
  template <class Team>
  DETRAME_HOST_DEVICE void linear_terms(Team const& team, Index j, Scalar*, Scalar* out) const {
    auto const data = *this;
    Powers const by = powers(team, j);
    Scalar const size = linear_size(team, j);
    team.each(z.rows(), [=](Index i) { out[i] = data.linear_term(i, size, by); });
  }
  /// The same by entry: what all entries of a column share, and the bound of entry i.
  template <class Team>
  DETRAME_HOST_DEVICE Scalar linear_size(Team const& team, Index j) const {
    auto const point = z, root = roots;
    int const by = powers(team, j).data;
    return team.sum(z.rows(), [=](Index l) { return root(l, 0) * std::abs(scaled(point(l, j), by)); });
  }
  DETRAME_HOST_DEVICE Scalar linear_term(Index i, Scalar size, Powers) const { return roots(i, 0) * size; }

  /// Entry i of r of a column whose scaled data are z_j. For teams on a CPU, as what follows.
  template <class Team>
  Scalar linear_entry(Team const& team, Index i, Scalar const* z_j, Powers) const {
    return team.inner_product(column_of(Q, i), z_j, Q.rows());
  }
  MatrixView<Scalar const> data() const { return z; }

  /// r of `count` columns times 2^unit, coarsely, by H with beta taken out; where some beta_i is so much
  /// larger than q_ii that too little would be left, entry by entry. X: n x count. R: whole blocks.
  template <class Team, class Form, class Column>
  void coarse_linear(Team const& team, Form const& form, MatrixView<Scalar const> beta, Index count,
                     Scalar const* const* columns, Column const* of, typename Form::Entry* X,
                     typename Form::Entry* R) const {
    using Entry = typename Form::Entry;
    Index const n = Q.rows(), rows = Form::rows(n);
    bool far = false;
    for (Index i = 0; i < n; ++i) far |= beta(i, 0) > Scalar(256) * roots(i, 0) * roots(i, 0);
    if (far) {
      for (Index c = 0; c < count; ++c) {
        Scalar const factor = scaled(Scalar(1), of[c].unit);
        for (Index i = 0; i < rows; ++i)
          R[i + c * rows] =
              i < n ? static_cast<Entry>(linear_entry(team, i, columns[c], of[c].by) * factor * form.scale[i])
                    : Entry(0);
      }
      return;
    }
    for (Index c = 0; c < count; ++c) {
      Scalar const factor = scaled(Scalar(1), of[c].unit);
      for (Index l = 0; l < n; ++l) X[l + c * n] = static_cast<Entry>(columns[c][l] * factor / form.scale[l]);
    }
    typename Form::Coarse().products(form.H, Form::stride(n), rows, n, X, count, R);
    for (Index c = 0; c < count; ++c)
      for (Index l = 0; l < n; ++l)
        R[l + c * rows] -= static_cast<Entry>(beta(l, 0) * form.scale[l] * form.scale[l]) * X[l + c * n];
  }

  /// g = Q (u - z) + beta u,   t_i = sqrt(h_ii) sum_l sqrt(h_ll) |u_l| + sqrt(q_ii) sum_l sqrt(q_ll) |z_l|
  template <class Team>
  DETRAME_HOST_DEVICE void gradient(Team const& team, Index first, Index count, MatrixView<Scalar const> beta,
                                    Scalar const* u, Scalar* V, Scalar* g, Scalar* t) const {
    Index const n = Q.rows();
    auto const point = z, metric = Q;
    Scalar *const root_q = V + n * count, *const root_h = root_q + n;
    team.each(n, [=](Index i) {
      root_q[i] = std::sqrt(metric(i, i));
      root_h[i] = std::sqrt(metric(i, i) + beta(i, 0));
    });
    for (Index c = 0; c < count; ++c) {
      int const data = powers(team, first + c).data;
      team.each(n, [=](Index i) {
        V[i + c * n] = u[i + c * n] - scaled(point(i, first + c), data);
        g[i + c * n] = Scalar(0);
      });
      Scalar const of_u = team.sum(n, [=](Index l) { return root_h[l] * std::abs(u[l + c * n]); });
      Scalar const of_z =
          team.sum(n, [=](Index l) { return root_q[l] * std::abs(scaled(point(l, first + c), data)); });
      team.each(n, [=](Index i) { t[i + c * n] = root_h[i] * of_u + root_q[i] * of_z; });
    }
    add_product(team, Q, count, V, g);
    for (Index c = 0; c < count; ++c)
      team.each(n, [=](Index i) { g[i + c * n] += beta(i, 0) * u[i + c * n]; });
  }

  /// The same of a block of columns side by side, row by row.
  template <Index width>
  struct Judged {
    MetricColumns const& problem;
    MatrixView<Scalar const> beta;
    Scalar of_u[width], of_z[width];

    /// g: Q (u - z) on entry
    template <class Team>
    void gradient(Team const& team, Index i, Scalar const* u, Scalar* g) const {
      Scalar const own = beta(i, 0);
      team.abreast([&](Index c) { g[c] += own * u[c]; });
    }
    template <class Team>
    void terms(Team const& team, Index i, Scalar* t) const {
      Scalar const root_q = problem.roots(i, 0), root_h = std::sqrt(root_q * root_q + beta(i, 0));
      team.abreast([&](Index c) { t[c] = root_h * of_u[c] + root_q * of_z[c]; });
    }
  };

  /// u: its entries that are not 0. products: Q (u - z), side by side. For teams on a CPU.
  template <class Team>
  Judged<Team::width> judge(Team const& team, Index first, Index count, MatrixView<Scalar const> beta,
                            CodeEntries<Scalar> const& u, Scalar* V, Scalar* products) const {
    constexpr Index width = Team::width;
    Index const n = Q.rows();
    Judged<width> judged{*this, beta, {}, {}};
    auto const data = *this;
    load_columns(
        team, z.middle_cols(0, first + count), first, [&](Index j) { return powers(team, j).data; }, V);
    for (Index i = 0; i < n; ++i) {
      Scalar const root = roots(i, 0);
      Scalar* const v = V + i * width;
      team.abreast([&](Index c) { judged.of_z[c] += root * std::abs(v[c]); });
      team.abreast([&](Index c) { v[c] = -v[c]; });
    }
    for (Index c = 0; c < count; ++c)
      judged.of_u[c] = u.sum(c, [=](Index i, Scalar v) {
        V[i * width + c] += v;
        Scalar const root_q = data.roots(i, 0);
        return std::sqrt(root_q * root_q + beta(i, 0)) * std::abs(v);
      });
    team.judged_products(column_of(Q, 0), Q.stride(), n, n, V, products);
    return judged;
  }

  /// The judge: u - z, a product, which on a CPU is that of a dictionary, beta u, lambda. The search: Q z one
  /// after the other, r - H u, and u itself.
  DETRAME_HOST_DEVICE Index roundings() const {
    Index const n = Q.rows(), product = product_chain(n) > dot_chain(n) ? product_chain(n) : dot_chain(n);
    return (product + 4) + (n + product_chain(n) + 4);
  }
};

}  // namespace detrame::inline DETRAME_ABI::exact
