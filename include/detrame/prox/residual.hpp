// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <limits>

#include "detrame/metric/concept.hpp"
#include "detrame/prox/per_sample.hpp"
#include "detrame/prox/status.hpp"

namespace detrame {

namespace detail {

/// V = Q (U - Z) on the columns of a chunk, all k x n.
template <Metric M, class Lane, class ConstView, class View>
void metric_gradient(Lane& lane, M const& Q, ConstView U, ConstView Z, View V) {
  View const E = lane.scratch(U.rows(), U.cols());  // k x n
  each(lane, formula::StoreDifference{}, E, U, Z);
  Q.apply(lane, ConstView(E), V);
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

/// The length of the minimum-norm subgradient of each column's problem at u: how far u is from optimal. (C4)
///
///   r = argmin |r|_2 over the subgradients r of  1/2 <u - z, Q (u - z)> + psi(u)
///   with g = Q (u - z) + beta u:   r_i = g_i + lambda_i sign(u_i) where u_i != 0; where u_i = 0,
///   r_i = min(g_i + lambda_i, 0) for psi with u >= 0, and soft thresholding of g_i by lambda_i else
///
/// Shapes    z, u: k x N, u in the domain of psi. The result: |r|_2 of each column, 1 x N; of each image, 1 x
///           images, for a convolutional metric.
/// Ensures   |u - u_star|_2 <= |r|_2 / convexity_modulus(Q, psi) in each column, up to the rounding of r.
/// Cost      one product with Q. Squares below the smallest normal number count as 0.
/// Tested    tests/prox/metric_prox_test.cpp: (C4)
template <Backend B, Metric M, Penalty P>
Matrix<B> residual(B& backend, M const& Q, P const& psi, Input<B> z, Input<B> u) {
  ConstView<B> const Z = z, U = u;
  detail::check_problem("residual", Q, psi, Z);
  if (U.rows() != Z.rows() || U.cols() != Z.cols())
    throw ShapeError(
        message("residual: u is ", U.rows(), " x ", U.cols(), ", z is ", Z.rows(), " x ", Z.cols()));
  Matrix<B> r;
  Index const unit = Q.structure().unit();
  detail::PerSample<B> per_sample(backend, unit, Z.cols());
  resize(backend, r, 1, Z.cols() / unit);
  View<B> const row = r;
  each_chunk(backend, Batch{Z.cols(), unit}, 4 * Q.dim(), [&](typename B::Lane& lane, Columns c) {
    View<B> const V = lane.scratch(Q.dim(), c.count);  // k x n
    detail::metric_gradient(lane, Q, columns(U, c), columns(Z, c), V);
    View<B> const out = columns(row, per_sample.samples(c));
    per_sample.sums(lane, out, c, formula::SubgradientSquare<typename P::Activation>{}, columns(U, c),
                    ConstView<B>(V), PerRow{psi.lambda()}, PerRow{psi.beta()});
    each(lane, formula::SquareRoot{}, out);
  });
  return r;
}

}  // namespace detrame
