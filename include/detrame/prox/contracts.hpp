// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "detrame/operator/spectrum.hpp"
#include "detrame/prox/recursion.hpp"

namespace detrame::detail {

/// Whether kappa < 1 is known of a recursion of the form (20), that is, 2 Theta + gamma diag(beta) - gamma Q
/// positive definite, scaled to S = Theta + gamma diag(beta), beyond the rounding of its eigenvalues.    (C1)
/// For a convolution on images of every size.
template <Backend B, Metric M, Penalty P, TiedRecursion<M> R>
bool contracts(B& backend, M const& Q, P const& psi, R const& recursion) {
  using Scalar = typename B::Scalar;
  Step<B> const step = recursion.tied_step(backend, Q);
  auto const Theta = to_host(backend, ConstView<B>(step.Theta)), beta = to_host(backend, psi.beta()),
             weights = to_host(backend, entries_of("contracts", Q));  // k x 1, k x 1, kg x (taps k)
  Index const k = Theta.rows(), kg = weights.rows(), taps = Q.structure().taps();
  auto const s = [&](Index i) { return Theta(i, 0) + step.gamma * beta(i, 0); };
  auto const entry = [&](Index i, Index column) {  // of row i of its block
    Index const row = column / (taps * kg) * kg + i;
    bool const diagonal = column / kg % taps == taps / 2 && column % kg == i;
    return (diagonal ? Theta(row, 0) + s(row) : Scalar(0)) - step.gamma * weights(i, column);
  };
  if constexpr (ColumnMetric<M>) {
    for (Index first = 0; first < k; first += kg) {
      auto const block =
          to_device(backend, host_matrix<Scalar>(kg, kg, [&](Index i, Index j) {
                      return entry(i, first + j) / std::sqrt(s(first + i)) / std::sqrt(s(first + j));
                    }));
      Scalar const rounding = static_cast<Scalar>(4 * kg) * std::numeric_limits<Scalar>::epsilon();
      if (!(symmetric_eigenvalues(backend, ConstView<B>(block)).front() > rounding)) return false;
    }
    return true;
  } else {
    std::vector<double> scale;
    for (Index i = 0; i < k; ++i) scale.push_back(1 / std::sqrt(static_cast<double>(s(i))));
    auto const A = to_device(backend, host_matrix<Scalar>(kg, weights.cols(), entry));
    return spectral_range(backend, Q.structure(), ConstView<B>(A), scale).low > Scalar(0);
  }
}

}  // namespace detrame::detail
