// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/problem.hpp"
#include "detrame/metric/convolutional_metric.hpp"

namespace detrame::inline DETRAME_ABI::exact {

/// Images of the metric form with a convolutional Q, each k x sites numbers in a row: r = Q z.      (M3) (K2)
template <class Scalar>
struct MetricImages {
  struct Numbers {
    ConvolutionalBlocks shape;
    int matrix = 0;  ///< Q is the caller's times 4^matrix
  };
  Numbers numbers;
  MatrixView<Scalar const> Q;    // kg x (taps k)
  MatrixView<Scalar const> z{};  // (k sites) x images
  KnownPowers<Scalar> known{};

  DETRAME_HOST_DEVICE Index k() const { return numbers.shape.groups * Q.rows(); }
  DETRAME_HOST_DEVICE Index size() const { return k() * numbers.shape.height * numbers.shape.width; }
  DETRAME_HOST_DEVICE static constexpr Index blocks() { return 1; }
  DETRAME_HOST_DEVICE MetricImages block(Index) const { return *this; }
  template <class Team>
  DETRAME_HOST_DEVICE static constexpr Index width(Team const&) {
    return 1;
  }
  DETRAME_HOST_DEVICE static constexpr Index scratch_rows(Index n) { return n; }
  DETRAME_HOST_DEVICE Index scratch_rows() const { return scratch_rows(size()); }

  template <class Team>
  DETRAME_HOST_DEVICE Powers powers(Team const& team, Index j) const {
    return metric_powers(team, known, z, j, numbers.matrix);
  }

  template <class Team>
  DETRAME_HOST_DEVICE void linear(Team const& team, Index j, Scalar* V, Scalar* r) const {
    auto const point = z;
    int const data = powers(team, j).data;
    team.each(size(), [=](Index i) { V[i] = scaled(point(i, j), data); });
    multiply(team, V, nullptr, r);
  }
  /// |Q| |z|
  template <class Team>
  DETRAME_HOST_DEVICE void linear_terms(Team const& team, Index j, Scalar* V, Scalar* out) const {
    auto const point = z;
    int const data = powers(team, j).data;
    team.each(size(), [=](Index i) { V[i] = std::abs(scaled(point(i, j), data)); });
    spread(team, V, nullptr, out);
  }

  template <class Team>
  DETRAME_HOST_DEVICE void diagonal(Team const& team, Scalar* out) const {
    auto const kernel = Q;
    Index const kg = Q.rows(), channels = k(), taps = numbers.shape.kernel * numbers.shape.kernel;
    team.each(size(), [=](Index i) {
      Index const o = i % channels, group = o / kg, c = o - group * kg;
      out[i] = kernel(c, (group * taps + taps / 2) * kg + c);
    });
  }
  template <class Team>
  DETRAME_HOST_DEVICE void multiply(Team const& team, Scalar const* x, Scalar*, Scalar* y) const {
    product<false>(team, x, y);
  }
  template <class Team>
  DETRAME_HOST_DEVICE void spread(Team const& team, Scalar const* x, Scalar*, Scalar* y) const {
    product<true>(team, x, y);
  }

  /// g = Q (u - z) + beta u,   t = |Q| (|u| + |z|) + beta |u|, entry by entry, as the definition says.
  template <class Team>
  DETRAME_HOST_DEVICE void gradient(Team const& team, Index j, Index, MatrixView<Scalar const> beta,
                                    Scalar const* u, Scalar* V, Scalar* g, Scalar* t) const {
    auto const data = *this;
    int const by = powers(team, j).data;
    team.each(size(), [=](Index i) { V[i] = scaled(data.z(i, j), by); });
    team.each(size(), [=](Index i) {
      auto const shape = data.numbers.shape;
      Index const kg = data.Q.rows(), channels = data.k(), K = shape.kernel, r = (K - 1) / 2;
      Index const o = i % channels, group = o / kg, y = i / channels / shape.width,
                  x = i / channels % shape.width;
      Scalar sum = beta(i, 0) * u[i], terms = beta(i, 0) * std::abs(u[i]);
      for (Index dy = 0; dy < K; ++dy)
        for (Index dx = 0; dx < K; ++dx) {
          Index const yy = y + dy - r, xx = x + dx - r;
          if (yy < 0 || yy >= shape.height || xx < 0 || xx >= shape.width) continue;
          Index const site = (yy * shape.width + xx) * channels + group * kg;
          Scalar of_tap(0), terms_of_tap(0);
          for (Index l = 0; l < kg; ++l) {
            Scalar const q = data.Q(o - group * kg, (group * K * K + dy * K + dx) * kg + l);
            of_tap += q * (u[site + l] - V[site + l]);
            terms_of_tap += std::abs(q) * (std::abs(u[site + l]) + std::abs(V[site + l]));
          }
          sum += of_tap;
          terms += terms_of_tap;
        }
      g[i] = sum;
      t[i] = terms;
    });
  }

  /// The judge: u - z, a tap, the taps, beta u, lambda. The search: tap after tap, four channels at a time,
  /// r, and u itself.
  DETRAME_HOST_DEVICE Index roundings() const {
    Index const kg = Q.rows(), taps = numbers.shape.kernel * numbers.shape.kernel;
    return (kg + taps + 5) + (taps * product_chain(kg) + 5);
  }

 private:
  /// y = Q x or |Q| x, row of pixels after row of pixels and tap after tap.
  template <bool magnitudes, class Team>
  DETRAME_HOST_DEVICE void product(Team const& team, Scalar const* x, Scalar* y) const {
    auto const shape = numbers.shape;
    Index const kg = Q.rows(), channels = k(), K = shape.kernel, r = (K - 1) / 2;
    team.each(size(), [=](Index i) { y[i] = Scalar(0); });
    for (Index row = 0; row < shape.height; ++row)
      for (Index tap = 0; tap < K * K; ++tap) {
        Index const from = row + tap / K - r, shift = tap % K - r;
        if (from < 0 || from >= shape.height) continue;
        Index const first = shift < 0 ? -shift : 0, last = shift > 0 ? shape.width - shift : shape.width;
        if (first >= last) continue;
        for (Index g = 0; g < shape.groups; ++g) {
          auto const A = Q.middle_cols((g * K * K + tap) * kg, kg);
          // A run of pixels is contiguous where there is one group.
          Index const run = shape.groups == 1 ? last - first : 1;
          for (Index p = first; p < last; p += run)
            add_product<magnitudes>(team, A, run, x + (from * shape.width + p + shift) * channels + g * kg,
                                    y + (row * shape.width + p) * channels + g * kg);
        }
      }
  }
};

}  // namespace detrame::inline DETRAME_ABI::exact
