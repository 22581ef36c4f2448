// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "detrame/metric/concept.hpp"
#include "detrame/metric/entries.hpp"
#include "detrame/prox/per_sample.hpp"
#include "detrame/prox/status.hpp"
#include "detrame/prox/watch.hpp"

namespace detrame::inline DETRAME_ABI {

namespace detail {

/// V = Q (U - Z) on the columns of a chunk, all k x n.
template <Metric M, class Lane, class ConstView, class View>
void metric_gradient(Lane& lane, M const& Q, ConstView U, ConstView Z, View V) {
  View const E = lane.scratch(U.rows(), U.cols());  // k x n
  each(lane, formula::StoreDifference{}, E, U, Z);
  Q.apply(lane, ConstView(E), V);
}

/// |r|_2 of each sample of a chunk, r the minimum-norm subgradient at U, where V is the gradient of the
/// smooth part less beta u.
template <Backend B, Penalty P>
void subgradient_norms(typename B::Lane& lane, Columns c, PerSample<B>& samples, View<B> out, P const& psi,
                       Input<B> U, Input<B> V) {
  samples.norms(lane, out, c, formula::Subgradient<typename P::Activation>{psi.activation()}, U, V,
                PerRow{psi.lambda()}, PerRow{psi.beta()});
}

/// Refuses a problem whose parts do not fit.
template <Metric M, Penalty P, class ConstView>
void check_problem(char const* who, M const& Q, P const& psi, ConstView Z) {
  if (psi.dim() != Q.dim())
    throw ShapeError(message(who, ": psi has ", psi.dim(), " rows, Q is ", Q.dim(), " x ", Q.dim()));
  if (Z.rows() != Q.dim())
    throw ShapeError(message(who, ": z has ", Z.rows(), " rows, Q is ", Q.dim(), " x ", Q.dim()));
  if (Z.cols() % Q.structure().unit() != 0)
    throw ShapeError(
        message(who, ": z has ", Z.cols(), " columns, must be a multiple of ", Q.structure().unit()));
}

/// The number of the domain of rho that is nearest to 0: where a recursion starts.
template <Penalty P>
typename P::Backend::Scalar nearest_to_0(P const& psi) {
  using Scalar = typename P::Backend::Scalar;
  return psi.activation()(Scalar(0), Scalar(0));
}

/// The smallest entry of a vector, on the host; NaN if any is NaN.
template <Backend B>
typename B::Scalar smallest(B& backend, ConstView<B> v) {
  auto const host = to_host(backend, v);
  auto low = std::numeric_limits<typename B::Scalar>::infinity();
  for (Index i = 0; i < host.rows(); ++i)
    if (!(host(i, 0) >= low)) low = host(i, 0);
  return low;
}

}  // namespace detail

/// The modulus of strong convexity of 1/2 |u - z|_Q^2 + psi(u), from below: lambda_min(Q) + min_i beta_i.
///                                                                                                       (M3)
template <Backend B, Metric M, Penalty P>
typename B::Scalar convexity_modulus(B& backend, M const& Q, P const& psi) {
  return Q.dim() == 0 ? Q.lambda_min() : Q.lambda_min() + detail::smallest<B>(backend, psi.beta());
}

namespace detail {

/// The problem of (M3) as what `Iteration` runs on: V = Q (U - Z), r the minimum-norm subgradient.
///
///   t = p + min(lambda, p),   p = |Q| (|u| + |z|) + beta |u|                                            (U1)
template <Metric M, Penalty P>
class MetricProblem {
 public:
  using Backend = typename M::Backend;
  using B = Backend;
  using Scalar = typename M::Scalar;
  using Lane = typename B::Lane;
  static constexpr bool reach_from_terms = false;

  /// Refuses a problem whose parts do not fit, and a metric without entries.
  MetricProblem(B& backend, char const* who, M const& Q, P const& psi, ConstView<B> Z)
      : Q_(Q), psi_(psi), Z_(Z) {
    check_problem(who, Q, psi, Z);
    Index const k = Q.dim();
    ConstView<B> const weights = entries_of(who, Q);
    resize(backend, magnitudes_, weights.rows(), weights.cols());
    each(backend.lane(), formula::StoreMagnitude{}, View<B>(magnitudes_), weights);
    modulus_ = convexity_modulus(backend, Q, psi);
    auto const sums = to_host(backend, absolute_row_sums(backend, Q)), beta = to_host(backend, psi.beta());
    for (Index i = 0; i < k; ++i)
      slope_ = std::max(slope_, sums(i, 0) + (std::isinf(beta(i, 0)) ? Scalar(0) : beta(i, 0)));
    slope_ *= std::sqrt(static_cast<Scalar>(k * Q.structure().unit()));
  }

  Index rows() const { return Z_.rows(); }
  Scalar start() const { return nearest_to_0(psi_); }
  Batch batch() const { return batch_of(Q_.structure(), Z_.rows(), Z_.cols(), 1); }
  Index working_set() const { return 6 * Z_.rows(); }
  Scalar modulus() const { return modulus_; }

  void evaluate(Lane& lane, Columns c, ConstView<B> U, View<B> V) const {
    metric_gradient(lane, Q_, U, columns(Z_, c), V);
  }

  void residuals(Lane& lane, Columns c, PerSample<B>& samples, View<B> out, ConstView<B> U,
                 ConstView<B> V) const {
    subgradient_norms(lane, c, samples, out, psi_, U, V);
  }

  void terms(Lane& lane, Columns c, PerSample<B>& samples, View<B> out, ConstView<B> U) const {
    auto const frame = lane.frame();
    View<B> const sizes = lane.scratch(U.rows(), U.cols()), p = lane.scratch(U.rows(), U.cols());  // k x n
    each(lane, formula::StoreMagnitudes{}, sizes, U, columns(Z_, c));
    auto const sums = Q_.structure();
    sums.map(lane, sums.prepare(lane, ConstView<B>(magnitudes_), Op::none), ConstView<B>(sizes),
             formula::Store{}, p);
    each(lane, formula::AddScaledMagnitude{}, p, U, PerRow{psi_.beta()});
    samples.norms(lane, out, c, formula::CappedSum{}, ConstView<B>(p), PerRow{psi_.lambda()});
  }

  void given(Lane& lane, Columns c, PerSample<B>& samples, View<B> out) const {
    samples.maxima(lane, out, c, formula::Magnitude{}, columns(Z_, c));
  }

  Scalar rounding() const { return rounding_of<Scalar>(magnitudes_.rows() * Q_.structure().taps()); }
  Scalar slope() const { return slope_; }
  Scalar reach_divisor() const { return modulus_ * std::sqrt(std::numeric_limits<Scalar>::epsilon()); }

 private:
  M const& Q_;
  P const& psi_;
  ConstView<B> Z_;        // k x N
  Matrix<B> magnitudes_;  // |Q|, in the layout of its structure
  Scalar modulus_, slope_ = Scalar(0);
};

/// Refuses a u that is not of the shape of z.
template <class V>
void check_same_shape(char const* who, V const& U, V const& Z) {
  if (U.rows() != Z.rows() || U.cols() != Z.cols())
    throw ShapeError(
        message(who, ": u is ", U.rows(), " x ", U.cols(), ", z is ", Z.rows(), " x ", Z.cols()));
}

}  // namespace detail

/// The length of the minimum-norm subgradient of each sample's problem at u, in the units of Q z: how far u
/// is from optimal.                                                                                      (C4)
///
///   r = argmin |r|_2 over the subgradients r of  1/2 <u - z, Q (u - z)> + psi(u)
///   with g = Q (u - z) + beta u, of shrinkages:   r_i = g_i + lambda_i sign(u_i) where u_i != 0; where
///   u_i = 0, r_i = min(g_i + lambda_i, 0) for psi with u >= 0, and soft thresholding of g_i by lambda_i
///   else; of any other penalty r_i = A.subgradient(u_i, g_i, lambda_i)                                  (M9)
///
/// Shapes    z, u: k x N, u in the domain of psi. The result: |r|_2 of each column, 1 x N; for a
///           convolutional metric of each image, 1 x images.
/// Ensures   |u - u_star|_2 <= |r|_2 / convexity_modulus(Q, psi) in each sample, up to the rounding of r. No
///           square leaves the range of the scalar.
/// Cost      one product with Q.
/// Tested    tests/prox/metric_prox_test.cpp: (C4)
template <Backend B, Metric M, Penalty P>
Matrix<B> subgradient_norm(B& backend, M const& Q, P const& psi, Input<B> z, Input<B> u) {
  ConstView<B> const Z = z, U = u;
  detail::check_problem("subgradient_norm", Q, psi, Z);
  detail::check_same_shape("subgradient_norm", U, Z);
  Matrix<B> r;
  Index const unit = Q.structure().unit();
  detail::PerSample<B> per_sample(backend, unit, Z.cols());
  resize(backend, r, 1, Z.cols() / unit);
  View<B> const row = r;
  each_chunk(backend, batch_of(Q.structure(), Q.dim(), Z.cols(), 1), 4 * Q.dim(),
             [&](typename B::Lane& lane, Columns c) {
               View<B> const V = lane.scratch(Q.dim(), c.count);  // k x n
               detail::metric_gradient(lane, Q, columns(U, c), columns(Z, c), V);
               detail::subgradient_norms(lane, c, per_sample, columns(row, per_sample.samples(c)), psi,
                                         columns(U, c), V);
             });
  return r;
}

/// The same, without unit, as a share of the terms of r at the start: what Until compares and results have.
///                                                                                                       (U1)
///   |r|_2 / |t(0)|_2,   t(0) = p + min(lambda, p),   p = |Q| (|u_0| + |z|) + beta |u_0|,   u_0 = A(0, 0)
///
/// Ensures   the same bits for data in other units, by powers of two; 0 where r = 0.
/// Cost      a product with Q, and one with |Q|.
template <Backend B, Metric M, Penalty P>
Matrix<B> residual(B& backend, M const& Q, P const& psi, Input<B> z, Input<B> u) {
  ConstView<B> const Z = z, U = u;
  detail::MetricProblem<M, P> const problem(backend, "residual", Q, psi, Z);
  detail::check_same_shape("residual", U, Z);
  Matrix<B> r = subgradient_norm(backend, Q, psi, Z, U), start = zeros(backend, Z.rows(), Z.cols());
  if (problem.start() != typename B::Scalar(0))
    each(backend.lane(), formula::Fill<typename B::Scalar>{problem.start()}, View<B>(start));
  detail::PerSample<B> per_sample(backend, problem.batch().unit, Z.cols());
  View<B> const row = r;
  each_chunk(backend, problem.batch(), problem.working_set(), [&](typename B::Lane& lane, Columns c) {
    View<B> const out = columns(row, per_sample.samples(c)), terms = lane.scratch(1, out.cols());
    problem.terms(lane, c, per_sample, terms, columns(ConstView<B>(start), c));
    each(lane, formula::DivideWhereNotZero{}, out, ConstView<B>(terms));
  });
  return r;
}

}  // namespace detrame::inline DETRAME_ABI
