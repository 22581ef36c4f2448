// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/core/window.hpp"
#include "detrame/exact/problem.hpp"

namespace detrame::inline DETRAME_ABI::exact {

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

  /// a = D^T x, or |D|^T x. patch: taps m scalars of scratch.
  template <bool magnitudes = false, class Team>
  DETRAME_HOST_DEVICE void analyse(Team const& team, Scalar const* x, Scalar* patch, Scalar* a) const {
    auto const self = *this;
    for (Index s = 0; s < window.out_sites(); ++s) {
      take(team, x, s, patch);
      team.each(D.cols(), [=](Index o) {
        a[o + s * self.D.cols()] = dot<magnitudes>(column_of(self.D, o), patch, self.D.rows());
      });
    }
  }

  /// The patch of x at position s, 0 outside the image.
  template <class Team>
  DETRAME_HOST_DEVICE void take(Team const& team, Scalar const* x, Index s, Scalar* patch) const {
    team.each(D.rows(), [=](Index i) { patch[i] = Scalar(0); });
    runs(s, [&](Index p, Index t, Index n) { team.each(n, [=](Index i) { patch[p + i] = x[t + i]; }); });
  }

  /// x = D a, or |D| a.
  template <bool magnitudes = false, class Team>
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
        team.each(D.rows(), [=](Index i) {
          patch[i] += (magnitudes ? std::abs(self.D(i, o)) : self.D(i, o)) * weight;
        });
      }
      if (any)
        runs(s, [&](Index p, Index t, Index n) { team.each(n, [=](Index i) { x[t + i] += patch[p + i]; }); });
    }
  }

  /// y = D^T D a, or |D|^T |D| a. image, patch: scratch.
  template <bool magnitudes = false, class Team>
  DETRAME_HOST_DEVICE void gram(Team const& team, Scalar const* a, Scalar* image, Scalar* patch,
                                Scalar* y) const {
    synthesise<magnitudes>(team, a, patch, image);
    analyse<magnitudes>(team, image, patch, y);
  }
};

/// Images of the synthesis form with atoms at every position of a window: r = D^T x - d.            (M1) (K4)
template <class Scalar>
struct SynthesisImages {
  struct Numbers {
    Window window;
    Scalar alpha;
    int matrix = 0;  ///< D is the caller's times 2^matrix, alpha times 4^matrix; d is the caller's
  };
  Numbers numbers;
  MatrixView<Scalar const> D;    // (taps m) x k
  MatrixView<Scalar const> d{};  // k x 1
  MatrixView<Scalar const> x{};  // (m sites) x images
  KnownPowers<Scalar> known{};

  DETRAME_HOST_DEVICE Patches<Scalar> patches() const { return {numbers.window, D}; }
  DETRAME_HOST_DEVICE static constexpr Index blocks() { return 1; }
  DETRAME_HOST_DEVICE SynthesisImages block(Index) const { return *this; }
  template <class Team>
  DETRAME_HOST_DEVICE static constexpr Index width(Team const&) {
    return 1;
  }
  /// Two images, and a patch, of m channels.
  DETRAME_HOST_DEVICE static constexpr Index scratch_rows(Window const& w, Index m) {
    return m * (2 * w.sites() + w.taps());
  }
  DETRAME_HOST_DEVICE Index scratch_rows() const {
    return scratch_rows(numbers.window, patches().channels());
  }

  template <class Team>
  DETRAME_HOST_DEVICE Powers powers(Team const& team, Index j) const {
    return synthesis_powers(team, known, x, d, j, numbers.matrix);
  }

  template <class Team>
  DETRAME_HOST_DEVICE void linear(Team const& team, Index j, Scalar* V, Scalar* r) const {
    auto const data = *this;
    Powers const by = powers(team, j);
    Scalar* const image = V;
    team.each(x.rows(), [=](Index i) { image[i] = scaled(data.x(i, j), by.data); });
    patches().analyse(team, image, V + x.rows(), r);
    team.each(patches().code_size(),
              [=](Index i) { r[i] -= scaled(data.d(i % data.d.rows(), 0), by.weights); });
  }
  /// |D|^T |x| + |d|
  template <class Team>
  DETRAME_HOST_DEVICE void linear_terms(Team const& team, Index j, Scalar* V, Scalar* out) const {
    auto const data = *this;
    Powers const by = powers(team, j);
    Scalar* const image = V;
    team.each(x.rows(), [=](Index i) { image[i] = std::abs(scaled(data.x(i, j), by.data)); });
    patches().template analyse<true>(team, image, V + x.rows(), out);
    team.each(patches().code_size(),
              [=](Index i) { out[i] += std::abs(scaled(data.d(i % data.d.rows(), 0), by.weights)); });
  }

  /// |D_o|^2, of what of the atom lies within the image, and alpha
  template <class Team>
  DETRAME_HOST_DEVICE void diagonal(Team const& team, Scalar* out) const {
    auto const data = *this;
    team.each(patches().code_size(), [=](Index i) {
      Index const o = i % data.D.cols();
      Scalar sum = data.numbers.alpha;
      data.patches().runs(i / data.D.cols(), [&](Index p, Index, Index n) {
        for (Index l = 0; l < n; ++l) sum += data.D(p + l, o) * data.D(p + l, o);
      });
      out[i] = sum;
    });
  }
  /// y = D^T D a + alpha a
  template <class Team>
  DETRAME_HOST_DEVICE void multiply(Team const& team, Scalar const* a, Scalar* V, Scalar* y) const {
    Scalar const alpha = numbers.alpha;
    patches().gram(team, a, V, V + patches().image_size(), y);
    team.each(patches().code_size(), [=](Index i) { y[i] += alpha * a[i]; });
  }
  template <class Team>
  DETRAME_HOST_DEVICE void spread(Team const& team, Scalar const* a, Scalar* V, Scalar* y) const {
    Scalar const alpha = numbers.alpha;
    patches().template gram<true>(team, a, V, V + patches().image_size(), y);
    team.each(patches().code_size(), [=](Index i) { y[i] += alpha * a[i]; });
  }

  /// g = D^T (D u - x) + (alpha + beta) u + d,   t = |D|^T (|D| |u| + |x|) + (alpha + beta) |u| + |d|, entry
  /// by entry.
  template <class Team>
  DETRAME_HOST_DEVICE void gradient(Team const& team, Index j, Index, MatrixView<Scalar const> beta,
                                    Scalar const* u, Scalar* V, Scalar* g, Scalar* t) const {
    auto const data = *this;
    Window const w = numbers.window;
    auto const atoms = D;
    Index const m = patches().channels(), k = D.cols();
    Powers const by = powers(team, j);
    Scalar *const E = V, *const reach = V + x.rows();  // D u - x and |D| |u| + |x|
    team.each(x.rows(), [=](Index i) {
      Index const c = i % m, y = i / m / w.width, x_col = i / m % w.width;
      Scalar sum = -scaled(data.x(i, j), by.data), terms = std::abs(sum);
      for (Index dy = 0; dy < w.kernel; ++dy)
        for (Index dx = 0; dx < w.kernel; ++dx) {
          Index const row = y + w.padding - dy, col = x_col + w.padding - dx;
          if (row < 0 || col < 0 || row % w.stride != 0 || col % w.stride != 0) continue;
          Index const sy = row / w.stride, sx = col / w.stride;
          if (sy >= w.out_height() || sx >= w.out_width()) continue;
          Scalar of_tap(0), terms_of_tap(0);
          for (Index o = 0; o < k; ++o) {
            Scalar const v = atoms((dy * w.kernel + dx) * m + c, o) * u[(sy * w.out_width() + sx) * k + o];
            of_tap += v;
            terms_of_tap += std::abs(v);
          }
          sum += of_tap;
          terms += terms_of_tap;
        }
      E[i] = sum;
      reach[i] = terms;
    });
    team.each(patches().code_size(), [=](Index i) {
      Index const o = i % k, sy = i / k / w.out_width(), sx = i / k % w.out_width();
      Scalar const shift = scaled(data.d(o, 0), by.weights), curvature = data.numbers.alpha + beta(i, 0);
      Scalar sum(0), terms = std::abs(shift) + curvature * std::abs(u[i]);
      for (Index dy = 0; dy < w.kernel; ++dy)
        for (Index dx = 0; dx < w.kernel; ++dx) {
          Index const row = sy * w.stride + dy - w.padding, col = sx * w.stride + dx - w.padding;
          if (row < 0 || row >= w.height || col < 0 || col >= w.width) continue;
          Scalar of_tap(0);
          for (Index c = 0; c < m; ++c) {
            Scalar const a = atoms((dy * w.kernel + dx) * m + c, o);
            of_tap += a * E[(row * w.width + col) * m + c];
            terms += std::abs(a) * reach[(row * w.width + col) * m + c];
          }
          sum += of_tap;
        }
      g[i] = sum + curvature * u[i] + shift;
      t[i] = terms;
    });
  }

  /// The judge: a tap, the taps, x; a tap of the misfit, the taps, three more terms, lambda. The search:
  /// atoms and then positions one after the other, a product with an atom, three more terms, and u itself.
  DETRAME_HOST_DEVICE Index roundings() const {
    Index const k = D.cols(), taps = numbers.window.taps(), m = patches().channels();
    return (k + m + 2 * taps + 8) + (k + taps + dot_chain(D.rows()) + 8);
  }
};

}  // namespace detrame::inline DETRAME_ABI::exact
