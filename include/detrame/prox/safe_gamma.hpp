// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "detrame/prox/contraction.hpp"

namespace detrame::inline DETRAME_ABI {

namespace detail {

/// 2 / lambda_max(Theta^{-1/2} (Q - diag beta) Theta^{-1/2}), from below; infinity where that is not
/// positive.
template <Backend B, Metric M>
typename B::Scalar safe_gamma(B& backend, M const& Q, std::vector<double> const& beta, ConstView<B> Theta) {
  using Scalar = typename B::Scalar;
  ConstView<B> const entries = entries_of("safe_gamma", Q);
  auto const theta = in_double(positive_vector<B>(backend, "safe_gamma", "Theta", Theta, Q.dim()));
  auto const of = [](std::vector<double> const& v, Index i) { return v[static_cast<std::size_t>(i)]; };
  auto const held = [&](Index i) { return std::isinf(of(beta, i)); };  // u_i = 0
  auto weights = to_host(backend, entries);                            // kg x (taps k)
  Index const kg = weights.rows(), taps = Q.structure().taps();
  auto const middle = [&](Index i) -> Scalar& {
    return weights(i % kg, (i / kg * taps + taps / 2) * kg + i % kg);
  };
  // a diagonal entry of the rows that are not held: in place of those that are, it does not change lambda_max
  double least = std::numeric_limits<double>::infinity();
  bool free = false;
  for (Index i = 0; i < Q.dim(); ++i) {
    if (held(i)) continue;
    free = true;
    least = std::min(least, (static_cast<double>(middle(i)) - of(beta, i)) / of(theta, i));
  }
  if (!free) return std::numeric_limits<Scalar>::infinity();
  double largest = -std::numeric_limits<double>::infinity();
  if constexpr (ColumnMetric<M>) {
    for (Index g = 0; g < Q.structure().groups; ++g)
      raise(largest, eigenvalue_from_above(backend,
                                           block_of(weights, g,
                                                    [&](Index i, Index j, double q) {
                                                      if (held(i) || held(j)) return i == j ? least : 0.;
                                                      return (i == j ? q - of(beta, i) : q) /
                                                             std::sqrt(of(theta, i)) /
                                                             std::sqrt(of(theta, j));
                                                    }),
                                           0));
  } else {
    for (Index j = 0; j < weights.cols(); ++j)
      for (Index i = 0; i < kg; ++i) {
        Index const first = j / (taps * kg) * kg;  // of the channels of this group
        if (held(first + i) || held(first + j % kg)) weights(i, j) = Scalar(0);
      }
    std::vector<double> scale;
    for (Index i = 0; i < Q.dim(); ++i) {
      middle(i) = held(i) ? static_cast<Scalar>(least) : middle(i) - static_cast<Scalar>(of(beta, i));
      scale.push_back(held(i) ? 1. : 1 / std::sqrt(of(theta, i)));
    }
    largest =
        static_cast<double>(spectral_range(backend, Q.structure(), to_device(backend, weights), scale).high);
  }
  double const eps = std::numeric_limits<Scalar>::epsilon();
  return largest <= 0 ? std::numeric_limits<Scalar>::infinity()
                      : rounded_down<Scalar>(2 / (largest * (1 + 8 * eps)));
}

}  // namespace detail

/// The steps for which forward-backward with the preconditioner Theta converges: all gamma in (0,
/// safe_gamma), and no other has kappa < 1.
///
///   safe_gamma = 2 / lambda_max(Theta^{-1/2} (Q - diag beta) Theta^{-1/2})                              (C6)
///
/// infinity where Q <= diag beta. Rows with an infinite beta_i, whose u_i is held at 0, do not count.
///
/// Shapes    Theta: k x 1, each entry > 0.
/// Requires  psi of k rows and Theta of k entries, else ShapeError; Theta > 0 and finite, else DomainError.
/// Ensures   a lower bound of it, by rounding, some k eps; for a convolution valid for images of every size,
///           at most some per cent below. NaN gives NaN.
/// Cost      the eigenvalues of a kg x kg matrix for each block.
/// Source    docs/maths.md (C6): larger than (28) allows, which leaves beta out
/// Tested    tests/prox/certificate_test.cpp: (C6)
template <Backend B, Metric M, Penalty P>
typename B::Scalar safe_gamma(B& backend, M const& Q, P const& psi, Input<B> Theta) {
  if (psi.dim() != Q.dim())
    throw ShapeError(message("safe_gamma: psi has ", psi.dim(), " rows, Q is ", Q.dim(), " x ", Q.dim()));
  return detail::safe_gamma<B>(backend, Q, detail::in_double(to_host(backend, psi.beta())), Theta);
}

/// The same for every psi, so for beta = 0: what eq. (28) allows, corrected.                             (C6)
///
///   safe_gamma = 2 / |Theta^{-1/2} Q Theta^{-1/2}|_2
///
/// Source    docs/maths.md (C6), (E5): the paper prints Theta^{-1/2} Q Theta^{1/2}, whose norm says nothing.
/// Tested    tests/prox/certificate_test.cpp: (C6), (E5)
template <Backend B, Metric M>
typename B::Scalar safe_gamma(B& backend, M const& Q, Input<B> Theta) {
  return detail::safe_gamma<B>(backend, Q, std::vector<double>(static_cast<std::size_t>(Q.dim()), 0.), Theta);
}

}  // namespace detrame::inline DETRAME_ABI
