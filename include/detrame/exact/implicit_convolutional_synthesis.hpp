// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/convolutional_synthesis.hpp"
#include "detrame/exact/implicit_synthesis.hpp"
#include "detrame/exact/support_solve.hpp"

namespace detrame {

namespace exact {

/// (D_A^T D_A + (alpha + beta) I) v_A = u_bar_A for one image, then X_bar = D v and E = x - D u.
template <class Scalar>
struct PatchImplicitSolve {
  Window window;
  Scalar s;
  Index limit;

  static constexpr Index scratch_size(Index n, Index image, Index patch) {
    return support_solve_scratch(n) + image + patch;
  }

  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar* scratch, MatrixView<Scalar const> D,
                                      MatrixView<Scalar const> X, MatrixView<Scalar const> U,
                                      MatrixView<Scalar const> U_bar, MatrixView<Scalar> V,
                                      MatrixView<Scalar> X_bar, MatrixView<Scalar> E) const {
    Index const n = U.rows();
    Patches<Scalar> const patches{window, D};
    auto const u = U.middle_cols(j, 1), u_bar = U_bar.middle_cols(j, 1), x = X.middle_cols(j, 1);
    auto const v = V.middle_cols(j, 1), e = E.middle_cols(j, 1);
    Scalar *const image = scratch + support_solve_scratch(n), *const patch = image + patches.image_size();
    Scalar const shift = s;
    support_solve(team, u, u_bar, v, limit, scratch, [&](Scalar const* a, Scalar* y) {
      patches.gram(team, a, image, patch, y);
      team.each(n, [=](Index i) { y[i] += shift * a[i]; });
    });
    patches.synthesise(team, &V(0, j), patch, &X_bar(0, j));
    patches.synthesise(team, &U(0, j), patch, &E(0, j));
    team.each(e.rows(), [=](Index i) { e(i, 0) = x(i, 0) - e(i, 0); });
  }
};

/// D_bar = sum over images and positions of (patch of E) v^T - (patch of D v) u^T; one task an atom.
template <class Scalar>
struct PatchDictionaryGradient {
  Window window;

  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index o, Scalar*, MatrixView<Scalar const> E,
                                      MatrixView<Scalar const> Dv, MatrixView<Scalar const> U,
                                      MatrixView<Scalar const> V, MatrixView<Scalar> D_bar,
                                      MatrixView<Scalar> d_bar) const {
    Index const k = D_bar.cols();
    Patches<Scalar> const patches{window, MatrixView<Scalar const>(D_bar)};
    team.each(D_bar.rows(), [=](Index i) { D_bar(i, o) = Scalar(0); });
    Scalar total(0);
    for (Index j = 0; j < U.cols(); ++j)
      for (Index s = 0; s < window.out_sites(); ++s) {
        Scalar const u = U(o + s * k, j), v = V(o + s * k, j);
        total += v;
        if (u == Scalar(0)) continue;
        patches.runs(s, [&](Index p, Index t, Index n) {
          team.each(n, [=](Index i) { D_bar(p + i, o) += E(t + i, j) * v - Dv(t + i, j) * u; });
        });
      }
    team.once([=] { d_bar(o, 0) = -total; });
  }
};

}  // namespace exact

/// The gradient of <u, u_bar>, u the exact code of the convolutional synthesis problem.                (A3) (K4)
///
/// As exact_synthesis_pullback of a dense dictionary, an image in place of a column.
///
/// Shapes    X: m x (sites images).  u, u_bar: k x (out_sites images).  bar.D_bar: as D.
/// Requires  sizes that agree, else ShapeError; u as exact_synthesis gave it for these arguments.
/// Ensures   as there.
/// Cost      conjugate gradients on the support of each image, at most `limit` steps.
/// Tested    tests/exact/convolutional_synthesis_test.cpp
template <Backend B>
void exact_synthesis_pullback(B& backend, ConvolutionalSynthesis<B> const& synthesis, typename B::Input X,
                              typename B::Input u, typename B::Input u_bar, SynthesisCotangent<B>& bar,
                              Index limit = 5000) {
  using View = typename B::View;
  using ConstView = typename B::ConstView;
  using Scalar = typename B::Scalar;
  ConstView const x = X, U = u, U_bar = u_bar, D = synthesis.D;
  synthesis.check("exact_synthesis_pullback");
  require_at_least("exact_synthesis_pullback", "limit", limit, Index{1});
  Window const w = synthesis.window;
  Index const m = synthesis.channels(), k = D.cols(), n = k * w.out_sites(), images = x.cols() / w.sites();
  if (x.rows() != m || x.cols() % w.sites() != 0 || U.rows() != k || U_bar.rows() != k ||
      U.cols() != images * w.out_sites() || U_bar.cols() != U.cols())
    throw ShapeError(message("exact_synthesis_pullback: X is ", x.rows(), " x ", x.cols(), ", u is ",
                             U.rows(), " x ", U.cols(), ", u_bar is ", U_bar.rows(), " x ", U_bar.cols(),
                             ", D has ", k, " atoms of ", m, " channels"));
  exact::reserve(backend, bar.v, k, U.cols());
  exact::reserve(backend, bar.X_bar, m, x.cols());
  exact::reserve(backend, bar.D_bar, D.rows(), k);
  for (auto* const column : {&bar.d_bar, &bar.lambda_rows, &bar.beta_rows})
    exact::reserve(backend, *column, k, 1);
  for (auto* const number : {&bar.lambda_bar, &bar.alpha_bar, &bar.beta_bar})
    exact::reserve(backend, *number, 1, 1);
  auto& lane = backend.lane();
  auto const frame = lane.frame();
  View const E = lane.scratch(m * w.sites(), images);
  typename B::Matrix copy_x, copy_u, copy_u_bar;
  ConstView const u_image = exact::by_image<B>(lane, U, w.out_sites(), copy_u, backend);
  View const v_image = View(bar.v).reshaped(n, images), Dv = View(bar.X_bar).reshaped(m * w.sites(), images);
  each_column(backend, images, exact::PatchImplicitSolve<Scalar>::scratch_size(n, m * w.sites(), D.rows()),
              exact::PatchImplicitSolve<Scalar>{w, synthesis.alpha + synthesis.beta, limit}, D,
              exact::by_image<B>(lane, x, w.sites(), copy_x, backend), u_image,
              exact::by_image<B>(lane, U_bar, w.out_sites(), copy_u_bar, backend), v_image, Dv, E);
  each_column(backend, k, 0, exact::PatchDictionaryGradient<Scalar>{w}, ConstView(E), ConstView(Dv), u_image,
              ConstView(v_image), View(bar.D_bar), View(bar.d_bar));
  each_column(backend, k, 0, exact::PenaltyCotangent{}, U, ConstView(bar.v), View(bar.lambda_rows),
              View(bar.beta_rows));
  each_column(backend, 1, 0, exact::Total{}, ConstView(bar.lambda_rows), View(bar.lambda_bar));
  each_column(backend, 1, 0, exact::Total{}, ConstView(bar.beta_rows), View(bar.beta_bar));
  each_column(backend, 1, 0, exact::Total{}, ConstView(bar.beta_rows), View(bar.alpha_bar));
}

}  // namespace detrame
