// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/exact/patches.hpp"

namespace detrame {

namespace exact {

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

}  // namespace exact

}  // namespace detrame
