// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/metric/synthesis.hpp"

namespace detrame {

/// A Lipschitz constant of x -> M_D(x) in the Euclidean norms, for every dictionary D.                   (L2)
///
///   |M_D(x) - M_D(x')| <= |x - x'| / (2 sqrt(alpha + beta))
///
/// Requires  alpha + beta > 0, else DomainError.
/// Ensures   at most 1 for alpha + beta >= 1/4, with no spectral normalisation. It holds for the exact
///           solution; a truncated unroll may exceed it.
/// Source    docs/maths.md (L2): the Jacobians have the singular values sigma / (sigma^2 + alpha + beta) or
///           0.
/// Tested    tests/exact/theorems_test.cpp
template <class Scalar>
Scalar lipschitz_bound(Scalar alpha, std::type_identity_t<Scalar> beta) {
  if (!(alpha + beta > Scalar(0)))
    throw DomainError(message("lipschitz_bound: alpha + beta = ", alpha + beta, ", must be > 0"));
  return Scalar(1) / (Scalar(2) * std::sqrt(alpha + beta));
}

template <Backend B>
typename B::Scalar lipschitz_bound(Synthesis<B> const& problem) {
  return lipschitz_bound(problem.alpha, problem.beta);
}

/// The Lipschitz constant of z -> W z, |W|_2: the square root of the largest eigenvalue of the smaller of W
/// W^T and W^T W. Cost min(m, k)^2 max(m, k).
template <Backend B>
typename B::Scalar lipschitz_constant(B& backend, Input<B> W) {
  ConstView<B> const w = W;
  if (w.rows() == 0 || w.cols() == 0) return 0;
  bool const wide = w.rows() < w.cols();
  Matrix<B> gram = zeros(backend, std::min(w.rows(), w.cols()), std::min(w.rows(), w.cols()));
  gemm(backend.lane(), 1, w, wide ? Op::none : Op::transposed, w, wide ? Op::transposed : Op::none, 0, gram);
  return std::sqrt(symmetric_eigenvalues(backend, gram).back());
}

}  // namespace detrame
