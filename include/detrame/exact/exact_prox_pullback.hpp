// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "detrame/exact/code_rows.hpp"
#include "detrame/exact/images.hpp"
#include "detrame/exact/metric_images.hpp"
#include "detrame/exact/report.hpp"
#include "detrame/exact/scaling.hpp"
#include "detrame/exact/support_factor.hpp"
#include "detrame/exact/support_solve.hpp"
#include "detrame/metric/entries.hpp"

namespace detrame::inline DETRAME_ABI {

namespace exact {

/// v and z_bar = Q v of one diagonal block and one column a task. weights: Q as the caller's, Q: in range.
template <class Activation>
struct MetricAdjoint {
  FactorOnSupport<Activation> solve;

  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index task, Scalar* scratch,
                                      MatrixView<Scalar const> Q, MatrixView<Scalar const> beta,
                                      MatrixView<Scalar const> lambda, MatrixView<Scalar const> u,
                                      MatrixView<Scalar const> u_bar, MatrixView<Scalar const> weights,
                                      MatrixView<Scalar const> slots, MatrixView<Scalar const> sizes,
                                      MatrixView<Scalar> v, MatrixView<Scalar> z_bar) const {
    Index const n = Q.rows(), blocks = Q.cols() / n, b = task % blocks, j = task / blocks;
    auto const cut = [=](auto matrix) { return matrix.middle_rows(b * n, n).middle_cols(j, 1); };
    MatrixView<Scalar> const v_b = cut(v);
    Support const support = solve(team, Q.middle_cols(b * n, n), scratch, beta.middle_rows(b * n, n),
                                  lambda.middle_rows(b * n, n), cut(u), cut(u_bar), v_b,
                                  KeptFactors<Scalar const>{slots, sizes}.block(b), j);
    Scalar* const y = &z_bar(b * n, j);
    team.each(n, [=](Index i) { y[i] = Scalar(0); });
    add_members(
        team, weights.middle_cols(b * n, n), support, [=](Index p) { return v_b(support.member[p], 0); }, y);
  }
};

/// M = sum_j (u_j - z_j) v_j^T on the diagonal blocks, and the cotangents of the penalty; one task a few
/// columns of M.
template <class Activation>
struct MetricGradient {
  Activation activation;

  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index group, Scalar*, MatrixView<Scalar const> z,
                                      MatrixView<Scalar const> u, MatrixView<Scalar const> v,
                                      MatrixView<Scalar> M, MatrixView<Scalar> lambda_bar,
                                      MatrixView<Scalar> beta_bar) const {
    Index const n = M.rows();
    CodeRows<Activation, Team> rows(activation, u, v, group);
    for (Index c = rows.first(); c < rows.first() + rows.count(); ++c)
      team.each(n, [=](Index i) { M(i, c) = Scalar(0); });
    rows.visit([=](Index c, Index j, Scalar, Scalar v_c) {
      Index const top = c / n * n;
      Scalar const *const u_j = &u(top, j), *const z_j = &z(top, j);
      Scalar* const M_c = &M(0, c);
      team.each(n, [=](Index i) { M_c[i] += (u_j[i] - z_j[i]) * v_c; });
    });
    rows.put_penalty(team, lambda_bar, beta_bar);
  }
};

/// A <- -1/2 (A + A^T) on diagonal blocks side by side; one task a column, which has its part of the row too.
struct MinusSymmetricPart {
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index c, Scalar*, MatrixView<Scalar> A) const {
    Index const n = A.rows(), first = c / n * n, row = c - first;
    team.each(row + 1, [=](Index i) {
      Scalar const value = Scalar(-0.5) * (A(i, c) + A(row, first + i));
      A(i, c) = value;
      A(row, first + i) = value;
    });
  }
};

/// y = Q x for one image. A kernel of each_column.
template <class Scalar>
struct ImageProduct {
  ConvolutionalBlocks shape;
  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar*, MatrixView<Scalar const> Q,
                                      MatrixView<Scalar const> x, MatrixView<Scalar> y) const {
    MetricImages<Scalar>{{shape}, Q}.multiply(team, &x(0, j), nullptr, &y(0, j));
  }
};

/// Q_bar = -1/2 (v (u - z)^T + (u - z) v^T) summed over the pairs of sites that a weight connects;
/// one task a column.
template <class Scalar>
struct ConvolutionalMetricGradient {
  ConvolutionalBlocks shape;
  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index column, Scalar*, MatrixView<Scalar const> z,
                                      MatrixView<Scalar const> u, MatrixView<Scalar const> v,
                                      MatrixView<Scalar> Q_bar) const {
    Index const kg = Q_bar.rows(), K = shape.kernel, r = (K - 1) / 2, sites = shape.height * shape.width;
    Index const group = column / (kg * K * K), tap = column / kg % (K * K), i = group * kg + column % kg,
                o = group * kg;
    Index const dy = tap / K - r, dx = tap % K - r;
    team.each(kg, [=](Index c) { Q_bar(c, column) = Scalar(0); });
    for (Index s = 0; s < u.cols(); ++s) {
      Index const y = s % sites / shape.width + dy, x = s % shape.width + dx;
      if (y < 0 || y >= shape.height || x < 0 || x >= shape.width) continue;
      Index const t = s + dy * shape.width + dx;
      Scalar const e_i = Scalar(-0.5) * (u(i, t) - z(i, t)), v_i = Scalar(-0.5) * v(i, t);
      team.each(kg,
                [=](Index c) { Q_bar(c, column) += v(o + c, s) * e_i + (u(o + c, s) - z(o + c, s)) * v_i; });
    }
  }
};

}  // namespace exact

/// Cotangents of what exact_prox reads. A result that is used again is not allocated again.
/// Shapes    z_bar: k x N.  Q_bar: as Q.weights(), symmetric.  lambda_bar, beta_bar: k x 1.  v: k x N.
template <Backend B>
struct ExactProxCotangent {
  Matrix<B> z_bar, Q_bar, lambda_bar, beta_bar;
  Matrix<B> v;  ///< the solution of the adjoint system, from which the others follow
};

/// The gradient of <u, u_bar>, u = prox^Q_psi(z), from the solution itself: no iterate is needed.        (A2)
///
///   (Q_AA + diag(beta_A)) v_A = u_bar_A,  v = 0 off A = {i: u_i != 0} (other penalties: M9)
///
///   z_bar = Q v                      Q_bar = -1/2 (v (u - z)^T + (u - z) v^T)
///   lambda_bar = -sign(u) o v        beta_bar = -u o v
///
/// summed over the columns but for z_bar.
///
/// Shapes    z, u, u_bar: k x N.
/// Requires  equal shapes, else ShapeError; u as exact_prox gave it for these arguments, and factors, if any,
///           as it gave them with u.
/// Ensures   all fields are assigned. <Q_bar, dQ> is the derivative in symmetric directions on Q's blocks.
///           Where strict complementarity fails (see exact_margin) the derivative is one-sided, and this one
///           belongs to A as it is. NaN in u gives NaN. Factors change no bit, but where H_AA is at the edge
///           of what working precision calls definite.
/// Cost      |A|^3 / 6 + |A|^2 + 2 kg |A| multiply-adds a column and block of kg rows, with its factor
///           without the first term; k kg a call.
/// Source    docs/maths.md (A2)
/// Tested    tests/exact/implicit_test.cpp, tests/exact/implicit_batch_test.cpp,
///           tests/exact/kept_factors_test.cpp
template <Backend B, ColumnMetric M, Penalty Psi>
void exact_prox_pullback(B& backend, M const& Q, Psi const& psi, Input<B> z, Input<B> u, Input<B> u_bar,
                         ExactProxCotangent<B>& bar, ExactFactors<B> const& factors = {}) {
  ConstView<B> const Z = z, U = u, U_bar = u_bar, weights = entries_of("exact_prox_pullback", Q);
  Index const k = Q.dim(), N = Z.cols(), n = weights.rows();
  if (Z.rows() != k || U.rows() != k || U_bar.rows() != k || psi.dim() != k || U.cols() != N ||
      U_bar.cols() != N)
    throw ShapeError(message("exact_prox_pullback: z is ", Z.rows(), " x ", N, ", u is ", U.rows(), " x ",
                             U.cols(), ", u_bar is ", U_bar.rows(), " x ", U_bar.cols(), ", psi has ",
                             psi.dim(), " rows, Q is ", k, " x ", k));
  exact::require_factors("exact_prox_pullback", factors, k / n, N);
  for (auto* const batch : {&bar.v, &bar.z_bar}) exact::reserve(backend, *batch, k, N);
  for (auto* const column : {&bar.lambda_bar, &bar.beta_bar}) exact::reserve(backend, *column, k, 1);
  exact::reserve(backend, bar.Q_bar, n, k);
  using Activation = typename Psi::Activation;
  using Team = typename B::Team;
  using Solve = exact::FactorOnSupport<Activation>;
  auto const frame = backend.lane().frame();
  exact::ScaledMetric<B> const metric = exact::scaled_blocks<B>(backend, weights);
  exact::EntryWeights<B> const entry(backend, psi.beta(), psi.lambda(), 1, metric.matrix);
  each_column(backend, k / n * N, Solve::template scratch_size<Team>(n),
              exact::MetricAdjoint<Activation>{{psi.activation(), metric.matrix}}, metric.weights, entry.beta,
              entry.lambda, U, U_bar, weights, ConstView<B>(factors.slots), ConstView<B>(factors.sizes),
              View<B>(bar.v), View<B>(bar.z_bar));
  each_column(backend, exact::CodeRows<Activation, Team>::groups(k), 0,
              exact::MetricGradient<Activation>{psi.activation()}, Z, U, ConstView<B>(bar.v),
              View<B>(bar.Q_bar), View<B>(bar.lambda_bar), View<B>(bar.beta_bar));
  each_column(backend, k, 0, exact::MinusSymmetricPart{}, View<B>(bar.Q_bar));
}

/// The same, as a value.
template <Backend B, ColumnMetric M, Penalty Psi>
ExactProxCotangent<B> exact_prox_pullback(B& backend, M const& Q, Psi const& psi, Input<B> z, Input<B> u,
                                          Input<B> u_bar, ExactFactors<B> const& factors = {}) {
  ExactProxCotangent<B> bar;
  exact_prox_pullback(backend, Q, psi, std::move(z), std::move(u), std::move(u_bar), bar, factors);
  return bar;
}

/// The gradient of <u, u_bar>, u = prox^Q_psi(z) in a convolutional metric.                         (A2) (K2)
///
/// As exact_prox_pullback of a metric of columns, an image in place of a column; Q_bar has the layout of
/// Q.weights() and its symmetry.
///
/// Shapes    z, u, u_bar: k x (sites images).
/// Requires  equal shapes, else ShapeError; u as exact_prox gave it for these arguments; `limit` >= 1
///           products with Q for each image, else DomainError.
/// Cost      conjugate gradients on the support of each image.
/// Tested    tests/exact/convolutional_test.cpp
template <Backend B, Penalty Psi>
void exact_prox_pullback(B& backend, ConvolutionalMetric<B> const& Q, Psi const& psi, Input<B> z, Input<B> u,
                         Input<B> u_bar, ExactProxCotangent<B>& bar, Index limit = 5000) {
  using Scalar = typename B::Scalar;
  ConstView<B> const Z = z, U = u, U_bar = u_bar;
  ConvolutionalBlocks const shape = Q.structure();
  Index const k = Q.dim(), sites = shape.unit(), n = k * sites, N = Z.cols();
  require_at_least("exact_prox_pullback", "limit", limit, Index{1});
  if (Z.rows() != k || U.rows() != k || U_bar.rows() != k || psi.dim() != k || U.cols() != N ||
      U_bar.cols() != N || N % sites != 0)
    throw ShapeError(message("exact_prox_pullback: z is ", Z.rows(), " x ", N, ", u is ", U.rows(), " x ",
                             U.cols(), ", u_bar is ", U_bar.rows(), " x ", U_bar.cols(), ", psi has ",
                             psi.dim(), " rows, Q has ", k, " channels and images of ", sites, " sites"));
  for (auto* const batch : {&bar.v, &bar.z_bar}) exact::reserve(backend, *batch, k, N);
  for (auto* const column : {&bar.lambda_bar, &bar.beta_bar}) exact::reserve(backend, *column, k, 1);
  exact::reserve(backend, bar.Q_bar, Q.weights().rows(), Q.weights().cols());
  auto& lane = backend.lane();
  auto const frame = lane.frame();
  exact::ScaledMetric<B> const metric = exact::scaled_kernel<B>(backend, Q.weights());
  exact::EntryWeights<B> const entry(backend, psi.beta(), psi.lambda(), sites, metric.matrix);
  Matrix<B> copy_u, copy_u_bar;
  View<B> const v_image = View<B>(bar.v).reshaped(n, N / sites);
  using Solve = exact::SolveOnSupport<typename Psi::Activation, exact::MetricImages<Scalar>>;
  each_column(backend, N / sites, Solve::products_scratch(n, 0),
              Solve{psi.activation(), {shape, metric.matrix}, limit}, entry.beta, entry.lambda,
              exact::by_image<B>(lane, U, sites, copy_u, backend),
              exact::by_image<B>(lane, U_bar, sites, copy_u_bar, backend), v_image, metric.weights);
  ConstView<B> const v = bar.v;
  each_column(backend, k, 0, exact::PenaltyCotangent<typename Psi::Activation>{psi.activation()}, U, v,
              View<B>(bar.lambda_bar), View<B>(bar.beta_bar));
  each_column(backend, N / sites, 0, exact::ImageProduct<Scalar>{shape}, Q.weights(), ConstView<B>(v_image),
              View<B>(bar.z_bar).reshaped(n, N / sites));
  each_column(backend, Q.weights().cols(), 0, exact::ConvolutionalMetricGradient<Scalar>{shape}, Z, U, v,
              View<B>(bar.Q_bar));
}

/// The same, as a value.
template <Backend B, Penalty Psi>
ExactProxCotangent<B> exact_prox_pullback(B& backend, ConvolutionalMetric<B> const& Q, Psi const& psi,
                                          Input<B> z, Input<B> u, Input<B> u_bar) {
  ExactProxCotangent<B> bar;
  exact_prox_pullback(backend, Q, psi, std::move(z), std::move(u), std::move(u_bar), bar);
  return bar;
}

}  // namespace detrame::inline DETRAME_ABI
