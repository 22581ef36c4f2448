// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/images.hpp"
#include "detrame/exact/scaling.hpp"
#include "detrame/exact/support_solve.hpp"
#include "detrame/exact/synthesis_cotangent.hpp"
#include "detrame/exact/synthesis_images.hpp"
#include "detrame/metric/convolutional_synthesis.hpp"

namespace detrame::inline DETRAME_ABI::exact {

/// The image of each code, D a. A kernel of each_column.
struct Synthesise {
  Window window;
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar* patch, MatrixView<Scalar const> D,
                                      MatrixView<Scalar const> a, MatrixView<Scalar> x) const {
    Patches<Scalar>{window, D}.synthesise(team, &a(0, j), patch, &x(0, j));
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
        if (u == Scalar(0) && v == Scalar(0)) continue;
        patches.runs(s, [&](Index p, Index t, Index n) {
          team.each(n, [=](Index i) { D_bar(p + i, o) += E(t + i, j) * v - Dv(t + i, j) * u; });
        });
      }
    team.once([=] { d_bar(o, 0) = -total; });
  }
};

/// v and X_bar = D v for images; beta, lambda: k x 1. U, v, X_bar: an image a column.
template <Backend B, class Activation>
void solve_image_adjoint(B& backend, ConvolutionalSynthesis<B> const& synthesis, Activation activation,
                         ConstView<B> beta, ConstView<B> lambda, ConstView<B> U, ConstView<B> U_bar,
                         View<B> v, View<B> X_bar, Index limit) {
  using Scalar = typename B::Scalar;
  using Solve = SolveOnSupport<Activation, SynthesisImages<Scalar>>;
  Window const w = synthesis.window;
  ConstView<B> const D = synthesis.D;
  Index const m = synthesis.channels(), n = D.cols() * w.out_sites(), images = U.cols();
  auto& lane = backend.lane();
  auto const frame = lane.frame();
  ScaledAtoms<B> const atoms(backend, D, synthesis.alpha);
  EntryWeights<B> const entry(backend, beta, lambda, w.out_sites(), atoms.matrix);
  Matrix<B> copy_u_bar;
  each_column(backend, images, Solve::products_scratch(n, SynthesisImages<Scalar>::scratch_rows(w, m)),
              Solve{activation, {w, atoms.alpha, atoms.matrix}, limit}, entry.beta, entry.lambda, U,
              by_image<B>(lane, U_bar, w.out_sites(), copy_u_bar, backend), v, atoms.D);
  each_column(backend, images, D.rows(), Synthesise{w}, D, ConstView<B>(v), X_bar);
}

/// Refuses images and codes that do not fit the problem.
template <Backend B>
void check_images(ConvolutionalSynthesis<B> const& synthesis, ConstView<B> x, ConstView<B> U,
                  ConstView<B> U_bar, Index limit) {
  synthesis.check("exact_synthesis_pullback");
  require_at_least("exact_synthesis_pullback", "limit", limit, Index{1});
  Window const w = synthesis.window;
  Index const m = synthesis.channels(), k = synthesis.D.cols();
  if (x.rows() != m || x.cols() % w.sites() != 0 || U.rows() != k || U_bar.rows() != k ||
      U.cols() != x.cols() / w.sites() * w.out_sites() || U_bar.cols() != U.cols())
    throw ShapeError(message("exact_synthesis_pullback: X is ", x.rows(), " x ", x.cols(), ", u is ",
                             U.rows(), " x ", U.cols(), ", u_bar is ", U_bar.rows(), " x ", U_bar.cols(),
                             ", D has ", k, " atoms of ", m, " channels"));
}

/// The adjoint for images; beta, lambda: k x 1.
template <Backend B, class Activation>
void pull_back_images(B& backend, ConvolutionalSynthesis<B> const& synthesis, Activation activation,
                      ConstView<B> beta, ConstView<B> lambda, Input<B> X, Input<B> u, Input<B> u_bar,
                      SynthesisCotangent<B>& bar, Index limit) {
  using Scalar = typename B::Scalar;
  ConstView<B> const x = X, U = u, U_bar = u_bar, D = synthesis.D;
  check_images<B>(synthesis, x, U, U_bar, limit);
  Window const w = synthesis.window;
  Index const m = synthesis.channels(), k = D.cols(), n = k * w.out_sites(), images = x.cols() / w.sites();
  reserve<B>(backend, bar, D, x, U.cols());
  auto& lane = backend.lane();
  auto const frame = lane.frame();
  View<B> const E = lane.scratch(m * w.sites(), images);
  Matrix<B> copy_x, copy_u;
  ConstView<B> const u_image = by_image<B>(lane, U, w.out_sites(), copy_u, backend);
  ConstView<B> const x_image = by_image<B>(lane, x, w.sites(), copy_x, backend);
  View<B> const v_image = View<B>(bar.v).reshaped(n, images);
  View<B> const Dv = View<B>(bar.X_bar).reshaped(m * w.sites(), images);
  solve_image_adjoint<B>(backend, synthesis, activation, beta, lambda, u_image, U_bar, v_image, Dv, limit);
  each_column(backend, images, D.rows(), Synthesise{w}, D, u_image, E);
  each(lane, formula::StoreDifference{}, E, x_image, ConstView<B>(E));
  each_column(backend, k, 0, PatchDictionaryGradient<Scalar>{w}, ConstView<B>(E), ConstView<B>(Dv), u_image,
              ConstView<B>(v_image), View<B>(bar.D_bar), View<B>(bar.d_bar));
  each_column(backend, k, 0, PenaltyCotangent<Activation>{activation}, U, ConstView<B>(bar.v),
              View<B>(bar.lambda_rows), View<B>(bar.beta_rows));
  add_up_penalty(backend, bar);
}

}  // namespace detrame::inline DETRAME_ABI::exact
