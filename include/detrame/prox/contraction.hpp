// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <limits>
#include <optional>

#include "detrame/operator/symbol.hpp"
#include "detrame/prox/metric_prox.hpp"

namespace detrame {

namespace detail {

/// diag(left) A_g diag(right) of every block A_g, block after block: f(that block, kg x kg, on the device).
template <Backend B, class Left, class Right, class F>
void each_scaled_block(B& backend, ConstView<B> blocks, Left const& left, Right const& right, F&& f) {
  using Scalar = typename B::Scalar;
  HostMatrix<Scalar> const host = to_host(backend, blocks);  // kg x k
  Index const kg = host.rows();
  for (Index first = 0; first < host.cols(); first += kg)
    f(to_device(backend, host_matrix<Scalar>(kg, kg, [&](Index i, Index j) {
                  return left(first + i) * host(i, first + j) * right(first + j);
                })));
}

/// Refuses what is not a column of k entries, each > 0.
template <Backend B>
HostMatrix<typename B::Scalar> positive_vector(B& backend, char const* who, char const* name, ConstView<B> v,
                                               Index k) {
  if (v.rows() != k || v.cols() != 1)
    throw ShapeError(message(who, ": ", name, " is ", v.rows(), " x ", v.cols(), ", must be ", k, " x 1"));
  auto host = to_host(backend, v);
  for (Index i = 0; i < k; ++i)
    if (!(host(i, 0) > 0))
      throw DomainError(message(who, ": ", name, "(", i, ") = ", host(i, 0), ", must be > 0"));
  return host;
}

}  // namespace detail

/// The factor by which an update of the form (20) draws any two points together in the norm of S.        (C1)
///
///   kappa = |S^{1/2} W~ S^{-1/2}|_2,   |v|_S^2 = sum_i s_i v_i^2
///
/// Shapes    S: k x 1, each s_i > 0; W~ any map of R^k, symmetric in S or not.
/// Requires  S of k entries, else ShapeError, each > 0, else DomainError.
/// Ensures   |A(W~ u + G, b) - A(W~ u' + G, b)|_S <= kappa |u - u'|_S for all u, u', G, b >= 0, both
///           activations; kappa is the smallest number for which W~ alone does so. Up to rounding, k eps. NaN
///           gives NaN.
/// Cost      the eigenvalues of a kg x kg matrix for each block.
/// Tested    tests/prox/certificate_test.cpp: (C1)
template <Backend B>
typename B::Scalar contraction_factor(B& backend, Recurrence<B> const& recurrence, Input<B> S) {
  using Scalar = typename B::Scalar;
  ConstView<B> const W = recurrence.W_tilde;
  auto const s = detail::positive_vector<B>(backend, "contraction_factor", "S", S, W.cols());
  Scalar square(0);
  detail::each_scaled_block<B>(
      backend, W, [&](Index i) { return std::sqrt(s(i, 0)); },
      [&](Index j) { return 1 / std::sqrt(s(j, 0)); },
      [&](Matrix<B> const& A) {
        Matrix<B> AtA = zeros(backend, A.rows(), A.rows());  // kg x kg
        gemm(backend.lane(), 1, ConstView<B>(A), Op::transposed, ConstView<B>(A), Op::none, 0, View<B>(AtA));
        Scalar const largest = symmetric_eigenvalues(backend, ConstView<B>(AtA)).back();
        if (!(largest <= square)) square = largest;
      });
  return std::sqrt(square);
}

/// What is known of a recursion of the form (20) on one problem: its metric and its factor.
template <Backend B>
struct Contraction {
  Matrix<B> S;  ///< k x 1, Theta + gamma beta
  typename B::Scalar kappa;
};

/// The same of a convolution, valid for images of every size: an upper bound, 4 % above for a 3 x 3 kernel.
template <Backend B>
typename B::Scalar contraction_factor(B& backend, Recurrence<B, ConvolutionalBlocks> const& recurrence,
                                      Input<B> S) {
  auto const s = detail::positive_vector<B>(backend, "contraction_factor", "S", S, recurrence.dim());
  std::vector<double> left, right;
  for (Index i = 0; i < recurrence.dim(); ++i) {
    left.push_back(std::sqrt(static_cast<double>(s(i, 0))));
    right.push_back(1 / left.back());
  }
  return norm_bound(backend, recurrence.structure, ConstView<B>(recurrence.W_tilde), left, right);
}

/// kappa and S of a recursion. Gauss-Seidel and FISTA are refused when the program is compiled.          (C1)
template <Backend B, Metric M, Penalty P, class R>
Contraction<B> contraction(B& backend, M const& Q, P const& psi, R const& recursion) {
  static_assert(
      TiedRecursion<R, M>,
      "contraction: only a recursion of the form (20) has a kappa, and bounds that follow from it; for "
      "Gauss-Seidel and FISTA take the residual bound (C4)");
  if constexpr (TiedRecursion<R, M>) {
    using Scalar = typename B::Scalar;
    Step<B> const step = recursion.tied_step(backend, Q);
    auto const Theta = to_host(backend, ConstView<B>(step.Theta)), beta = to_host(backend, psi.beta());
    Matrix<B> S = to_device(backend, host_matrix<Scalar>(Q.dim(), 1, [&](Index i, Index) {
                              return Theta(i, 0) + step.gamma * beta(i, 0);
                            }));
    Scalar const kappa = contraction_factor(backend, tie(backend, Q, psi, step), S);
    return {std::move(S), kappa};
  }
}

/// max over columns of |u|_S, S: k x 1. 0 where there is no column.
template <Backend B>
typename B::Scalar norm(B& backend, Input<B> S, Input<B> u) {
  auto const s = to_host(backend, ConstView<B>(S));
  auto const host = to_host(backend, ConstView<B>(u));  // k x N
  typename B::Scalar largest(0);
  for (Index j = 0; j < host.cols(); ++j) {
    typename B::Scalar square(0);
    for (Index i = 0; i < host.rows(); ++i) square += s(i, 0) * host(i, j) * host(i, j);
    if (!(square <= largest)) largest = square;
  }
  return std::sqrt(largest);
}

/// Before the run: |U_T - U*|_S <= kappa^T / (1 - kappa) |U_1|_S, from U_0 = 0. No bound where kappa >= 1.
///                                                                                                       (C2)
template <class Scalar>
std::optional<Scalar> a_priori_bound(Scalar kappa, std::type_identity_t<Scalar> norm_U_1, Index T) {
  if (!(kappa < Scalar(1))) return std::nullopt;
  return std::pow(kappa, static_cast<Scalar>(T)) / (Scalar(1) - kappa) * norm_U_1;
}

/// The smallest T for which a_priori_bound is at most `tolerance` > 0. None where kappa >= 1.            (C2)
template <class Scalar>
std::optional<Index> steps_for(Scalar kappa, std::type_identity_t<Scalar> norm_U_1,
                               std::type_identity_t<Scalar> tolerance) {
  if (!(tolerance > Scalar(0)))
    throw DomainError(message("steps_for: tolerance = ", tolerance, ", must be > 0"));
  if (!(kappa < Scalar(1)) || !(norm_U_1 - norm_U_1 == Scalar(0))) return std::nullopt;
  Scalar const ratio = tolerance * (Scalar(1) - kappa) / norm_U_1;
  if (!(ratio < Scalar(1))) return Index{0};
  Index T = std::max<Index>(static_cast<Index>(std::log(ratio) / std::log(kappa)) - 1, 0);
  while (*a_priori_bound(kappa, norm_U_1, T) > tolerance) ++T;
  return T;
}

/// After a step: |U_T - U*|_S <= kappa / (1 - kappa) |U_T - U_{T-1}|_S. No bound where kappa >= 1.       (C3)
template <class Scalar>
std::optional<Scalar> a_posteriori_bound(Scalar kappa, std::type_identity_t<Scalar> norm_last_step) {
  if (!(kappa < Scalar(1))) return std::nullopt;
  return kappa / (Scalar(1) - kappa) * norm_last_step;
}

/// The a-priori bound of T updates on a problem, over all columns of z, in the norm of S.                (C2)
/// Gauss-Seidel and FISTA are refused when the program is compiled.
template <Backend B, Metric M, Penalty P, class R>
std::optional<typename B::Scalar> a_priori_bound(B& backend, M const& Q, P const& psi, Input<B> z,
                                                 R const& recursion, Index T) {
  auto const [S, kappa] = contraction(backend, Q, psi, recursion);
  return a_priori_bound(kappa, norm(backend, S, metric_prox(backend, Q, psi, z, recursion, Unroll<1>{}).u),
                        T);
}

/// The number of updates after which that bound is at most `tolerance`.                                  (C2)
template <Backend B, Metric M, Penalty P, class R>
std::optional<Index> steps_for(B& backend, M const& Q, P const& psi, Input<B> z, R const& recursion,
                               typename B::Scalar tolerance) {
  auto const [S, kappa] = contraction(backend, Q, psi, recursion);
  return steps_for(kappa, norm(backend, S, metric_prox(backend, Q, psi, z, recursion, Unroll<1>{}).u),
                   tolerance);
}

}  // namespace detrame
