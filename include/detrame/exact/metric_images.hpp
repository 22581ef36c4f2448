// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/problem.hpp"
#include "detrame/metric/convolutional_metric.hpp"

namespace detrame::exact {

/// Images of the metric form with a convolutional Q, each k x sites numbers in a row: r = Q z.      (M3) (K2)
template <class Scalar>
struct MetricImages {
  struct Numbers {
    ConvolutionalBlocks shape;
    Scalar row_sum = 0;  ///< the largest of |Q| + beta
  };
  Numbers numbers;
  MatrixView<Scalar const> Q;    // kg x (taps k)
  MatrixView<Scalar const> z{};  // (k sites) x images
  Scalar bound = numbers.row_sum;

  DETRAME_HOST_DEVICE Index k() const { return numbers.shape.groups * Q.rows(); }
  DETRAME_HOST_DEVICE Index size() const { return k() * numbers.shape.height * numbers.shape.width; }
  DETRAME_HOST_DEVICE static constexpr Index blocks() { return 1; }
  DETRAME_HOST_DEVICE MetricImages block(Index) const { return *this; }
  template <class Team>
  DETRAME_HOST_DEVICE static constexpr Index width(Team const&) {
    return 1;
  }
  DETRAME_HOST_DEVICE Index scratch_rows() const { return size(); }
  template <class Team>
  DETRAME_HOST_DEVICE void prepare(Team const&, MatrixView<Scalar const>, Scalar*) {}

  template <class Team>
  DETRAME_HOST_DEVICE void linear(Team const& team, Index j, Scalar*, Scalar* r) const {
    multiply(team, &z(0, j), nullptr, r);
  }

  /// y = Q x, row of pixels after row of pixels and tap after tap.
  template <class Team>
  DETRAME_HOST_DEVICE void multiply(Team const& team, Scalar const* x, Scalar*, Scalar* y) const {
    Index const kg = Q.rows(), channels = k(), K = numbers.shape.kernel, r = (K - 1) / 2;
    team.each(size(), [=](Index i) { y[i] = Scalar(0); });
    for (Index row = 0; row < numbers.shape.height; ++row)
      for (Index tap = 0; tap < K * K; ++tap) {
        Index const from = row + tap / K - r, shift = tap % K - r;
        if (from < 0 || from >= numbers.shape.height) continue;
        Index const first = shift < 0 ? -shift : 0,
                    last = shift > 0 ? numbers.shape.width - shift : numbers.shape.width;
        if (first >= last) continue;
        for (Index g = 0; g < numbers.shape.groups; ++g) {
          auto const A = Q.middle_cols((g * K * K + tap) * kg, kg);
          // A run of pixels is contiguous where there is one group.
          Index const run = numbers.shape.groups == 1 ? last - first : 1;
          for (Index p = first; p < last; p += run)
            add_product(team, A, run, x + (from * numbers.shape.width + p + shift) * channels + g * kg,
                        y + (row * numbers.shape.width + p) * channels + g * kg);
        }
      }
  }

  /// g = Q (u - z), entry by entry, as the definition says. V: k sites scalars of scratch.
  template <class Team>
  DETRAME_HOST_DEVICE void gradient(Team const& team, Index j, Index, MatrixView<Scalar const> u, Scalar* V,
                                    Scalar* g) const {
    auto const data = *this;
    team.each(size(), [=](Index i) { V[i] = u(i, j) - data.z(i, j); });
    team.each(size(), [=](Index i) {
      Index const kg = data.Q.rows(), channels = data.k(), K = data.numbers.shape.kernel, r = (K - 1) / 2;
      Index const o = i % channels, group = o / kg, y = i / channels / data.numbers.shape.width,
                  x = i / channels % data.numbers.shape.width;
      Scalar sum(0);
      for (Index dy = 0; dy < K; ++dy)
        for (Index dx = 0; dx < K; ++dx) {
          Index const yy = y + dy - r, xx = x + dx - r;
          if (yy < 0 || yy >= data.numbers.shape.height || xx < 0 || xx >= data.numbers.shape.width) continue;
          Scalar const* const v = V + (yy * data.numbers.shape.width + xx) * channels + group * kg;
          for (Index l = 0; l < kg; ++l)
            sum += data.Q(o - group * kg, (group * K * K + dy * K + dx) * kg + l) * v[l];
        }
      g[i] = sum;
    });
  }

  template <class Team>
  DETRAME_HOST_DEVICE Scalar linear_terms(Team const& team, Index j) const {
    return product_terms(team, z, j);
  }
  template <class Team>
  DETRAME_HOST_DEVICE Scalar product_terms(Team const& team, MatrixView<Scalar const> u, Index j) const {
    return bound * team.max(u.rows(), [=](Index i) { return std::abs(u(i, j)); });
  }
};

}  // namespace detrame::exact
