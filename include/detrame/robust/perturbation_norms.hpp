// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <numeric>
#include <span>
#include <vector>

#include "detrame/core/random.hpp"
#include "detrame/robust/attack_norm.hpp"
#include "detrame/robust/gaussian_noise.hpp"

namespace detrame::inline DETRAME_ABI {

/// How large a perturbation is, in every unit that is in use. Pixels are those of [0, 1].
struct PerturbationNorms {
  double l2 = 0, l_inf = 0;           ///< in pixels
  double grey_levels = 0;             ///< 255 l_inf
  std::vector<double> network_l_inf;  ///< of each channel as the network reads it: max |v_c| / deviation_c
  double network_l2 = 0;              ///< of v as the network reads it
  double of_energy = 0;               ///< |v|^2 / mean |x|^2
  double of_centred_energy = 0;       ///< |v|^2 / mean |x - mean|^2, the means those of the channels
};

/// The norms of v, in double.
///
/// Shapes    v: size x 1, in pixels; energies: those of images in pixels, raw and centred (image_energies);
///           deviation: one a channel, or none where the network reads pixels
/// Requires  sizes that fit and at least one image, else ShapeError; deviations > 0 and finite, else
///           DomainError.
/// Tested    tests/robust/perturbation_norms_test.cpp
template <class Scalar>
PerturbationNorms perturbation_norms(Shape const& shape, HostMatrix<Scalar> const& v,
                                     std::span<double const> energies,
                                     std::span<double const> centred_energies,
                                     std::span<double const> deviation = {}) {
  require_shape("perturbation_norms", "v", v, shape.size(), 1);
  if (!deviation.empty() && static_cast<Index>(deviation.size()) != shape.channels)
    throw ShapeError(
        message("perturbation_norms: ", deviation.size(), " deviations, ", shape.channels, " channels"));
  for (double const one : deviation) detail::require_positive("perturbation_norms", "deviation", one);
  if (energies.empty() || energies.size() != centred_energies.size())
    throw ShapeError(message("perturbation_norms: energies of ", energies.size(), " and ",
                             centred_energies.size(), " images, must be of the same ones"));
  auto const mean = [](std::span<double const> some) {
    return std::accumulate(some.begin(), some.end(), 0.) / static_cast<double>(some.size());
  };
  auto const pixel = [&](Index i) { return v(i, 0); };
  auto const network = [&](Index i) {
    double const d = deviation.empty() ? 1. : deviation[static_cast<std::size_t>(i % shape.channels)];
    return static_cast<double>(v(i, 0)) / d;
  };
  PerturbationNorms norms;
  norms.l2 = norm_in_double(AttackNorm::l2, shape.size(), pixel);
  norms.l_inf = norm_in_double(AttackNorm::l_inf, shape.size(), pixel);
  norms.grey_levels = 255 * norms.l_inf;
  for (Index c = 0; c < shape.channels; ++c)
    norms.network_l_inf.push_back(norm_in_double(AttackNorm::l_inf, shape.sites(),
                                                 [&](Index s) { return network(c + shape.channels * s); }));
  norms.network_l2 = norm_in_double(AttackNorm::l2, shape.size(), network);
  norms.of_energy = norms.l2 * norms.l2 / mean(energies);
  norms.of_centred_energy = norms.l2 * norms.l2 / mean(centred_energies);
  return norms;
}

/// A control for universal perturbations: a vector of random signs, as large as one may be. Its entries are
/// +-xi in l_inf, +-xi / sqrt(size) in l2.
///
/// Requires  xi > 0 and finite, else DomainError.
/// Ensures   the norm in double is at most xi.
/// Tested    tests/robust/perturbation_norms_test.cpp
template <class Scalar>
HostMatrix<Scalar> random_signs(Shape const& shape, AttackNorm norm, double xi, std::uint64_t seed) {
  detail::require_positive("random_signs", "xi", xi);
  Index const size = shape.size();
  double const entry = norm == AttackNorm::l_inf ? xi : xi / std::sqrt(static_cast<double>(size));
  Random const random(seed, 0);
  auto v = host_matrix<Scalar>(size, 1, [&](Index i, Index) {
    return static_cast<Scalar>(random.bits(static_cast<std::uint64_t>(i)) >> 31 ? entry : -entry);
  });
  keep_within(norm, xi, size, HostMatrix<Scalar>(size, 1).data(), v.data());
  return v;
}

}  // namespace detrame::inline DETRAME_ABI
