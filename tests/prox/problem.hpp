// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/metric/dense_metric.hpp"
#include "detrame/metric/penalty.hpp"
#include "detrame/prox/metric_prox.hpp"
#include "support.hpp"

/// A problem prox^Q_psi(z) in the memory of a backend, with what tests ask of it on the host, in double.
namespace detrame::test {

/// A recursion chosen at run time, so that a test is compiled once for all of them.
enum class By { jacobi, forward_backward, gershgorin, gauss_seidel, fista };
constexpr By safe_schemes[] = {By::forward_backward, By::gershgorin, By::gauss_seidel, By::fista};

template <Backend B, class Activation_>
struct Problem {
  using Activation = Activation_;
  using Backend = B;
  using Scalar = typename B::Scalar;

  B& b;
  HostMatrix<double> Q_host, z_host;
  double lambda, beta;
  DenseMetric<B> Q;
  SeparablePenalty<B, Activation_> psi;
  Matrix<B> z;

  Problem(B& backend, HostMatrix<double> const& Q_, HostMatrix<double> const& z_, double lambda_,
          double beta_)
      : b(backend),
        Q_host(Q_),
        z_host(z_),
        lambda(lambda_),
        beta(beta_),
        Q(backend, to_device(backend, rounded<Scalar>(Q_))),
        psi(backend, Q_.rows(), static_cast<Scalar>(lambda_), static_cast<Scalar>(beta_)),
        z(to_device(backend, rounded<Scalar>(z_))) {}

  Index k() const { return Q_host.rows(); }
  Index N() const { return z_host.cols(); }

  ProxResult<B> solve(By scheme, Until const& until = {}) const { return solve(Q, scheme, until); }

  /// In another metric; forward-backward with a step that is safe for any Q: theta_i / k <= q_ii / trace.
  template <Metric M>
  ProxResult<B> solve(M const& metric, By scheme, Until const& until) const {
    switch (scheme) {
      case By::jacobi: return metric_prox(b, metric, psi, z, Jacobi{}, until);
      case By::forward_backward:
        return metric_prox(b, metric, psi, z, ForwardBackward{1.9 / static_cast<double>(k())}, until);
      case By::gershgorin: return metric_prox(b, metric, psi, z, Gershgorin{}, until);
      case By::gauss_seidel: return metric_prox(b, metric, psi, z, GaussSeidel{}, until);
      case By::fista: break;
    }
    return metric_prox(b, metric, psi, z, Fista{}, until);
  }

  HostMatrix<double> on_host(Matrix<B> const& u) const {
    return rounded<double>(to_host(b, ConstView<B>(u)));
  }

  /// The largest |t(0)|_2 of a column: what a share of it that `Until` asks for, or a result reports, is in
  /// the units of Q z.                                                                                   (U1)
  double terms() const {
    double largest = 0;
    for (Index j = 0; j < N(); ++j) {
      double square = 0;
      for (Index i = 0; i < k(); ++i) {
        double p_i = 0;
        for (Index l = 0; l < k(); ++l) p_i += std::abs(Q_host(i, l) * z_host(l, j));
        square += (p_i + std::min(lambda, p_i)) * (p_i + std::min(lambda, p_i));
      }
      largest = std::max(largest, std::sqrt(square));
    }
    return largest;
  }

  /// |r|_2 that is small beside what a test compares, and can be had.
  static constexpr double reachable = sizeof(Scalar) == 8 ? 1e-12 : 2e-5;

  HostMatrix<double> solution() const {
    Until const until{.tolerance = reachable / terms(), .limit = 20000};
    return on_host(require_converged(solve(By::gauss_seidel, until)));
  }

  /// psi(u), for u in its domain.
  double value(HostMatrix<double> const& u, Index j) const {
    double sum = 0;
    for (Index i = 0; i < k(); ++i) sum += lambda * std::abs(u(i, j)) + beta / 2 * u(i, j) * u(i, j);
    return sum;
  }

  /// Q (u - z)
  HostMatrix<double> gradient(HostMatrix<double> const& u) const {
    return product(Q_host, mapped([](double a, double c) { return a - c; }, u, z_host));
  }
};

/// k = 12, of condition 20, with active and inactive entries in each column.
template <class P>
P medium_problem(typename P::Backend& b, Index N = 9) {
  return {b, definite_matrix<double>(12, 20, seed(200)), normal_matrix<double>(12, N, seed(201)), .15, .05};
}

/// How the signals of gaussian_problem are drawn.
enum class Signals { of_unit_norm, of_30_percent_of_the_atoms };

/// Unit-norm Gaussian atoms, m x k, alpha = beta = .01, lambda = .1, and z = Q^{-1} D^T x: maths.md,
/// section 2.
template <Backend B>
Problem<B, formula::NonnegativeShrinkage> gaussian_problem(B& b, Index m, Index k, Index N, Signals signals,
                                                           std::uint64_t n) {
  using Scalar = typename B::Scalar;
  auto const D = unit_norm_dictionary<double>(m, k, seed(n));
  auto const codes =
      mapped([](double a, double p) { return p < .3 ? std::abs(a) : 0.; },
             normal_matrix<double>(k, N, seed(n + 1)), uniform_matrix<double>(k, N, seed(n + 2)));
  auto const x =
      signals == Signals::of_unit_norm ? unit_norm_dictionary<double>(m, N, seed(n + 3)) : product(D, codes);
  auto Q = product(transposed(D), D);
  for (Index i = 0; i < k; ++i) Q(i, i) += .01;
  Matrix<B> z = zeros(b, k, N);
  REQUIRE(definite_solve(b, to_device(b, rounded<Scalar>(Q)),
                         to_device(b, rounded<Scalar>(product(transposed(D), x))), z));
  return {b, Q, rounded<double>(to_host(b, ConstView<B>(z))), .1, .01};
}

/// maths.md, section 2: k = 3, Q = .1 I + .9 1 1^T, beta = .01, lambda = .1, z = 1. The solution is .96085 1.
template <Backend B, class Activation = formula::NonnegativeShrinkage>
Problem<B, Activation> coherent_problem(B& b) {
  return {b, host_matrix<double>(3, 3, [](Index i, Index j) { return i == j ? 1 : .9; }),
          HostMatrix<double>(3, 1, 1), .1, .01};
}

}  // namespace detrame::test
