// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "detrame/metric/misuse.hpp"
#include "detrame/metric/tie.hpp"
#include "detrame/operator/spectrum.hpp"
#include "detrame/prox/perron.hpp"
#include "detrame/prox/scheme.hpp"

namespace detrame::inline DETRAME_ABI {

/// What is known of a recursion of the form (20): a metric, and the factor by which an update draws any two
/// points together in it.                                                                                (C1)
template <Backend B>
struct Contraction {
  Matrix<B> S;               ///< k x 1; |v|_S^2 = sum_i s_i v_i^2, over all sites of an image
  typename B::Scalar kappa;  ///< from above
};

namespace detail {

/// Refuses what is not a column of k entries, each > 0 and finite.
template <Backend B>
HostMatrix<typename B::Scalar> positive_vector(B& backend, char const* who, char const* name, ConstView<B> v,
                                               Index k) {
  if (v.rows() != k || v.cols() != 1)
    throw ShapeError(message(who, ": ", name, " is ", v.rows(), " x ", v.cols(), ", must be ", k, " x 1"));
  auto host = to_host(backend, v);
  for (Index i = 0; i < k; ++i)
    if (!(host(i, 0) > 0) || !std::isfinite(host(i, 0)))
      throw DomainError(message(who, ": ", name, "(", i, ") = ", host(i, 0), ", must be > 0 and finite"));
  return host;
}

/// The entries of a column, in double.
template <class Scalar>
std::vector<double> in_double(HostMatrix<Scalar> const& v) {
  std::vector<double> entries;
  for (Index i = 0; i < v.rows(); ++i) entries.push_back(static_cast<double>(v(i, 0)));
  return entries;
}

}  // namespace detail

/// The factor by which an update of the form (20) draws any two points together in the norm of S.        (C1)
///
///   kappa = |S^{1/2} W~ S^{-1/2}|_2,   |v|_S^2 = sum_i s_i v_i^2
///
/// Shapes    S: k x 1, each s_i > 0; W~ any map of R^k, symmetric in S or not.
/// Requires  S of k entries, else ShapeError, each > 0 and finite, else DomainError.
/// Ensures   |A(W~ u + G, b) - A(W~ u' + G, b)|_S <= kappa |u - u'|_S for all u, u', G, b >= 0, both
///           activations; kappa is an upper bound, shown by a Cholesky factor in double, and exceeds the
///           smallest number for which W~ alone does so by rounding, some k eps. NaN gives NaN.
/// Cost      the eigenvalues of a kg x kg matrix for each block; 2 k kg^2 flops on the host.
/// Tested    tests/prox/certificate_test.cpp: (C1)
template <Backend B>
typename B::Scalar contraction_factor(B& backend, Recurrence<B> const& recurrence, Input<B> S) {
  recurrence.check("contraction_factor");
  auto const s =
      detail::in_double(detail::positive_vector<B>(backend, "contraction_factor", "S", S, recurrence.dim()));
  auto const W = to_host(backend, ConstView<B>(recurrence.W_tilde));  // kg x k
  double kappa = 0;
  for (Index g = 0; g < recurrence.structure.groups; ++g)
    detail::raise(kappa,
                  detail::norm_from_above(backend, detail::block_of(W, g, [&](Index i, Index j, double w) {
                                            return std::sqrt(s[static_cast<std::size_t>(i)]) * w /
                                                   std::sqrt(s[static_cast<std::size_t>(j)]);
                                          })));
  return detail::rounded_up<typename B::Scalar>(kappa * (1 + 8 * std::numeric_limits<double>::epsilon()));
}

/// The same of a convolution, for images of every size: norm_bound of its scaled kernel, 4 % above for a 3 x
/// 3 kernel at most, and below 1 where the symbol's norm is, unless that takes too many frequencies to show.
///                                                                                                       (K3)
template <Backend B, class Arithmetic>
typename B::Scalar contraction_factor(B& backend,
                                      Recurrence<B, ConvolutionalBlocksBy<Arithmetic>> const& recurrence,
                                      Input<B> S) {
  recurrence.check("contraction_factor");
  auto left =
      detail::in_double(detail::positive_vector<B>(backend, "contraction_factor", "S", S, recurrence.dim()));
  std::vector<double> right;
  for (double& s : left) {
    s = std::sqrt(s);
    right.push_back(1 / s);
  }
  return norm_bound(backend, recurrence.structure, ConstView<B>(recurrence.W_tilde), left, right);
}

namespace detail {

/// S = Theta + gamma beta of a step; s_i = theta_i where beta_i is infinite, in whose rows no two iterates
/// differ.
template <Backend B, Penalty P>
HostMatrix<typename B::Scalar> step_metric(B& backend, Step<B> const& step, P const& psi) {
  auto const Theta = to_host(backend, ConstView<B>(step.Theta)), beta = to_host(backend, psi.beta());
  return host_matrix<typename B::Scalar>(Theta.rows(), 1, [&](Index i, Index) {
    return std::isinf(beta(i, 0)) ? Theta(i, 0) : Theta(i, 0) + step.gamma * beta(i, 0);
  });
}

/// The recurrence without the columns of W~ that multiply what an infinite beta_i holds at 0.
template <Penalty P, Backend B, class Str>
Recurrence<B, Str> on_free_entries(B& backend, P const& psi, Recurrence<B, Str> const& recurrence) {
  auto const beta = to_host(backend, psi.beta());
  auto const W = to_host(backend, ConstView<B>(recurrence.W_tilde));  // kg x (taps k)
  Index const kg = W.rows(), taps = recurrence.structure.taps();
  return {recurrence.structure,
          to_device(backend,
                    host_matrix<typename B::Scalar>(kg, W.cols(),
                                                    [&](Index i, Index j) {
                                                      Index const of_column = j / (taps * kg) * kg + j % kg;
                                                      return std::isinf(beta(of_column, 0)) ? 0 : W(i, j);
                                                    })),
          recurrence.h, recurrence.b};
}

/// A recursion of the form (20) with its tied parameters, and what is known of it.
template <Backend B, class Str>
struct TiedContraction {
  Recurrence<B, Str> recurrence;
  Contraction<B> known;
};

template <Backend B, Metric M, Penalty P, TiedScheme<M> R>
auto tied_contraction(B& backend, M const& Q, P const& psi, R const& scheme) {
  using Scalar = typename B::Scalar;
  Step<B> const step = scheme.tied_step(backend, Q);
  auto tied = tie(backend, Q, psi, step);
  Matrix<B> S = to_device(backend, step_metric(backend, step, psi));
  // An entry of W~ is rounded to 3 eps of itself and eps / 2 of theta / s <= 1; a row of n entries has a
  // sum of magnitudes of at most sqrt(n) its length.
  double const kappa =
                   static_cast<double>(contraction_factor(backend, on_free_entries(backend, psi, tied), S)),
               n = static_cast<double>(tied.W_tilde.rows() * tied.structure.taps());
  double const rounding =
      4 * static_cast<double>(std::numeric_limits<Scalar>::epsilon()) * (1 + std::sqrt(n) * kappa);
  Scalar const from_above = kappa == 0 ? Scalar(0) : rounded_up<Scalar>(kappa + rounding);
  return TiedContraction<B, decltype(tied.structure)>{std::move(tied), {std::move(S), from_above}};
}
template <Backend B, Metric M, Penalty P, class R>
TiedContraction<B, DenseBlocks> tied_contraction(B&, M const&, P const&, R const&) {
  static_assert(
      never<R>,
      "contraction: only a recursion of the form (20) has a kappa, and bounds that follow from it; for "
      "Gauss-Seidel and FISTA take the residual bound (C4)");
}

}  // namespace detail

/// kappa and S of a recursion. Gauss-Seidel and FISTA are refused when the program is compiled.          (C1)
///
/// Ensures   S = Theta + gamma beta; kappa allows for the rounding of W~. Where beta_i is infinite, u_i is
///           held at 0 and s_i = theta_i: kappa is that of the other rows, for points that are 0 in this one.
template <Backend B, Metric M, Penalty P, class R>
Contraction<B> contraction(B& backend, M const& Q, P const& psi, R const& scheme) {
  return detail::tied_contraction(backend, Q, psi, scheme).known;
}

namespace detail {

/// Whether kappa < 1 is known of a recursion; of none whose S is not a metric, such as where gamma beta
/// overflows.
template <Backend B, Metric M, Penalty P, class R>
bool known_to_contract(B& backend, M const& Q, P const& psi, R const& scheme) {
  auto const S = step_metric(backend, Step<B>(scheme.tied_step(backend, Q)), psi);
  for (Index i = 0; i < S.rows(); ++i)
    if (!(S(i, 0) > 0) || !std::isfinite(S(i, 0))) return false;
  return contraction(backend, Q, psi, scheme).kappa < typename B::Scalar(1);
}

}  // namespace detail

/// kappa and S of free parameters, such as those of a trained layer: S = diag(l_i / r_i).                (C7)
///
///   r, l > 0: right and left Perron vectors of |W~| + delta 1 1^T, block by block, delta small against |W~|;
///   for a convolution |W~| is the sum over its taps, and the block one of channels
///
/// Requires  parts that fit, else ShapeError or DomainError.
/// Ensures   (1) kappa bounds |S^{1/2} W~ S^{-1/2}|_2 from above, for images of every size.
///           (2) kappa <= rho(|W~| + delta 1 1^T) up to rounding and what the power iteration leaves, 1e-6; 0
///               for W~ = 0. NaN gives NaN.
///           (3) the least s_i of a block is 1, so that |v|_2 <= |v|_S.
/// Cost      4 kg^2 flops a step of the power iteration, at most 2000; contraction_factor.
/// Source    docs/maths.md (C7): no symmetry is needed, and none of Q, psi
/// Tested    tests/prox/contraction_test.cpp
template <Backend B, Structure Str>
Contraction<B> contraction(B& backend, Recurrence<B, Str> const& recurrence) {
  using Scalar = typename B::Scalar;
  recurrence.check("contraction");
  Index const k = recurrence.dim();
  auto const M = detail::tap_magnitudes(to_host(backend, ConstView<B>(recurrence.W_tilde)),
                                        recurrence.structure.taps());  // kg x k
  HostMatrix<Scalar> S(k, 1);
  for (Index g = 0; g < recurrence.structure.groups; ++g) {
    auto const s = detail::perron_scaling(detail::block_of(M, g, [](Index, Index, double m) { return m; }));
    for (std::size_t i = 0; i < s.size(); ++i)
      S(g * M.rows() + static_cast<Index>(i), 0) = static_cast<Scalar>(s[i]);
  }
  Matrix<B> S_device = to_device(backend, S);
  Scalar const kappa = contraction_factor(backend, recurrence, S_device);
  return {std::move(S_device), kappa};
}

template <detail::NoBackend B, class... Rest>
auto contraction(B const&, Rest const&...) {
  return detail::explain<B>();
}

}  // namespace detrame::inline DETRAME_ABI
