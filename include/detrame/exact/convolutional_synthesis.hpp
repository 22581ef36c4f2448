// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "detrame/exact/certificate.hpp"
#include "detrame/exact/convolutional.hpp"
#include "detrame/exact/face_search.hpp"
#include "detrame/exact/patch_data.hpp"
#include "detrame/metric/convolutional_synthesis.hpp"

namespace detrame {

namespace exact {

/// One task: an image. A kernel of each_column.
template <class Scalar>
struct PatchTask {
  using Activation = formula::NonnegativeShrinkage;
  Window window;
  Scalar alpha;
  bool warm;
  Index limit;

  template <class Team>
  static constexpr Index scratch_size(Index n, Index image, Index patch) {
    return 3 * n + 2 * image + patch + FaceSearch<Activation, Team>::scratch_size(n);
  }

  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar* scratch, MatrixView<Scalar const> D,
                                      MatrixView<Scalar const> d, MatrixView<Scalar const> beta,
                                      MatrixView<Scalar const> lambda, MatrixView<Scalar const> x,
                                      MatrixView<Scalar> u, MatrixView<Scalar> report) const {
    Index const n = u.rows();
    Patches<Scalar> const patches{window, D};
    Index const size = patches.image_size();
    auto const u_j = u.middle_cols(j, 1), report_j = report.middle_cols(j, 1);
    auto const x_j = x.middle_cols(j, 1);
    Scalar *const point = scratch, *const r = point + n, *const g = r + n, *const image = g + n,
                  *const E = image + size, *const patch = E + size, *const rest = patch + D.rows();
    Scalar const shift = alpha;
    bool const from_guess = warm;
    Scalar const bound = patches.gram_bound(team, image) + alpha + beta(0, 0);
    PatchData<Scalar> const data{patches, x_j, d, alpha, bound};
    team.each(n, [=](Index i) { point[i] = from_guess && u_j(i, 0) > Scalar(0) ? u_j(i, 0) : Scalar(0); });
    team.each(size, [=](Index i) { image[i] = x_j(i, 0); });
    patches.analyse(team, image, patch, r);
    team.each(n, [=](Index i) { r[i] -= d(i % d.rows(), 0); });
    Scalar const tolerance =
        Scalar(4) * limits::epsilon<Scalar> * data.magnitude(team, 0, nullptr, Scalar(0));
    FaceSearch<Activation, Team> search(team, n, bound, tolerance, lambda, r, point, rest);
    auto const end = search.run(limit, [&](Scalar const* a, Scalar* y) {
      patches.gram(team, a, image, patch, y);
      team.each(n, [=](Index i) { y[i] += (shift + beta(i, 0)) * a[i]; });
    });
    team.each(n, [=](Index i) {
      u_j(i, 0) = point[i];
      rest[i] = Scalar(0);  // bounds of terms that are not needed here
    });
    enter(team, report_j, 0, end.status, end.products);
    certify<Activation>(team, data, beta, lambda, rest, 0, E, g, u_j, report_j);
  }
};

}  // namespace exact

/// The exact solution of the convolutional synthesis problem, one strictly convex problem an image.      (M1) (K4)
///
///   argmin_{a >= 0}  1/2 |x - D a|^2 + alpha/2 |a|^2 + <d, a> + lambda |a|_1 + beta/2 |a|^2
///
/// Shapes    x: m x (sites images).  result.u: k x (out_sites images); in the result, "column" is an image.
/// Requires  synthesis.check; x of m rows and whole images, and a guess of the code's shape where one is used, else
///           ShapeError; pivot_limit >= 0, else DomainError.
/// Ensures   as exact_prox in a convolutional metric; Q = D^T D + alpha I, whose diagonal varies from site to site, is
///           never formed.
/// Cost      products with D and D^T, of 2 taps m k flops a position each; `pivots` counts the pairs.
/// Source    docs/maths.md (M1), (K4)
/// Tested    tests/exact/convolutional_synthesis_test.cpp
template <Backend B>
void exact_synthesis(B& backend, ConvolutionalSynthesis<B> const& synthesis, typename B::Input X,
                     ExactResult<B>& result, ExactOptions options = {}) {
  using View = typename B::View;
  using ConstView = typename B::ConstView;
  using Scalar = typename B::Scalar;
  ConstView const x = X;
  synthesis.check("exact_synthesis");
  Window const w = synthesis.window;
  Index const m = synthesis.channels(), k = synthesis.D.cols(), n = k * w.out_sites();
  if (x.rows() != m || x.cols() % w.sites() != 0)
    throw ShapeError(message("exact_synthesis: x is ", x.rows(), " x ", x.cols(), ", must have ", m,
                             " rows and images of ", w.sites(), " sites"));
  Index const images = x.cols() / w.sites();
  bool const warm = exact::prepare(backend, "exact_synthesis", k, images * w.out_sites(), options, result);
  auto& lane = backend.lane();
  auto const frame = lane.frame();
  View const beta = lane.scratch(n, 1), lambda = lane.scratch(n, 1);
  each(lane, formula::Fill<Scalar>{synthesis.beta}, beta);
  each(lane, formula::Fill<Scalar>{synthesis.lambda}, lambda);
  typename B::Matrix copy;
  View const report = lane.scratch(Index(exact::Report::count), images);
  each_column(
      backend, images,
      exact::PatchTask<Scalar>::template scratch_size<typename B::Team>(n, m * w.sites(), synthesis.D.rows()),
      exact::PatchTask<Scalar>{w, synthesis.alpha, warm, options.pivot_limit}, ConstView(synthesis.D),
      ConstView(synthesis.d), ConstView(beta), ConstView(lambda),
      exact::by_image<B>(lane, x, w.sites(), copy, backend), View(result.u).reshaped(n, images), report);
  exact::finish(backend, synthesis.alpha, ConstView(beta), ConstView(report), result);
}

/// The same, as a value.
template <Backend B>
ExactResult<B> exact_synthesis(B& backend, ConvolutionalSynthesis<B> const& synthesis, typename B::Input X,
                               ExactOptions options = {}) {
  ExactResult<B> result;
  exact_synthesis(backend, synthesis, std::move(X), result, options);
  return result;
}

}  // namespace detrame
