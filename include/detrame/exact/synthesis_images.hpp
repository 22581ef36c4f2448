// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/core/window.hpp"
#include "detrame/exact/problem.hpp"

namespace detrame::exact {

/// Patches of one image, m x sites numbers in a row.
template <class Scalar>
struct Patches {
  Window window;
  MatrixView<Scalar const> D;  // (taps m) x k

  DETRAME_HOST_DEVICE Index channels() const { return D.rows() / window.taps(); }
  DETRAME_HOST_DEVICE Index image_size() const { return channels() * window.sites(); }
  DETRAME_HOST_DEVICE Index code_size() const { return D.cols() * window.out_sites(); }

  /// f(place in a patch, place in the image, length): the runs of neighbouring numbers that the patch at
  /// position s has in the image. What is outside has none.
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

  /// An upper bound of the eigenvalues of D^T D: that of (sum |D_io| over i) over atoms times that over the
  /// atoms and positions which reach a number of the image.
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

/// Images of the synthesis form with atoms at every position of a window: r = D^T x - d.            (M1) (K4)
template <class Scalar>
struct SynthesisImages {
  struct Numbers {
    Window window;
    Scalar alpha;
  };
  Numbers numbers;
  MatrixView<Scalar const> D;    // (taps m) x k
  MatrixView<Scalar const> d{};  // k x 1
  MatrixView<Scalar const> x{};  // (m sites) x images
  Scalar bound = 0;

  DETRAME_HOST_DEVICE Patches<Scalar> patches() const { return {numbers.window, D}; }
  DETRAME_HOST_DEVICE static constexpr Index blocks() { return 1; }
  DETRAME_HOST_DEVICE SynthesisImages block(Index) const { return *this; }
  template <class Team>
  DETRAME_HOST_DEVICE static constexpr Index width(Team const&) {
    return 1;
  }
  /// An image, and a patch.
  DETRAME_HOST_DEVICE Index scratch_rows() const { return patches().image_size() + D.rows(); }

  template <class Team>
  DETRAME_HOST_DEVICE void prepare(Team const& team, MatrixView<Scalar const> beta, Scalar* image) {
    bound = patches().gram_bound(team, image) + numbers.alpha + beta(0, 0);
  }

  template <class Team>
  DETRAME_HOST_DEVICE void linear(Team const& team, Index j, Scalar* V, Scalar* r) const {
    auto const data = *this;
    patches().analyse(team, &x(0, j), V, r);
    team.each(patches().code_size(), [=](Index i) { r[i] -= data.d(i % data.d.rows(), 0); });
  }

  /// y = D^T D a + alpha a
  template <class Team>
  DETRAME_HOST_DEVICE void multiply(Team const& team, Scalar const* a, Scalar* V, Scalar* y) const {
    Scalar const alpha = numbers.alpha;
    patches().gram(team, a, V, V + patches().image_size(), y);
    team.each(patches().code_size(), [=](Index i) { y[i] += alpha * a[i]; });
  }

  /// g = D^T (D u - x) + alpha u + d. E: m sites scalars of scratch.
  template <class Team>
  DETRAME_HOST_DEVICE void gradient(Team const& team, Index j, Index, MatrixView<Scalar const> u, Scalar* E,
                                    Scalar* g) const {
    auto const data = *this;
    Window const w = numbers.window;
    auto const atoms = D;
    Index const m = patches().channels(), k = D.cols();
    team.each(x.rows(), [=](Index i) {
      Index const c = i % m, y = i / m / w.width, x_col = i / m % w.width;
      Scalar sum = -data.x(i, j);
      for (Index dy = 0; dy < w.kernel; ++dy)
        for (Index dx = 0; dx < w.kernel; ++dx) {
          Index const row = y + w.padding - dy, col = x_col + w.padding - dx;
          if (row < 0 || col < 0 || row % w.stride != 0 || col % w.stride != 0) continue;
          Index const sy = row / w.stride, sx = col / w.stride;
          if (sy >= w.out_height() || sx >= w.out_width()) continue;
          for (Index o = 0; o < k; ++o)
            sum += atoms((dy * w.kernel + dx) * m + c, o) * u((sy * w.out_width() + sx) * k + o, j);
        }
      E[i] = sum;
    });
    team.each(u.rows(), [=](Index i) {
      Index const o = i % k, sy = i / k / w.out_width(), sx = i / k % w.out_width();
      Scalar sum(0);
      for (Index dy = 0; dy < w.kernel; ++dy)
        for (Index dx = 0; dx < w.kernel; ++dx) {
          Index const row = sy * w.stride + dy - w.padding, col = sx * w.stride + dx - w.padding;
          if (row < 0 || row >= w.height || col < 0 || col >= w.width) continue;
          for (Index c = 0; c < m; ++c)
            sum += atoms((dy * w.kernel + dx) * m + c, o) * E[(row * w.width + col) * m + c];
        }
      g[i] = sum + data.numbers.alpha * u(i, j) + data.d(o, 0);
    });
  }

  template <class Team>
  DETRAME_HOST_DEVICE Scalar linear_terms(Team const& team, Index j) const {
    auto const data = *this;
    Scalar const column = team.max(D.cols(), [=](Index o) {
      Scalar sum(0);
      for (Index i = 0; i < data.D.rows(); ++i) sum += std::abs(data.D(i, o));
      return sum;
    });
    return column * team.max(x.rows(), [=](Index i) { return std::abs(data.x(i, j)); }) +
           team.max(d.rows(), [=](Index o) { return std::abs(data.d(o, 0)); });
  }
  template <class Team>
  DETRAME_HOST_DEVICE Scalar product_terms(Team const& team, MatrixView<Scalar const> u, Index j) const {
    return bound * team.max(u.rows(), [=](Index i) { return std::abs(u(i, j)); });
  }
};

}  // namespace detrame::exact
