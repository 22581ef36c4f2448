// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/problem.hpp"

namespace detrame::exact {

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
    load_columns(team, D, first, atoms);
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
  };
  Numbers numbers;
  MatrixView<Scalar const> D;    // m x n
  MatrixView<Scalar const> d;    // n x 1
  MatrixView<Scalar const> x;    // m x N
  MatrixView<Scalar const> Q{};  // n x n, for the solver alone
  Roots<Scalar> roots{};

  DETRAME_HOST_DEVICE static constexpr Index blocks() { return 1; }
  DETRAME_HOST_DEVICE SynthesisColumns block(Index) const { return *this; }
  template <class Team>
  DETRAME_HOST_DEVICE static constexpr Index width(Team const&) {
    return Team::width;
  }
  DETRAME_HOST_DEVICE Index scratch_rows() const { return D.rows() + D.cols(); }

  template <class Team>
  DETRAME_HOST_DEVICE void linear(Team const& team, Index first, Scalar* X, Scalar* r) const {
    auto const data = *this;
    load_columns(team, x, first, X);
    exact::multiply(team, D, X, r);
    team.each(D.cols() * Team::width, [=](Index i) { r[i] -= data.d(i / Team::width, 0); });
  }

  /// g = D^T (D u - x) + alpha u + d
  template <class Team>
  DETRAME_HOST_DEVICE void gradient(Team const& team, Index first, Index count, MatrixView<Scalar const> u,
                                    Scalar* V, Scalar* g) const {
    Index const m = D.rows(), n = D.cols();
    auto const data = *this;
    Scalar* const E = V + n * count;  // m x count, D u - x
    for (Index c = 0; c < count; ++c) {
      team.each(n, [=](Index l) { V[l + c * n] = u(l, first + c); });
      team.each(m, [=](Index i) { E[i + c * m] = -data.x(i, first + c); });
    }
    add_product(team, D, count, V, E);
    for (Index c = 0; c < count; ++c)
      team.each(n, [=](Index l) {
        g[l + c * n] = dot(&data.D(0, l), E + c * m, m) + data.numbers.alpha * V[l + c * n] + data.d(l, 0);
      });
  }

  /// |D_i| |x| + |d_i|, with |D_i| <= root_i
  template <class Team>
  DETRAME_HOST_DEVICE Scalar linear_terms(Team const& team, Index j) const {
    auto const data = *this;
    Scalar const square = team.sum(D.rows(), [=](Index i) { return data.x(i, j) * data.x(i, j); });
    return roots.largest * std::sqrt(square) +
           team.max(D.cols(), [=](Index i) { return std::abs(data.d(i, 0)); });
  }
  template <class Team>
  DETRAME_HOST_DEVICE void linear_terms(Team const& team, Index j, Scalar const* root, Scalar* out) const {
    auto const data = *this;
    Scalar const square = team.sum(D.rows(), [=](Index i) { return data.x(i, j) * data.x(i, j); });
    Scalar const size = std::sqrt(square);
    team.each(D.cols(), [=](Index i) { out[i] = root[i] * size + std::abs(data.d(i, 0)); });
  }
  template <class Team>
  DETRAME_HOST_DEVICE Scalar product_terms(Team const& team, MatrixView<Scalar const> u, Index j) const {
    return roots.terms(team, u, j);
  }
};

}  // namespace detrame::exact
