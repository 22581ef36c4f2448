// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/backend/formulas.hpp"
#include "detrame/exact/images.hpp"
#include "detrame/exact/metric_columns.hpp"
#include "detrame/exact/metric_images.hpp"
#include "detrame/exact/scaling.hpp"
#include "detrame/exact/synthesis_columns.hpp"
#include "detrame/exact/synthesis_images.hpp"
#include "detrame/metric/convolutional_synthesis.hpp"
#include "detrame/metric/synthesis.hpp"

namespace detrame::inline DETRAME_ABI {

namespace exact {

/// margin_j for the columns of one task, one diagonal block of Q in each row of margin.
template <class Activation>
struct Margin {
  Activation activation;

  template <class Team, Problem<Team> P, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, P problem, Index first, Scalar* scratch,
                                      MatrixView<Scalar const> beta, MatrixView<Scalar const> lambda,
                                      MatrixView<Scalar const> u, MatrixView<Scalar> margin) const {
    Index const n = u.rows(), width = problem.width(team);
    Index const count = u.cols() - first < width ? u.cols() - first : width;
    Scalar *const v = scratch, *const g = v + n * width, *const t = g + n * width,
                  *const known = t + n * width;
    problem.known.find(team, problem, activation, first, count, known);
    load_codes(team, problem, u, first, count, v);
    problem.gradient(team, first, count, beta, v, known + width, g, t);
    for (Index c = 0; c < count; ++c) {
      Index const j = first + c;
      Powers const by = problem.powers(team, j);
      Activation const rule = activation;
      Scalar const nearest = team.max(
          n,
          [=](Index i) {  // the largest of -margin: a maximum keeps NaN
            Scalar const at = u(i, j), weight = scaled(lambda(i, 0), by.weights);
            Scalar const distance = rule.margin(at, g[i + c * n], weight);
            return -scaled(distance, formula::held(rule, at, weight) ? -by.weights : 0);
          },
          -limits::infinity<Scalar>);
      team.once([=] { margin(0, j) = -nearest; });
    }
  }

  static constexpr Index scratch_size(Index n, Index problem_rows, Index width) {
    return (3 * n + problem_rows + 1) * width;
  }
};

/// out_j = the smallest entry of column j, NaN if one is. A kernel of each_column.
struct SmallestOfColumn {
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar*, MatrixView<Scalar const> A,
                                      MatrixView<Scalar> out) const {
    Scalar least = A(0, j);
    for (Index i = 1; i < A.rows(); ++i) least = A(i, j) < least || A(i, j) != A(i, j) ? A(i, j) : least;
    team.once([=] { out(0, j) = least; });
  }
};

}  // namespace exact

/// How far a solution is from a kink, where its derivative is one-sided.                                (A2)
///
///   margin_j = min_i  |u_i| where u_i != 0,  else lambda_i + g_i (lambda_i - |g_i| for signed penalties)
///              (as A.margin of any penalty says)
///
/// with g = Q (u - z) + beta u in column j. It is 0 where strict complementarity fails: there a derivative of
/// the solution counts i as inactive.
///
/// Shapes    z, u: k x N.  Result: 1 x N.
/// Requires  sizes that agree, else ShapeError; u as exact_prox gave it for these arguments.
/// Ensures   margin >= 0; NaN where z or u has one in the column.
/// Cost      k^2 multiply-adds a column; allocates the result.
/// Tested    tests/exact/implicit_test.cpp
template <Backend B, ColumnMetric M, Penalty Psi>
Matrix<B> exact_margin(B& backend, M const& Q, Psi const& psi, Input<B> z, Input<B> u) {
  using Team = typename B::Team;
  using Measuring = exact::Margin<typename Psi::Activation>;
  using Form = exact::MetricColumns<typename B::Scalar>;
  using Measure = exact::OnBlocks<Form, Measuring>;
  ConstView<B> const Z = z, U = u, weights = entries_of("exact_margin", Q);
  Index const k = Q.dim(), N = Z.cols(), n = weights.rows(), blocks = k / n;
  if (Z.rows() != k || U.rows() != k || psi.dim() != k || U.cols() != N)
    throw ShapeError(message("exact_margin: z is ", Z.rows(), " x ", N, ", u is ", U.rows(), " x ", U.cols(),
                             ", psi has ", psi.dim(), " rows, Q is ", k, " x ", k));
  Matrix<B> out;
  resize(backend, out, 1, N);
  auto const frame = backend.lane().frame();
  View<B> const margins = backend.lane().scratch(blocks, N);
  exact::ScaledMetric<B> const metric = exact::scaled_blocks<B>(backend, weights);
  exact::EntryWeights<B> const entry(backend, psi.beta(), psi.lambda(), 1, metric.matrix);
  each_column(backend, (N + Team::width - 1) / Team::width * blocks,
              Measuring::scratch_size(n, Form::scratch_rows(n), Team::width),
              Measure{{psi.activation()}, {metric.matrix}}, entry.beta, entry.lambda, U, margins,
              metric.weights, Z);
  each_column(backend, N, 0, exact::SmallestOfColumn{}, ConstView<B>(margins), View<B>(out));
  return out;
}

/// The same for exact_synthesis, with g = D^T (D u - x) + d + alpha u + beta u.                         (A3)
/// Shapes    X: m x N.  u: k x N.  Result: 1 x N.
template <Backend B, Penalty Psi>
Matrix<B> exact_margin(B& backend, Synthesis<B> const& synthesis, Psi const& psi, Input<B> X, Input<B> u) {
  using Scalar = typename B::Scalar;
  using Team = typename B::Team;
  using Measuring = exact::Margin<typename Psi::Activation>;
  using Form = exact::SynthesisColumns<Scalar>;
  using Measure = exact::OnBlocks<Form, Measuring>;
  ConstView<B> const x = X, U = u, D = synthesis.D, d = synthesis.d;
  synthesis.check("exact_margin");
  Index const m = D.rows(), k = D.cols(), N = x.cols();
  if (x.rows() != m || U.rows() != k || psi.dim() != k || U.cols() != N)
    throw ShapeError(message("exact_margin: X is ", x.rows(), " x ", N, ", u is ", U.rows(), " x ", U.cols(),
                             ", psi has ", psi.dim(), " rows, D is ", m, " x ", k));
  Matrix<B> out;
  resize(backend, out, 1, N);
  auto const frame = backend.lane().frame();
  exact::ScaledAtoms<B> const atoms(backend, D, synthesis.alpha);
  exact::EntryWeights<B> const entry(backend, psi.beta(), psi.lambda(), 1, atoms.matrix);
  each_column(backend, (N + Team::width - 1) / Team::width,
              Measuring::scratch_size(k, Form::scratch_rows(m, k), Team::width),
              Measure{{psi.activation()}, {atoms.alpha, atoms.matrix}}, entry.beta, entry.lambda, U,
              View<B>(out), atoms.D, d, x, atoms.norms);
  return out;
}

/// The same for images in a convolutional metric. Result: 1 x images.                               (A2) (K2)
/// Shapes    z, u: k x (sites images), else ShapeError.
/// Tested    tests/exact/margin_test.cpp
template <Backend B, Penalty Psi>
Matrix<B> exact_margin(B& backend, ConvolutionalMetric<B> const& Q, Psi const& psi, Input<B> z, Input<B> u) {
  using Measuring = exact::Margin<typename Psi::Activation>;
  using Form = exact::MetricImages<typename B::Scalar>;
  using Measure = exact::OnBlocks<Form, Measuring>;
  ConstView<B> const Z = z, U = u;
  ConvolutionalBlocks const shape = Q.structure();
  Index const k = Q.dim(), sites = shape.unit(), n = k * sites, N = Z.cols();
  if (Z.rows() != k || U.rows() != k || psi.dim() != k || U.cols() != N || N % sites != 0)
    throw ShapeError(message("exact_margin: z is ", Z.rows(), " x ", N, ", u is ", U.rows(), " x ", U.cols(),
                             ", psi has ", psi.dim(), " rows, Q has ", k, " channels and images of ", sites,
                             " sites"));
  Matrix<B> out, copy_z, copy_u;
  resize(backend, out, 1, N / sites);
  auto& lane = backend.lane();
  auto const frame = lane.frame();
  exact::ScaledMetric<B> const metric = exact::scaled_kernel<B>(backend, Q.weights());
  exact::EntryWeights<B> const entry(backend, psi.beta(), psi.lambda(), sites, metric.matrix);
  each_column(backend, N / sites, Measuring::scratch_size(n, Form::scratch_rows(n), 1),
              Measure{{psi.activation()}, {shape, metric.matrix}}, entry.beta, entry.lambda,
              exact::by_image<B>(lane, U, sites, copy_u, backend), View<B>(out), metric.weights,
              exact::by_image<B>(lane, Z, sites, copy_z, backend));
  return out;
}

/// The same for exact_synthesis of images. Result: 1 x images.                                      (A3) (K4)
/// Shapes    X: m x (sites images).  u: k x (out_sites images), else ShapeError.
/// Tested    tests/exact/margin_test.cpp
template <Backend B, Penalty Psi>
Matrix<B> exact_margin(B& backend, ConvolutionalSynthesis<B> const& synthesis, Psi const& psi, Input<B> X,
                       Input<B> u) {
  using Measuring = exact::Margin<typename Psi::Activation>;
  using Form = exact::SynthesisImages<typename B::Scalar>;
  using Measure = exact::OnBlocks<Form, Measuring>;
  ConstView<B> const x = X, U = u, D = synthesis.D, d = synthesis.d;
  synthesis.check("exact_margin");
  Window const w = synthesis.window;
  Index const m = synthesis.channels(), k = D.cols(), n = k * w.out_sites(), images = x.cols() / w.sites();
  if (x.rows() != m || x.cols() % w.sites() != 0 || U.rows() != k || psi.dim() != k ||
      U.cols() != images * w.out_sites())
    throw ShapeError(message("exact_margin: X is ", x.rows(), " x ", x.cols(), ", u is ", U.rows(), " x ",
                             U.cols(), ", psi has ", psi.dim(), " rows, D has ", k, " atoms of ", m,
                             " channels"));
  Matrix<B> out, copy_x, copy_u;
  resize(backend, out, 1, images);
  auto& lane = backend.lane();
  auto const frame = lane.frame();
  exact::ScaledAtoms<B> const atoms(backend, D, synthesis.alpha);
  exact::EntryWeights<B> const entry(backend, psi.beta(), psi.lambda(), w.out_sites(), atoms.matrix);
  each_column(backend, images, Measuring::scratch_size(n, Form::scratch_rows(w, m), 1),
              Measure{{psi.activation()}, {w, atoms.alpha, atoms.matrix}}, entry.beta, entry.lambda,
              exact::by_image<B>(lane, U, w.out_sites(), copy_u, backend), View<B>(out), atoms.D, d,
              exact::by_image<B>(lane, x, w.sites(), copy_x, backend));
  return out;
}

}  // namespace detrame::inline DETRAME_ABI
