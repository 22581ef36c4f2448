// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/problem.hpp"

namespace detrame::exact {

/// Columns of the metric form, 1/2 |u - z|_Q^2: r = Q z.                                                (M3)
template <class Scalar>
struct MetricColumns {
  struct Numbers {
    int matrix = 0;  ///< Q is the caller's times 4^matrix
  };
  Numbers numbers;
  MatrixView<Scalar const> Q;    // n x k, the blocks side by side
  MatrixView<Scalar const> z{};  // k x N
  KnownPowers<Scalar> known{};

  DETRAME_HOST_DEVICE Index blocks() const { return Q.cols() / Q.rows(); }
  DETRAME_HOST_DEVICE MetricColumns block(Index b) const {
    Index const n = Q.rows();
    return {numbers, Q.middle_cols(b * n, n), z.middle_rows(b * n, n), known};
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
  DETRAME_HOST_DEVICE void linear_terms(Team const& team, Index j, Scalar* V, Scalar* out) const {
    auto const point = z, metric = Q;
    int const data = powers(team, j).data;
    team.each(z.rows(), [=](Index i) { V[i] = std::sqrt(metric(i, i)); });
    Scalar const sum =
        team.sum(z.rows(), [=](Index l) { return V[l] * std::abs(scaled(point(l, j), data)); });
    team.each(z.rows(), [=](Index i) { out[i] = V[i] * sum; });
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

  /// The judge: u - z, a product, beta u, lambda. The search: Q z one after the other, r - H u, and u itself.
  DETRAME_HOST_DEVICE Index roundings() const {
    return (product_chain(Q.rows()) + 4) + (Q.rows() + product_chain(Q.rows()) + 4);
  }
};

}  // namespace detrame::exact
