// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "detrame/metric/concept.hpp"

namespace detrame::inline DETRAME_ABI {

/// The elastic-net penalties, with a scalar lambda and beta or one of each per row.                    (M1)
///
///   psi(u) = sum_i lambda_i |u_i| + beta_i/2 u_i^2  (+ indicator(u >= 0) where Activation is one-sided)
///
/// Use it by its names NonnegativeElasticNet<B> and ElasticNet<B>.
///
/// Shapes    lambda, beta: k x 1.
/// Requires  k >= 1; every lambda_i, beta_i >= 0 and not NaN: else DomainError with the first that is not.
///           lambda and beta of k rows and 1 column, else ShapeError.
/// Ensures   value: out_j = psi(U column j), infinity outside the domain.
/// Tested    tests/metric/metric_test.cpp
template <Backend B, class Activation_>
class SeparablePenalty {
 public:
  using Backend = B;
  using Activation = Activation_;
  using Scalar = typename B::Scalar;
  static constexpr char const* name = Activation::two_sided ? "ElasticNet" : "NonnegativeElasticNet";

  SeparablePenalty(B& backend, Index k, Scalar lambda, Scalar beta)
      : SeparablePenalty(
            (require_rows(k), to_device(backend, HostMatrix<Scalar>(k, 1, at_least_0("lambda", lambda)))),
            to_device(backend, HostMatrix<Scalar>(k, 1, at_least_0("beta", beta)))) {}

  SeparablePenalty(B& backend, Kept<B> lambda, Kept<B> beta)
      : SeparablePenalty(std::move(lambda.matrix), std::move(beta.matrix)) {
    require_rows(lambda_.rows());
    if (lambda_.cols() != 1 || beta_.cols() != 1 || beta_.rows() != lambda_.rows())
      throw ShapeError(message(name, ": lambda is ", lambda_.rows(), " x ", lambda_.cols(), ", beta is ",
                               beta_.rows(), " x ", beta_.cols(), ", must be columns of equal length"));
    require_entries(backend, "lambda", lambda_);
    require_entries(backend, "beta", beta_);
  }

  Index dim() const { return lambda_.rows(); }
  ConstView<B> lambda() const { return lambda_; }
  ConstView<B> beta() const { return beta_; }
  Activation activation() const { return {}; }

  /// out_j = psi(u_j). U: k x N. out: 1 x N.
  void value(typename B::Lane& lane, ConstView<B> U, View<B> out) const {
    column_sums(lane, out, formula::PenaltyTerm<Activation::two_sided>{}, U, PerRow{lambda()},
                PerRow{beta()});
  }

 private:
  SeparablePenalty(Matrix<B> lambda, Matrix<B> beta) : lambda_(std::move(lambda)), beta_(std::move(beta)) {}

  static void require_rows(Index k) { require_at_least(name, "k", k, Index{1}); }
  static Scalar at_least_0(char const* what, Scalar value) {
    require_at_least(name, what, value, Scalar(0));
    return value;
  }
  static void require_entries(B& backend, char const* what, ConstView<B> v) {
    HostMatrix<Scalar> const host = to_host(backend, v);  // k x 1
    for (Index i = 0; i < host.rows(); ++i) at_least_0(message(what, "(", i, ")").c_str(), host(i, 0));
  }

  Matrix<B> lambda_, beta_;  // k x 1
};

/// lambda |u|_1 + beta/2 |u|^2 + indicator(u >= 0): the paper's penalty.
template <Backend B>
using NonnegativeElasticNet = SeparablePenalty<B, formula::NonnegativeShrinkage>;

/// lambda |u|_1 + beta/2 |u|^2, of either sign.
template <Backend B>
using ElasticNet = SeparablePenalty<B, formula::SoftShrinkage>;

}  // namespace detrame::inline DETRAME_ABI
