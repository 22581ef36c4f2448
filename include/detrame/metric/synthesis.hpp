// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "detrame/metric/gram_metric.hpp"
#include "detrame/metric/misuse.hpp"
#include "detrame/metric/penalty.hpp"

namespace detrame::inline DETRAME_ABI {

/// The data of one synthesis problem, eq. (6)-(8) of the paper with Theorem 4.1's beta.                  (M1)
///
///   M_D(x) = argmin_{a >= 0}  1/2 |x - D a|^2 + alpha/2 |a|^2 + <d, a> + lambda |a|_1 + beta/2 |a|^2
///
/// Shapes    D: m x k, a column an atom.  d: k x 1.
/// Requires  alpha > 0, beta >= 0, lambda >= 0; `check` and the constructors of metric and penalty say so.
template <Backend B>
struct Synthesis {
  using Scalar = typename B::Scalar;

  Matrix<B> D;
  Scalar alpha, beta, lambda;
  Matrix<B> d;

  Synthesis() = default;
  Synthesis(Kept<B> D_, Scalar alpha_, Scalar beta_, Scalar lambda_, Kept<B> d_)
      : D(std::move(D_.matrix)), alpha(alpha_), beta(beta_), lambda(lambda_), d(std::move(d_.matrix)) {}

  void check(char const* who) const {
    if (D.cols() < 1 || d.rows() != D.cols() || d.cols() != 1)
      throw ShapeError(
          message(who, ": d is ", d.rows(), " x ", d.cols(), ", D is ", D.rows(), " x ", D.cols()));
    if (!(alpha > Scalar(0))) throw DomainError(message(who, ": alpha = ", alpha, ", must be > 0"));
    require_at_least(who, "beta", beta, Scalar(0));
    require_at_least(who, "lambda", lambda, Scalar(0));
  }

  /// Q = D^T D + alpha I
  GramMetric<B> metric(B& backend) const { return GramMetric<B>(backend, D, alpha); }

  /// lambda |.|_1 + beta/2 |.|^2 + indicator(>= 0)
  NonnegativeElasticNet<B> penalty(B& backend) const {
    return NonnegativeElasticNet<B>(backend, D.cols(), lambda, beta);
  }
};
template <class M, class Alpha, class Beta, class Lambda, class V>
Synthesis(M const&, Alpha, Beta, Lambda, V const&) -> Synthesis<typename HomeOf<M>::Backend>;

}  // namespace detrame::inline DETRAME_ABI
