// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/convolutional.hpp"
#include "detrame/exact/implicit.hpp"
#include "detrame/exact/support_solve.hpp"

namespace detrame {

namespace exact {

/// (H_AA) v_A = u_bar_A, v = 0 off A = {u != 0}, for one image, by conjugate gradients. A kernel of each_column.
template <class Scalar>
struct ImageImplicitSolve {
  ConvolutionalBlocks shape;
  Index limit;

  static constexpr Index scratch_size(Index n) { return support_solve_scratch(n); }

  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar* scratch, MatrixView<Scalar const> Q,
                                      MatrixView<Scalar const> beta, MatrixView<Scalar const> U,
                                      MatrixView<Scalar const> U_bar, MatrixView<Scalar> V) const {
    Index const n = U.rows();
    auto const u = U.middle_cols(j, 1), u_bar = U_bar.middle_cols(j, 1);
    auto const v = V.middle_cols(j, 1);
    ImageData<Scalar> const data{shape, Q, u, Scalar(0)};
    support_solve(team, u, u_bar, v, limit, scratch, [&](Scalar const* x, Scalar* y) {
      data.multiply(team, x, y);
      team.each(n, [=](Index i) { y[i] += beta(i, 0) * x[i]; });
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
    ImageData<Scalar>{shape, Q, x.middle_cols(j, 1), Scalar(0)}.multiply(team, &x(0, j), &y(0, j));
  }
};

/// Q_bar = -1/2 (v (u - z)^T + (u - z) v^T) summed over the pairs of sites that a weight connects; one task a column.
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

/// The gradient of <u, u_bar>, u = prox^Q_psi(z) in a convolutional metric.                            (A2) (K2)
///
/// As exact_prox_pullback of a metric of columns, an image in place of a column; Q_bar has the layout of Q.weights() and
/// its symmetry.
///
/// Shapes    z, u, u_bar: k x (sites images).
/// Requires  equal shapes, else ShapeError; u as exact_prox gave it for these arguments; `limit` >= 1 products with Q for
///           each image, else DomainError.
/// Cost      conjugate gradients on the support of each image.
/// Tested    tests/exact/convolutional_test.cpp
template <Backend B, Penalty Psi>
void exact_prox_pullback(B& backend, ConvolutionalMetric<B> const& Q, Psi const& psi, typename B::Input z,
                         typename B::Input u, typename B::Input u_bar, ExactProxCotangent<B>& bar,
                         Index limit = 5000) {
  using View = typename B::View;
  using ConstView = typename B::ConstView;
  using Scalar = typename B::Scalar;
  ConstView const Z = z, U = u, U_bar = u_bar;
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
  ConstView const beta = exact::per_entry<B>(lane, psi.beta(), sites);
  typename B::Matrix copy_u, copy_u_bar;
  View const v_image = View(bar.v).reshaped(n, N / sites);
  each_column(backend, N / sites, exact::ImageImplicitSolve<Scalar>::scratch_size(n),
              exact::ImageImplicitSolve<Scalar>{shape, limit}, Q.weights(), beta,
              exact::by_image<B>(lane, U, sites, copy_u, backend),
              exact::by_image<B>(lane, U_bar, sites, copy_u_bar, backend), v_image);
  ConstView const v = bar.v;
  each_column(backend, k, 0, exact::PenaltyCotangent{}, U, v, View(bar.lambda_bar), View(bar.beta_bar));
  each_column(backend, N / sites, 0, exact::ImageProduct<Scalar>{shape}, Q.weights(), ConstView(v_image),
              View(bar.z_bar).reshaped(n, N / sites));
  each_column(backend, Q.weights().cols(), 0, exact::ConvolutionalMetricGradient<Scalar>{shape}, Z, U, v,
              View(bar.Q_bar));
}

/// The same, as a value.
template <Backend B, Penalty Psi>
ExactProxCotangent<B> exact_prox_pullback(B& backend, ConvolutionalMetric<B> const& Q, Psi const& psi,
                                          typename B::Input z, typename B::Input u, typename B::Input u_bar) {
  ExactProxCotangent<B> bar;
  exact_prox_pullback(backend, Q, psi, std::move(z), std::move(u), std::move(u_bar), bar);
  return bar;
}

}  // namespace detrame
