// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/core/window.hpp"
#include "detrame/exact/certificate.hpp"
#include "detrame/exact/convolutional.hpp"
#include "detrame/exact/face_search.hpp"
#include "detrame/exact/implicit_synthesis.hpp"
#include "detrame/exact/support_solve.hpp"

namespace detrame {

/// The data of a synthesis problem whose dictionary is a convolution: each atom, a patch, may stand at every position of
/// a window.                                                                                         (M1) (K4)
///
///   x = D a:  the sum over positions s and atoms o of a(o, s) times atom o at s;   D^T x: a(o, s) = <atom o, patch of x at s>
///
/// Shapes    D: (taps m) x k, a column an atom: m channels of each tap, row by row of the window.  d: k x 1.
///           x: m x (sites images).  a: k x (out_sites images).
/// Requires  a window that fits, alpha > 0, beta >= 0, lambda >= 0; `check` says so.
template <Backend B>
struct ConvolutionalSynthesis {
  using Scalar = typename B::Scalar;

  Window window{};
  typename B::Matrix D;
  Scalar alpha, beta, lambda;
  typename B::Matrix d;

  Index channels() const { return D.rows() / window.taps(); }

  void check(char const* who) const {
    if (!window.fits())
      throw DomainError(message(who, ": a window of ", window.kernel, " x ", window.kernel, " with stride ",
                                window.stride, " and padding ", window.padding, " does not fit images of ",
                                window.height, " x ", window.width));
    if (D.cols() < 1 || D.rows() < 1 || D.rows() % window.taps() != 0)
      throw ShapeError(message(who, ": D is ", D.rows(), " x ", D.cols(),
                               ", must have an atom and a multiple of ", window.taps(), " rows"));
    if (d.rows() != D.cols() || d.cols() != 1)
      throw ShapeError(message(who, ": d is ", d.rows(), " x ", d.cols(), ", D has ", D.cols(), " atoms"));
    if (!(alpha > Scalar(0))) throw DomainError(message(who, ": alpha = ", alpha, ", must be > 0"));
    require_at_least(who, "beta", beta, Scalar(0));
    require_at_least(who, "lambda", lambda, Scalar(0));
  }
};

namespace exact {

/// Patches of one image, m x sites numbers in a row.
template <class Scalar>
struct Patches {
  Window window;
  MatrixView<Scalar const> D;  // (taps m) x k

  DETRAME_HOST_DEVICE Index channels() const { return D.rows() / window.taps(); }
  DETRAME_HOST_DEVICE Index image_size() const { return channels() * window.sites(); }
  DETRAME_HOST_DEVICE Index code_size() const { return D.cols() * window.out_sites(); }

  /// f(place in a patch, place in the image, length): the runs of neighbouring numbers that the patch at position s has
  /// in the image. What is outside has none.
  template <class F>
  DETRAME_HOST_DEVICE void runs(Index s, F&& f) const {
    Index const m = channels(), K = window.kernel;
    Index const top = s / window.out_width() * window.stride - window.padding;
    Index const left = s % window.out_width() * window.stride - window.padding;
    Index const first = left < 0 ? -left : 0, last = left + K > window.width ? window.width - left : K;
    for (Index dy = 0; dy < K; ++dy)
      if (top + dy >= 0 && top + dy < window.height && first < last)
        f((dy * K + first) * m, ((top + dy) * window.width + left + first) * m, (last - first) * m);
  }

  /// a = D^T x. patch: taps m scalars of scratch.
  template <class Team>
  DETRAME_HOST_DEVICE void analyse(Team const& team, Scalar const* x, Scalar* patch, Scalar* a) const {
    auto const self = *this;
    for (Index s = 0; s < window.out_sites(); ++s) {
      take(team, x, s, patch);
      team.each(D.cols(),
                [=](Index o) { a[o + s * self.D.cols()] = dot(&self.D(0, o), patch, self.D.rows()); });
    }
  }

  /// The patch of x at position s, 0 outside the image.
  template <class Team>
  DETRAME_HOST_DEVICE void take(Team const& team, Scalar const* x, Index s, Scalar* patch) const {
    team.each(D.rows(), [=](Index i) { patch[i] = Scalar(0); });
    runs(s, [&](Index p, Index t, Index n) { team.each(n, [=](Index i) { patch[p + i] = x[t + i]; }); });
  }

  /// x = D a.
  template <class Team>
  DETRAME_HOST_DEVICE void synthesise(Team const& team, Scalar const* a, Scalar* patch, Scalar* x) const {
    auto const self = *this;
    team.each(image_size(), [=](Index i) { x[i] = Scalar(0); });
    for (Index s = 0; s < window.out_sites(); ++s) {
      team.each(D.rows(), [=](Index i) { patch[i] = Scalar(0); });
      bool any = false;
      for (Index o = 0; o < D.cols(); ++o) {
        Scalar const weight = a[o + s * D.cols()];
        if (weight == Scalar(0)) continue;
        any = true;
        team.each(D.rows(), [=](Index i) { patch[i] += self.D(i, o) * weight; });
      }
      if (any)
        runs(s, [&](Index p, Index t, Index n) { team.each(n, [=](Index i) { x[t + i] += patch[p + i]; }); });
    }
  }

  /// y = D^T D a. image, patch: scratch.
  template <class Team>
  DETRAME_HOST_DEVICE void gram(Team const& team, Scalar const* a, Scalar* image, Scalar* patch,
                                Scalar* y) const {
    synthesise(team, a, patch, image);
    analyse(team, image, patch, y);
  }

  /// An upper bound of the eigenvalues of D^T D: that of (sum |D_io| over i) over atoms times that over the atoms and
  /// positions which reach a number of the image.
  template <class Team>
  DETRAME_HOST_DEVICE Scalar gram_bound(Team const& team, Scalar* image) const {
    auto const self = *this;
    Scalar const column = team.max(D.cols(), [=](Index o) {
      Scalar sum(0);
      for (Index i = 0; i < self.D.rows(); ++i) sum += std::abs(self.D(i, o));
      return sum;
    });
    team.each(image_size(), [=](Index i) { image[i] = Scalar(0); });
    for (Index s = 0; s < window.out_sites(); ++s)
      runs(s, [&](Index p, Index t, Index n) {
        team.each(n, [=](Index i) {
          Scalar sum(0);
          for (Index o = 0; o < self.D.cols(); ++o) sum += std::abs(self.D(p + i, o));
          image[t + i] += sum;
        });
      });
    return column * team.max(image_size(), [=](Index i) { return image[i]; });
  }
};

/// One image of the synthesis form, and what its certificate reads: the sums of the definition, entry by entry.
template <class Scalar>
struct PatchData {
  Patches<Scalar> patches;
  MatrixView<Scalar const> x;  // (m sites) x 1
  MatrixView<Scalar const> d;  // k x 1
  Scalar alpha, bound;         // bound: of the eigenvalues, and row sums, of D^T D + (alpha + beta) I

  DETRAME_HOST_DEVICE Index scratch_rows() const { return patches.image_size(); }

  /// g = D^T (D u - x) + alpha u + d. E: m sites scalars of scratch.
  template <class Team>
  DETRAME_HOST_DEVICE void gradient(Team const& team, Index, Index, MatrixView<Scalar const> u, Scalar* E,
                                    Scalar* g) const {
    auto const data = *this;
    Window const w = patches.window;
    auto const D = patches.D;
    Index const m = patches.channels(), k = D.cols();
    team.each(patches.image_size(), [=](Index i) {
      Index const c = i % m, y = i / m / w.width, x_col = i / m % w.width;
      Scalar sum = -data.x(i, 0);
      for (Index dy = 0; dy < w.kernel; ++dy)
        for (Index dx = 0; dx < w.kernel; ++dx) {
          Index const row = y + w.padding - dy, col = x_col + w.padding - dx;
          if (row < 0 || col < 0 || row % w.stride != 0 || col % w.stride != 0) continue;
          Index const sy = row / w.stride, sx = col / w.stride;
          if (sy >= w.out_height() || sx >= w.out_width()) continue;
          for (Index o = 0; o < k; ++o)
            sum += D((dy * w.kernel + dx) * m + c, o) * u((sy * w.out_width() + sx) * k + o, 0);
        }
      E[i] = sum;
    });
    team.each(u.rows(), [=](Index j) {
      Index const o = j % k, sy = j / k / w.out_width(), sx = j / k % w.out_width();
      Scalar sum(0);
      for (Index dy = 0; dy < w.kernel; ++dy)
        for (Index dx = 0; dx < w.kernel; ++dx) {
          Index const row = sy * w.stride + dy - w.padding, col = sx * w.stride + dx - w.padding;
          if (row < 0 || row >= w.height || col < 0 || col >= w.width) continue;
          for (Index c = 0; c < m; ++c)
            sum += D((dy * w.kernel + dx) * m + c, o) * E[(row * w.width + col) * m + c];
        }
      g[j] = sum + data.alpha * u(j, 0) + data.d(o, 0);
    });
  }

  template <class Team>
  DETRAME_HOST_DEVICE Scalar magnitude(Team const& team, Index, Scalar const*, Scalar) const {
    auto const data = *this;
    Scalar const column = team.max(patches.D.cols(), [=](Index o) {
      Scalar sum(0);
      for (Index i = 0; i < data.patches.D.rows(); ++i) sum += std::abs(data.patches.D(i, o));
      return sum;
    });
    return column * team.max(x.rows(), [=](Index i) { return std::abs(data.x(i, 0)); }) +
           team.max(d.rows(), [=](Index o) { return std::abs(data.d(o, 0)); });
  }
  template <class Team>
  DETRAME_HOST_DEVICE Scalar point_magnitude(Team const& team, MatrixView<Scalar const> u, Index,
                                             Scalar const*, Scalar) const {
    return bound * team.max(u.rows(), [=](Index i) { return std::abs(u(i, 0)); });
  }
};

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
        Scalar(4) * std::numeric_limits<Scalar>::epsilon() * data.magnitude(team, 0, nullptr, Scalar(0));
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
