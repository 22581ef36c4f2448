// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/layer/batch_norm.hpp"
#include "detrame/layer/convolution.hpp"
#include "detrame/layer/dense.hpp"
#include "detrame/layer/dropout.hpp"
#include "detrame/layer/global_average_pool.hpp"
#include "detrame/layer/pad_channels.hpp"
#include "detrame/layer/patches.hpp"
#include "detrame/layer/relu.hpp"
#include "detrame/layer/reshape.hpp"
#include "detrame/operator/window_norm.hpp"
#include "detrame/robust/guarantee.hpp"

/// What is proved of layers that are affine in inference, and of ReLU.                              (L3) (R1)
namespace detrame::inline DETRAME_ABI {

namespace detail {

/// Of z = W x - c, W applied by a window, with the rounding of its product and what it makes of an image.
template <class L>
Certified<Deviation> deviation_of_affine(double rounding, double size, double length_of_c, Index outputs,
                                         Index terms, double growth = 1) {
  using Scalar = typename L::Backend::Scalar;
  double const n = static_cast<double>(terms) + 8;
  return finite<L>(Deviation{
      .relative = above(rounding * (1 + gamma<Scalar>(2))),
      .absolute = above(gamma<Scalar>(2) * length_of_c +
                        2 * n * std::sqrt(static_cast<double>(outputs)) * lost<Scalar>() * (1 + size)),
      .range = above(growth + size + length_of_c + rounding / gamma<Scalar>(1))});
}

/// What moves numbers, and changes none.
struct Moved {
  template <class L, class Theta>
  static Certified<double> lipschitz(typename L::Backend&, L const&, Theta const&) {
    return 1.;
  }
  template <class L, class Theta>
  static Certified<Deviation> deviation(typename L::Backend&, L const&, Theta const&) {
    return Deviation{};
  }
};

}  // namespace detail

template <>
struct Guarantee<ReLU> : detail::Moved {};
template <Rate rate>
struct Guarantee<Dropout<rate>> : detail::Moved {};
template <Shape to>
struct Guarantee<Reshape<to>> : detail::Moved {};
template <Index k, class StrideChoice>
struct Guarantee<PadChannels<k, StrideChoice>> : detail::Moved {};

/// Each pixel stands in at most ceil(K / s)^2 patches.
template <Index K, class... Choices>
struct Guarantee<Patches<K, Choices...>> : detail::Moved {
  template <class L>
  static Certified<double> lipschitz(typename L::Backend&, L const&, typename L::Parameters const&) {
    constexpr Window w = L::window;
    constexpr Index each_way = (w.kernel + w.stride - 1) / w.stride;
    return static_cast<double>(each_way);
  }
};

template <Index k>
struct Guarantee<Dense<k>> {
  template <class L>
  static Certified<double> lipschitz(typename L::Backend& backend, L const&,
                                     typename L::Parameters const& theta) {
    return detail::finite<L>(detail::norm_from_above(backend, detail::doubles_of(backend, theta.W)));
  }
  template <class L>
  static Certified<Deviation> deviation(typename L::Backend& backend, L const&,
                                        typename L::Parameters const& theta) {
    constexpr Shape in = L::input;
    auto const W = detail::doubles_of(backend, theta.W);
    return detail::deviation_of_affine<L>(
        detail::rounding_of_product<typename L::Backend::Scalar>(Direct(), W, 1, 1),
        detail::magnitude_norm(W), detail::length_of(detail::doubles_of(backend, theta.c), in.sites()),
        k * in.sites(), in.channels);
  }
};

template <Index k, Index K, class... Choices>
struct Guarantee<Convolution<k, K, Choices...>> {
  template <class L>
  static Certified<double> lipschitz(typename L::Backend& backend, L const&,
                                     typename L::Parameters const& theta) {
    return detail::finite<L>(window_norm(backend, theta.W, L::window));
  }
  template <class L>
  static Certified<Deviation> deviation(typename L::Backend& backend, L const&,
                                        typename L::Parameters const& theta) {
    constexpr Window w = L::window;
    auto const W = detail::doubles_of(backend, theta.W);
    return detail::deviation_of_affine<L>(
        detail::rounding_of_product<typename L::Backend::Scalar>(typename L::Arithmetic(), W, w.kernel,
                                                                 w.stride),
        detail::window_magnitude_norm(W, w.kernel, w.stride),
        detail::length_of(detail::doubles_of(backend, theta.c), w.out_sites()), k * w.out_sites(), W.cols(),
        detail::growth_of_image(typename L::Arithmetic()));
  }
};

/// 1 / sqrt(n): the mean of n sites, a channel each.
template <>
struct Guarantee<GlobalAveragePool> {
  template <class L>
  static Certified<double> lipschitz(typename L::Backend&, L const&, typename L::Parameters const&) {
    return detail::above(1 / std::sqrt(static_cast<double>(L::sites)));
  }
  template <class L>
  static Certified<Deviation> deviation(typename L::Backend&, L const&, typename L::Parameters const&) {
    using Scalar = typename L::Backend::Scalar;
    double const n = static_cast<double>(L::sites);
    constexpr Shape in = L::input;
    return Deviation{
        .relative = detail::above(detail::gamma<Scalar>(n + 4) / std::sqrt(n)),
        .absolute = 2 * std::sqrt(static_cast<double>(in.channels)) * (n + 4) * detail::lost<Scalar>(),
        .range = detail::above(std::sqrt(n))};
  }
};

/// In inference a number for each channel, gain / sqrt(variance + 1e-5), with the 1e-5 of the scalar.
template <>
struct Guarantee<BatchNorm> {
  template <class L>
  static Certified<double> lipschitz(typename L::Backend& backend, L const&,
                                     typename L::Parameters const& theta) {
    double largest = 0;
    each_channel<L>(backend, theta, [&](double s, double gain, double, double) {
      detail::raise(largest, std::abs(gain) * s);
    });
    return detail::finite<L>(detail::above(largest));
  }

  /// gain ((x - mean) s) + offset, s off by at most gamma_4: the terms of a channel are off by gamma_8.
  template <class L>
  static Certified<Deviation> deviation(typename L::Backend& backend, L const&,
                                        typename L::Parameters const& theta) {
    using Scalar = typename L::Backend::Scalar;
    constexpr Shape in = L::input;
    double slope = 0, square = 0, range = 1;
    each_channel<L>(backend, theta, [&](double s, double gain, double mean, double offset) {
      double const term = std::abs(gain) * s, constant = term * std::abs(mean) + std::abs(offset);
      detail::raise(slope, term);
      square += constant * constant;
      detail::raise(range, (s + 1) * (1 + std::abs(mean)) * (1 + std::abs(gain)) + std::abs(offset));
    });
    double const sites = static_cast<double>(in.sites()), g = detail::gamma<Scalar>(10);
    return detail::finite<L>(
        Deviation{.relative = detail::above(g * slope),
                  .absolute = detail::above(
                      g * std::sqrt(sites * square) +
                          8 * range * std::sqrt(sites * static_cast<double>(L::k)) * detail::lost<Scalar>(),
                      static_cast<double>(L::k) + 16),
                  .range = detail::above(range)});
  }

 private:
  /// f(s, gain, mean, offset) for each channel, s from above; NaN where a variance is negative.
  template <class L, class F>
  static void each_channel(typename L::Backend& backend, typename L::Parameters const& theta, F const& f) {
    using Scalar = typename L::Backend::Scalar;
    auto const gain = detail::doubles_of(backend, theta.gain),
               offset = detail::doubles_of(backend, theta.offset),
               mean = detail::doubles_of(backend, theta.running_mean),
               variance = detail::doubles_of(backend, theta.running_variance);
    double const epsilon = static_cast<double>(static_cast<Scalar>(BatchNorm::epsilon));
    for (Index c = 0; c < gain.rows(); ++c)
      f(detail::above(1 / std::sqrt(variance(c, 0) >= 0 ? variance(c, 0) + epsilon
                                                        : std::numeric_limits<double>::quiet_NaN())),
        gain(c, 0), mean(c, 0), offset(c, 0));
  }
};

}  // namespace detrame::inline DETRAME_ABI
