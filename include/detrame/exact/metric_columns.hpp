// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/problem.hpp"

namespace detrame::exact {

/// Columns of the metric form, 1/2 |u - z|_Q^2: r = Q z.                                                (M3)
template <class Scalar>
struct MetricColumns {
  struct Numbers {};
  Numbers numbers;
  MatrixView<Scalar const> Q;    // n x k, the blocks side by side
  MatrixView<Scalar const> z{};  // k x N
  Roots<Scalar> roots{};

  DETRAME_HOST_DEVICE Index blocks() const { return Q.cols() / Q.rows(); }
  DETRAME_HOST_DEVICE MetricColumns block(Index b) const {
    Index const n = Q.rows();
    return {numbers, Q.middle_cols(b * n, n), z.middle_rows(b * n, n), roots};
  }
  template <class Team>
  DETRAME_HOST_DEVICE static constexpr Index width(Team const&) {
    return Team::width;
  }
  DETRAME_HOST_DEVICE Index scratch_rows() const { return Q.rows(); }

  template <class Team>
  DETRAME_HOST_DEVICE void linear(Team const& team, Index first, Scalar* Z, Scalar* r) const {
    load_columns(team, z, first, Z);
    exact::multiply(team, Q, Z, r);
  }

  /// g = Q (u - z)
  template <class Team>
  DETRAME_HOST_DEVICE void gradient(Team const& team, Index first, Index count, MatrixView<Scalar const> u,
                                    Scalar* V, Scalar* g) const {
    Index const n = Q.rows();
    auto const point = z;
    for (Index c = 0; c < count; ++c)
      team.each(n, [=](Index i) {
        V[i + c * n] = u(i, first + c) - point(i, first + c);
        g[i + c * n] = Scalar(0);
      });
    add_product(team, Q, count, V, g);
  }

  template <class Team>
  DETRAME_HOST_DEVICE Scalar linear_terms(Team const& team, Index j) const {
    return roots.terms(team, z, j);
  }
  template <class Team>
  DETRAME_HOST_DEVICE void linear_terms(Team const& team, Index j, Scalar const* root, Scalar* out) const {
    Scalar const sum = Roots<Scalar>{root, Scalar(1)}.terms(team, z, j);
    team.each(z.rows(), [=](Index i) { out[i] = root[i] * sum; });
  }
  template <class Team>
  DETRAME_HOST_DEVICE Scalar product_terms(Team const& team, MatrixView<Scalar const> u, Index j) const {
    return roots.terms(team, u, j);
  }
};

}  // namespace detrame::exact
