// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/core/window.hpp"
#include "detrame/exact/problem.hpp"

namespace detrame {

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

}  // namespace exact

}  // namespace detrame
