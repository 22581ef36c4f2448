// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>
#include <utility>

#include "detrame/metric/concept.hpp"

namespace detrame::inline DETRAME_ABI {

/// A penalty with the rule of its Activation, a scalar lambda and beta or one of each per row.    (M1) (M9)
///
///   psi(u) = sum_i lambda_i rho(u_i) + beta_i/2 u_i^2
///
/// Use it by its names NonnegativeElasticNet<B>, ElasticNet<B>, Box<B> and Huber<B>.
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

  SeparablePenalty(B& backend, Index k, Scalar lambda, Scalar beta, Activation const& rule = {})
      : SeparablePenalty(
            (require_rows(k), to_device(backend, HostMatrix<Scalar>(k, 1, at_least_0("lambda", lambda)))),
            to_device(backend, HostMatrix<Scalar>(k, 1, at_least_0("beta", beta))), rule) {}

  SeparablePenalty(B& backend, Kept<B> lambda, Kept<B> beta, Activation const& rule = {})
      : SeparablePenalty(std::move(lambda.matrix), std::move(beta.matrix), rule) {
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
  Activation activation() const { return rule_; }

  /// out_j = psi(u_j). U: k x N. out: 1 x N.
  void value(typename B::Lane& lane, ConstView<B> U, View<B> out) const {
    column_sums(lane, out, formula::PenaltyTerm<Activation>{rule_}, U, PerRow{lambda()}, PerRow{beta()});
  }

 private:
  static constexpr char const* name = Activation::name;

  SeparablePenalty(Matrix<B> lambda, Matrix<B> beta, Activation const& rule)
      : rule_(rule), lambda_(std::move(lambda)), beta_(std::move(beta)) {}

  static void require_rows(Index k) { require_at_least(name, "k", k, Index{1}); }
  static Scalar at_least_0(char const* what, Scalar value) {
    require_at_least(name, what, value, Scalar(0));
    return value;
  }
  static void require_entries(B& backend, char const* what, ConstView<B> v) {
    HostMatrix<Scalar> const host = to_host(backend, v);  // k x 1
    for (Index i = 0; i < host.rows(); ++i) at_least_0(message(what, "(", i, ")").c_str(), host(i, 0));
  }

  Activation rule_;
  Matrix<B> lambda_, beta_;  // k x 1
};

/// lambda |u|_1 + beta/2 |u|^2 + indicator(u >= 0): the paper's penalty.
template <Backend B>
using NonnegativeElasticNet = SeparablePenalty<B, formula::NonnegativeShrinkage>;

/// lambda |u|_1 + beta/2 |u|^2, of either sign.
template <Backend B>
using ElasticNet = SeparablePenalty<B, formula::SoftShrinkage>;

/// The indicator of [low, high] in each row, with beta/2 |u|^2; bounds may be infinite, lambda is 0.     (M9)
///
/// Requires  as SeparablePenalty; low <= high, neither of them NaN, and beta finite where 0 is not within,
///           else DomainError.
/// Tested    tests/exact/penalty_test.cpp
template <Backend B>
class Box : public SeparablePenalty<B, formula::Clamp<typename B::Scalar>> {
  using Base = SeparablePenalty<B, formula::Clamp<typename B::Scalar>>;

 public:
  using Scalar = typename B::Scalar;

  Box(B& backend, Index k, Scalar low, Scalar high, Scalar beta = 0)
      : Base(backend, k, 0, beta, within(low, high)) {
    require_finite(beta);
  }

  Box(B& backend, Scalar low, Scalar high, Kept<B> beta)
      : Base(backend, to_device(backend, HostMatrix<Scalar>(beta.matrix.rows(), 1)), beta,
             within(low, high)) {
    require_finite(max_to_host(backend.lane(), this->beta()));
  }

 private:
  static typename Base::Activation within(Scalar low, Scalar high) {
    constexpr Scalar infinity = std::numeric_limits<Scalar>::infinity();
    if (!(low <= high && low < infinity && high > -infinity))
      throw DomainError(message("Box: [", low, ", ", high, "], must be an interval"));
    return {low + Scalar(0), high + Scalar(0)};  // no -0
  }
  void require_finite(Scalar beta) const {
    if (beta > std::numeric_limits<Scalar>::max() && this->activation().value(Scalar(0)) != Scalar(0))
      throw DomainError(message("Box: beta = ", beta, ", must be finite where 0 is not within the bounds"));
  }
};

/// Huber's penalty: lambda times u^2 / (2 delta) where |u| <= delta, |u| - delta/2 beyond, with
/// beta/2 |u|^2.                                                                                         (M9)
///
/// Requires  as SeparablePenalty; delta > 0 finite and normal, else DomainError.
/// Tested    tests/exact/penalty_test.cpp
template <Backend B>
class Huber : public SeparablePenalty<B, formula::HuberShrinkage<typename B::Scalar>> {
  using Base = SeparablePenalty<B, formula::HuberShrinkage<typename B::Scalar>>;

 public:
  using Scalar = typename B::Scalar;

  Huber(B& backend, Index k, Scalar delta, Scalar lambda, Scalar beta = 0)
      : Base(backend, k, lambda, beta, {normal(delta)}) {}

  Huber(B& backend, Scalar delta, Kept<B> lambda, Kept<B> beta)
      : Base(backend, std::move(lambda), std::move(beta), {normal(delta)}) {}

 private:
  static Scalar normal(Scalar delta) {
    using Limits = std::numeric_limits<Scalar>;
    if (!(delta >= Limits::min() && delta <= Limits::max()))
      throw DomainError(message("Huber: delta = ", delta, ", must be > 0, finite and normal"));
    return delta;
  }
};

}  // namespace detrame::inline DETRAME_ABI
