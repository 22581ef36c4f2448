// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "detrame/exact/column_solver.hpp"
#include "detrame/exact/images.hpp"
#include "detrame/exact/metric_columns.hpp"
#include "detrame/exact/metric_images.hpp"
#include "detrame/exact/search_faces.hpp"
#include "detrame/metric/entries.hpp"
#include "detrame/metric/misuse.hpp"

namespace detrame::inline DETRAME_ABI {

namespace exact {

/// What the columns of a metric problem share, Q of blocks side by side; views of the lane's scratch, and of
/// what is given.
template <Backend B>
SharedColumns<B> shared_by_metric(B& backend, ConstView<B> Q, typename B::Scalar lambda_min,
                                  ConstView<B> beta, ConstView<B> lambda) {
  ScaledMetric<B> const metric = scaled_blocks<B>(backend, Q);
  EntryWeights<B> const entry(backend, beta, lambda, 1, metric.matrix);
  View<B> const roots = backend.lane().scratch(Q.cols(), 1);
  each_column(backend, Q.cols(), 0, DiagonalRoots{}, metric.weights, roots);
  return {.lambda_min = lambda_min,
          .curvature = beta,
          .matrix = metric.matrix,
          .lengths = roots,
          .Q = metric.weights,
          .beta = entry.beta,
          .lambda = entry.lambda};
}

/// The proximity operator at columns that share Q. z: k x N.
template <Backend B, class Activation>
void solve_metric(B& backend, char const* who, Activation activation, SharedColumns<B> const& shared,
                  ConstView<B> z, ExactOptions options, ExactResult<B>& result) {
  using Form = MetricColumns<typename B::Scalar>;
  solve_columns<Form>(backend, who, activation, shared, z.cols(), options, result, {shared.matrix},
                      Form::scratch_rows(shared.Q.rows()), shared.Q, z, shared.lengths);
}

}  // namespace exact

/// The exact proximity operator of psi in the metric Q: one strictly convex problem per column of z.    (M3)
///
///   prox^Q_psi(z) = argmin_u  1/2 <u - z, Q (u - z)> + psi(u)
///
/// Shapes    Q: k x k.  z, u: k x N, a column a sample.
/// Requires  z.rows() == psi.dim() == Q.dim(), and a guess of the shape of z where one is used, else
///           ShapeError; pivot_limit >= 0, else DomainError. What is said of Q and psi is ensured by their
///           types.
/// Ensures   (1) u >= 0 exactly where psi says so.
///           (2) residual, subgradient, bound as ExactResult says, from z, Q and u as returned, by loops that
///               the solver does not use.
///           (3) status `optimal` if and only if in every column |s_i| <= c eps t_i for every i, s and t as
///               there and c(k) of (U5): in the unit of each entry, so in any unit of the data. Any other
///               status comes with the residual that was reached.
///           (4) u = 0 exactly where Q z <= lambda up to its rounding (|Q z| <= lambda for signed penalties),
///               and
///               where lambda_i or beta_i is infinite.                                                   (M8)
///           (5) a column of z that is not finite gives a column of NaN (in its block) and `not_finite`; the
///               others are as without it.
///           (6) the bits of a column depend neither on the other columns nor on the number of threads.
///           (7) powers of two times Q, beta, lambda, or times z, lambda, change no bit but those of the
///               unit;
///               data beyond the range of products are brought into it, or give `not_finite`.            (U4)
///           (8) N = 0 returns at once, optimal with residual 0. A result that is used again is not allocated
///               again.
/// Adjoint   exact_prox_pullback (A2)
/// Cost      on a CPU, a column whose support A has up to 48 members: k^2 multiply-adds for the certificate,
///           as many in float for Q z, k |A| a round and 2 |A|^2 an exchange of the search, |A|^3 / 6 for the
///           factor. Else 12 k^2 more, in float, for the guess, k^2 for Q z, and k |A| a pivot. Once a call
///           k^2 floats; scratch k^2 / 2 scalars a thread. With a penalty that is no Shrinkage: products
///           with Q, which `pivots` counts, more of them the larger its condition number; no factors.
/// Source    docs/maths.md (M3), (C4); the search for the support in exact/support_search.hpp, pivoting.hpp.
/// Tested    tests/exact/active_set_test.cpp, tests/exact/support_set_test.cpp,
///           tests/exact/theorems_test.cpp
template <Backend B, ColumnMetric M, Penalty Psi>
  requires MetricOn<M, B>
void exact_prox(B& backend, M const& Q, Psi const& psi, Input<B> z, ExactResult<B>& result,
                ExactOptions options = {}) {
  ConstView<B> const Z = z, weights = entries_of("exact_prox", Q);
  Index const k = Q.dim();
  if (Z.rows() != k || psi.dim() != k)
    throw ShapeError(
        message("exact_prox: z has ", Z.rows(), " rows, psi has ", psi.dim(), ", Q is ", k, " x ", k));
  auto const frame = backend.lane().frame();
  exact::SharedColumns<B> shared{.lambda_min = Q.lambda_min(), .curvature = psi.beta()};
  if (Z.cols() > 0)
    shared = exact::formed_coarsely<B>(
        backend, exact::shared_by_metric<B>(backend, weights, Q.lambda_min(), psi.beta(), psi.lambda()));
  exact::solve_metric(backend, "exact_prox", psi.activation(), shared, Z, options, result);
}

/// The same, as a value.
template <Backend B, ColumnMetric M, Penalty Psi>
  requires MetricOn<M, B>
ExactResult<B> exact_prox(B& backend, M const& Q, Psi const& psi, Input<B> z, ExactOptions options = {}) {
  ExactResult<B> result;
  exact_prox(backend, Q, psi, std::move(z), result, options);
  return result;
}

/// The exact proximity operator of psi in a convolutional metric: one strictly convex problem per image. (M3)
///
///   prox^Q_psi(z) = argmin_u  1/2 <u - z, Q (u - z)> + psi(u)
///
/// Shapes    Q: a convolution of k channels.  z, u: k x (sites images).  In the result, "column" is an image.
/// Requires  z of k rows and whole images, psi of k rows, and a guess of the shape of z where one is used,
///           else ShapeError; pivot_limit >= 0, else DomainError.
/// Ensures   (1) u >= 0 exactly where psi says so.
///           (2) residual, subgradient, bound as ExactResult says, from z, Q and u as returned, by loops that
///               neither the solver nor the recursions use.
///           (3) status `optimal` if and only if for every image |s_i| <= c eps t_i for every i, with
///               t = |Q|(|u| + |z|) + beta o |u| + lambda and c of (U5). Any other status comes with the
///               residual reached.
///           (4) the bits of an image depend neither on the other images nor on the number of threads.
///           (5) images = 0 returns at once, optimal with residual 0.
/// Cost      matrix-free: products with Q, of 2 taps k kg flops a site each; `pivots` counts them, and
///           pivot_limit bounds them. Their number grows with the square root of the condition number.
///           Scratch 7 k sites.
/// Source    docs/maths.md (M3), (C4), (K2)
/// Tested    tests/exact/convolutional_test.cpp
template <Backend B, Penalty Psi>
void exact_prox(B& backend, ConvolutionalMetric<B> const& Q, Psi const& psi, Input<B> z,
                ExactResult<B>& result, ExactOptions options = {}) {
  using Scalar = typename B::Scalar;
  using Solver = exact::SearchFaces<typename Psi::Activation>;
  using Form = exact::MetricImages<Scalar>;
  using Solve = exact::OnBlocks<Form, Solver>;
  ConstView<B> const Z = z;
  ConvolutionalBlocks const shape = Q.structure();
  Index const k = Q.dim(), sites = shape.unit(), n = k * sites;
  if (Z.rows() != k || psi.dim() != k || Z.cols() % sites != 0)
    throw ShapeError(message("exact_prox: z is ", Z.rows(), " x ", Z.cols(), ", psi has ", psi.dim(),
                             " rows, Q has ", k, " channels and images of ", sites, " sites"));
  exact::require_no_factors("exact_prox", options);
  bool const warm = exact::prepare(backend, "exact_prox", k, Z.cols(), options, result);
  auto& lane = backend.lane();
  auto const frame = lane.frame();
  exact::ScaledMetric<B> const metric = exact::scaled_kernel<B>(backend, entries_of("exact_prox", Q));
  exact::EntryWeights<B> const entry(backend, psi.beta(), psi.lambda(), sites, metric.matrix);
  Matrix<B> copy;
  View<B> const report = lane.scratch(Index(exact::Report::count), Z.cols() / sites);
  each_column(backend, Z.cols() / sites, Solver::scratch_size(n, Form::scratch_rows(n)),
              Solve{{psi.activation(), warm, options.pivot_limit}, {shape, metric.matrix}}, entry.beta,
              entry.lambda, View<B>(result.u).reshaped(n, Z.cols() / sites), report, metric.weights,
              exact::by_image<B>(lane, Z, sites, copy, backend));
  exact::finish(backend, Q.lambda_min(), psi.beta(), ConstView<B>(report), result);
}

/// The same, as a value.
template <Backend B, Penalty Psi>
ExactResult<B> exact_prox(B& backend, ConvolutionalMetric<B> const& Q, Psi const& psi, Input<B> z,
                          ExactOptions options = {}) {
  ExactResult<B> result;
  exact_prox(backend, Q, psi, std::move(z), result, options);
  return result;
}

template <class B, class M, class P, class... Rest>
  requires detail::Misused<B, M, P>
auto exact_prox(B const&, M const&, P const&, Rest const&...) {
  return detail::explain<B, M, P>();
}

}  // namespace detrame::inline DETRAME_ABI
