// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cmath>
#include <limits>

#include "detrame/core/window.hpp"
#include "detrame/metric/entries.hpp"
#include "detrame/metric/gram_metric.hpp"
#include "detrame/prox/scheme.hpp"

namespace detrame::inline DETRAME_ABI {

/// A step with one number for all atoms, an upper bound of |D|_2^2, beside Gershgorin's of row sums.
struct SpectralNorm {};

namespace formula {

/// theta <- factor (theta + share size)
template <class Scalar>
struct RoundedUp {
  Scalar factor, share;
  DETRAME_HOST_DEVICE void operator()(Scalar& theta, Scalar size) const {
    theta = factor * (theta + share * size);
  }
};

/// theta <- theta inverse^2 from above: what is not 0 is never less than the smallest normal number.
template <class Scalar>
struct Unscaled {
  Scalar inverse;
  DETRAME_HOST_DEVICE void operator()(Scalar& theta) const {
    constexpr Scalar least = limits::smallest<Scalar>;
    Scalar const unscaled = theta * inverse * inverse;
    theta = theta > Scalar(0) && unscaled < least ? least : unscaled;
  }
};

/// h <- sign(g) t
struct StoreSigned {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& h, Scalar g, Scalar t) const {
    h = g > Scalar(0) ? t : (g < Scalar(0) ? -t : Scalar(0));
  }
};

/// h <- h + sign(g) t
struct AddWithSign {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& h, Scalar g, Scalar t) const {
    h += g > Scalar(0) ? t : (g < Scalar(0) ? -t : Scalar(0));
  }
};

}  // namespace formula

/// A diagonal Theta with D^T D <= Theta, for atoms that may stand at every position of a window, on images of
/// every size: what makes one update from 0 a nonexpansive map (L6). Two of them:
///
///   Gershgorin     Theta_i = sum_{j, delta} |g_ij(delta)|,   g_ij(delta) = <d_i, d_j moved by delta>
///   SpectralNorm   Theta_i = |(D^T D)^p|_F^(1/p) >= |D|_2^2, p = 256, where atoms at two positions do not
///                  overlap, the stride being K or more: D^T D is then a matrix g_ij(0) at each position
///
/// Shapes    D: (taps m) x k.  D_T: k x (taps m), its transpose.  Theta, Theta_bar: k x 1.  D_bar as D.
/// Ensures   (1) D^T D <= Theta in real arithmetic, for D as stored: what rounding may lose is added, the
///               error (n + 2) eps/2 of sums of n = taps m products and that of the sums over them.
///           (2) Theta exceeds the formula by rounding alone.
///           (3) D times a power of two gives the same bits, scaled, where they are normal numbers: all is
///               computed of D over such a power.
/// Adjoint   `pullback` adds to D_bar. Where g_ij(delta) = 0 Gershgorin's is not differentiable: 0 there.
/// Cost      Gershgorin: 2 K^2 (2K - 1)^2 m k^2 / 4 flops, about, once a batch, not a column; as much again,
///           and as much memory as g, for the pullback. SpectralNorm: 18 k^3, and 20 k^3.
/// Source    Gershgorin: arXiv 2208.03160, 2303.03169. Norms of powers of a Gram matrix: arXiv 2305.16173.
/// Tested    tests/layer/majorant_test.cpp
template <Backend B, class Step>
class Majorant {
  using Scalar = typename B::Scalar;
  static constexpr bool gershgorin = std::is_same_v<Step, Gershgorin>;
  static constexpr int squarings = gershgorin ? 0 : 8;
  static_assert(gershgorin || std::is_same_v<Step, SpectralNorm>,
                "Majorant: the step is Gershgorin or SpectralNorm");

 public:
  /// Where the windows of codes meet: the shifts between atoms whose pixels overlap.
  static constexpr Window meeting(Window const& w) {
    return {w.kernel, w.kernel, w.kernel, w.stride, (w.kernel - 1) / w.stride * w.stride};
  }

  ConstView<B> Theta() const { return Theta_; }

  void compute(B& backend, Window const& window, ConstView<B> D, ConstView<B> D_T) {
    auto& lane = backend.lane();
    auto const frame = lane.frame();
    Index const k = D.cols(), m = D.rows() / window.taps();
    Window const shifts = meeting(window);
    resize(backend, g_, k, shifts.out_sites() * k);
    resize(backend, Theta_, k, 1);
    Scalar const scale = take_scale(backend, D, D_T);
    auto const atoms = prepare_convolution(Direct(), backend, shifts, ConstView<B>(scaled_T_), Op::none);
    ConstView<B> const scaled = scaled_, images = scaled.reshaped(m, window.taps() * k);  // an atom an image
    each_chunk(backend, batch(shifts, k, m), m + k, [&](auto& chunk_lane, Columns c) {
      convolve_each(chunk_lane, atoms, columns(images, c), formula::Store(),
                    columns(View<B>(g_), outputs(shifts, c)));
    });
    if constexpr (gershgorin)
      take_row_sums(lane, scaled, m);
    else
      take_norm(backend, scaled);
    each(lane, formula::Unscaled<Scalar>{1 / scale}, View<B>(Theta_));
  }

  void pullback(B& backend, Window const& window, ConstView<B> D, ConstView<B> D_T, ConstView<B> Theta_bar,
                View<B> D_bar) {
    auto& lane = backend.lane();
    auto const frame = lane.frame();
    Index const k = D.cols(), m = D.rows() / window.taps();
    resize(backend, g_bar_, k, g_.cols());
    if constexpr (gershgorin) {
      Window const shifts = meeting(window);
      View<B> const row = lane.scratch(1, k), g_bar = g_bar_;
      ConstView<B> const g = g_;
      transpose(backend, Theta_bar, row);
      each(lane, formula::StoreSigned(), g_bar.reshaped(g.cols(), k), g.reshaped(g.cols(), k),
           PerColumn{ConstView<B>(row)});
      each(lane, formula::AddWithSign(), g_bar, g, PerRow{Theta_bar});
      auto const atoms = prepare_convolution(Direct(), backend, shifts, D_T, Op::transposed);
      View<B> const images = D_bar.reshaped(m, window.taps() * k);
      each_chunk(backend, batch(shifts, k, m), m + k, [=](auto& chunk_lane, Columns c) {
        View<B> const images_c = columns(images, c);
        convolve_each(chunk_lane, atoms, columns(ConstView<B>(g_bar), outputs(shifts, c)),
                      formula::StoreSum(), images_c, ConstView<B>(images_c));
      });
    } else {
      Scalar scale = sum_to_host(lane, Theta_bar);
      if (!(norm_ > Scalar(0))) return;
      resize(backend, half_, k, k);
      View<B> product = g_bar_, other = half_;
      each(lane, formula::Assign(), product, power(0));
      for (int n = 1; n <= squarings; ++n) {
        multiply(backend, product, power(n), other);
        std::swap(product, other);
      }
      // d theta / d G = (G / theta)^(2p - 1), the product of its powers 1, 2, ..., p
      double log_scale = 0;
      for (int n = 0; n <= squarings; ++n) log_scale += log_size_[n] - std::ldexp(log_norm_, n);
      scale *= static_cast<Scalar>(std::exp(log_scale));
      each(lane, formula::Scale<Scalar>{scale}, product);
      gram_pullback(backend, D, ConstView<B>(product), D_bar);
    }
  }

  /// What Gershgorin's has kinks in, for check_pullback: on which side of 0 each g_ij(delta) is.
  template <class F>
  void visit_states(F&& f) const {
    if constexpr (gershgorin) f(g_, Sides());
  }

 private:
  struct Sides {
    static constexpr double curvature(double g) { return g > 0 ? 0 : 1; }
  };

  static Columns outputs(Window const& w, Columns c) {
    return {c.first / w.sites() * w.out_sites(), c.count / w.sites() * w.out_sites()};
  }
  static Batch batch(Window const& shifts, Index k, Index m) {
    return {shifts.sites() * k, shifts.sites(), 1,
            2. * static_cast<double>(k * m * shifts.taps() * shifts.out_sites()) /
                static_cast<double>(shifts.sites())};
  }
  /// What a sum of n products may be off by, of the sum of their magnitudes.
  static Scalar error_of_sum(Index n) {
    return static_cast<Scalar>(n + 2) / 2 * std::numeric_limits<Scalar>::epsilon();
  }

  /// D and D_T times the power of two that is returned, which brings the largest entry into [1, 2).
  Scalar take_scale(B& backend, ConstView<B> D, ConstView<B> D_T) {
    auto& lane = backend.lane();
    View<B> const row = lane.scratch(1, D.cols());
    column_max(lane, row, formula::Magnitude(), D);
    Scalar scale = max_to_host(lane, ConstView<B>(row));
    formula::ScaleToOne()(scale);
    resize(backend, scaled_, D.rows(), D.cols());
    resize(backend, scaled_T_, D_T.rows(), D_T.cols());
    each(lane, formula::Assign(), View<B>(scaled_), D);
    each(lane, formula::Assign(), View<B>(scaled_T_), D_T);
    for (View<B> const v : {View<B>(scaled_), View<B>(scaled_T_)})
      each(lane, formula::Scale<Scalar>{scale}, v);
    return scale;
  }

  void take_row_sums(typename B::Lane& lane, ConstView<B> D, Index m) {
    Index const k = D.cols();
    View<B> const row = lane.scratch(1, k), size = lane.scratch(k, 1), channel = lane.scratch(m, 1);
    each(lane, formula::Fill<Scalar>{0}, channel);
    row_sums(lane, channel, formula::Magnitude(), D.reshaped(m, D.rows() / m * k));
    Scalar const most = max_to_host(lane, ConstView<B>(channel));
    column_sums(lane, row, formula::Magnitude(), D);  // |d_i|_1: that times `most` bounds sums of |D|^T |D|
    copy_entries(lane, ConstView<B>(row), size);
    column_sums(lane, row, formula::Magnitude(), ConstView<B>(g_).reshaped(g_.cols(), k));
    copy_entries(lane, ConstView<B>(row), View<B>(Theta_));
    each(lane, formula::RoundedUp<Scalar>{1 + 2 * error_of_sum(g_.cols() + 8), error_of_sum(D.rows()) * most},
         View<B>(Theta_), ConstView<B>(size));
  }

  /// The (2^n)-th power of G over its Frobenius norm. k x k.
  View<B> power(int n) {
    Index const k = g_.rows();
    return View<B>(powers_).middle_cols(n * k, k);
  }

  void take_norm(B& backend, ConstView<B> D) {
    auto& lane = backend.lane();
    Index const k = D.cols();
    resize(backend, powers_, k, (squarings + 1) * k);
    View<B> const squares = lane.scratch(1, k);
    column_sums(lane, squares, formula::Square(), D);
    double const trace = static_cast<double>(sum_to_host(lane, ConstView<B>(squares)));
    each(lane, formula::Assign(), power(0), ConstView<B>(g_));
    double size = 0, log_norm = 0;  // of G^(2^n), as it is and as a bound of |G|
    for (int n = 0; n <= squarings; ++n) {
      if (n > 0) multiply(backend, power(n - 1), power(n - 1), power(n));
      column_sums(lane, squares, formula::Square(), ConstView<B>(power(n)));
      double const norm = std::sqrt(static_cast<double>(sum_to_host(lane, ConstView<B>(squares))));
      each(lane, formula::Scale<Scalar>{static_cast<Scalar>(1 / norm)}, power(n));
      size = 2 * size + std::log(norm);
      log_size_[n] = size;
      log_norm = std::ldexp(size, -n);
    }
    log_norm_ = log_norm;
    double const eps = static_cast<double>(std::numeric_limits<Scalar>::epsilon()),
                 of_powers = 2 * static_cast<double>(k) * std::sqrt(static_cast<double>(k)) * eps;
    norm_ =
        trace == 0
            ? Scalar(0)
            : static_cast<Scalar>((std::exp(log_norm) + static_cast<double>(error_of_sum(D.rows())) * trace) *
                                  (1 + of_powers + 16 * eps));
    each(lane, formula::Fill<Scalar>{norm_}, View<B>(Theta_));
  }

  /// C = A S with a symmetric S; all k x k.
  static void multiply(B& backend, ConstView<B> A, ConstView<B> S, View<B> C) {
    Batch const batch{S.cols(), 1, 1, 2. * static_cast<double>(A.rows()) * static_cast<double>(A.cols())};
    each_chunk(backend, batch, 2 * A.rows(), [=](auto& lane, Columns c) {
      gemm(lane, 1, A, Op::none, columns(S, c), Op::none, 0, columns(C, c));
    });
  }

  Matrix<B> Theta_;              // k x 1
  Matrix<B> scaled_, scaled_T_;  // D and D_T over a power of two
  Matrix<B> g_, g_bar_, half_;   // k x (shifts k), k x k: g_ij(delta), image i of k channels j
  Matrix<B> powers_;             // k x ((squarings + 1) k)
  std::array<double, squarings + 1> log_size_{};
  double log_norm_ = 0;
  Scalar norm_ = 0;
};

}  // namespace detrame::inline DETRAME_ABI
