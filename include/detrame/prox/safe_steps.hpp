// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/prox/contraction.hpp"

namespace detrame {

/// The steps for which forward-backward with the preconditioner Theta converges: all gamma in (0,
/// safe_gamma).
///
///   safe_gamma = 2 / |Theta^{-1/2} Q Theta^{-1/2}|_2                          (C6), eq. (28) corrected
///
/// Shapes    Theta: k x 1, each entry > 0.
/// Ensures   for a convolution a lower bound of it, valid for images of every size.
/// Requires  Theta of k entries, else ShapeError, each > 0, else DomainError.
/// Cost      the eigenvalues of a kg x kg matrix for each block.
/// Source    docs/maths.md (C6), (E5): the paper prints Theta^{-1/2} Q Theta^{1/2}, whose norm says nothing.
/// Tested    tests/prox/certificate_test.cpp: (C6), (E5)
template <Backend B, Metric M>
typename B::Scalar safe_gamma(B& backend, M const& Q, Input<B> Theta) {
  using Scalar = typename B::Scalar;
  auto const theta = detail::positive_vector<B>(backend, "safe_gamma", "Theta", Theta, Q.dim());
  auto const inverse_root = [&](Index i) { return 1 / std::sqrt(theta(i, 0)); };
  if constexpr (!ColumnMetric<M>) {
    std::vector<double> scale;
    for (Index i = 0; i < Q.dim(); ++i) scale.push_back(static_cast<double>(inverse_root(i)));
    return Scalar(2) / spectral_range(backend, Q.structure(), Q.weights(), scale).high;
  }
  Scalar norm(0);
  detail::each_scaled_block<B>(backend, Q.weights(), inverse_root, inverse_root, [&](Matrix<B> const& A) {
    Scalar const largest = symmetric_eigenvalues(backend, ConstView<B>(A)).back();
    if (!(largest <= norm)) norm = largest;
  });
  return Scalar(2) / norm;
}

/// What FISTA promises after T >= 1 updates, given |U*|_Theta or a bound on it.                          (C5)
///
///   F(U_T) - F* <= 2 |U*|_Theta^2 / (T + 1)^2,   F(u) = 1/2 |u - z|_Q^2 + psi(u)
///
/// Theta are the sums of |q_il| over l, as in Gershgorin. With m = convexity_modulus it also says
/// |U_T - U*|_2^2 <= 2/m (F(U_T) - F*).
template <class Scalar>
Scalar fista_bound(Scalar norm_u_star_Theta, Index T) {
  require_at_least("fista_bound", "T", T, Index{1});
  Scalar const n = static_cast<Scalar>(T + 1);
  return Scalar(2) * norm_u_star_Theta * norm_u_star_Theta / (n * n);
}

}  // namespace detrame
