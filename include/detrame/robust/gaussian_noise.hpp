// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <span>
#include <vector>

#include "detrame/core/random.hpp"
#include "detrame/robust/score_map.hpp"

namespace detrame::inline DETRAME_ABI {

namespace detail {
/// z_ij = x_ij + sigma_j g_ij, g standard normal: of image first + j.
struct AddNormal {
  std::uint64_t seed, first;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Index i, Index j, Scalar& z, Scalar sigma) const {
    z += sigma * Random(seed, first + static_cast<std::uint64_t>(j))
                     .template normal<Scalar>(static_cast<std::uint64_t>(i));
  }
};
}  // namespace detail

/// |x_j|^2 of every image, or |x_j - mean|^2 where there is a mean a channel, in double.
///
/// Shapes    x: channels x (sites n)
template <class Scalar>
std::vector<double> image_energies(Shape const& shape, HostMatrix<Scalar> const& x,
                                   std::span<double const> mean = {}) {
  Index const n = samples("image_energies", shape, x);
  if (!mean.empty() && static_cast<Index>(mean.size()) != shape.channels)
    throw ShapeError(message("image_energies: ", mean.size(), " means, ", shape.channels, " channels"));
  std::vector<double> energies(static_cast<std::size_t>(n));
  for (Index j = 0; j < x.cols(); ++j)
    for (Index c = 0; c < x.rows(); ++c) {
      double const d = static_cast<double>(x(c, j)) - (mean.empty() ? 0 : mean[static_cast<std::size_t>(c)]);
      energies[static_cast<std::size_t>(j / shape.sites())] += d * d;
    }
  return energies;
}

/// Images with Gaussian noise of a share of their energy.
///
///   z_j = x_j + v_j,  E |v_j|^2 = rho energy_j:  the entries of v_j are independent, of variance
///   rho energy_j / size
///
/// Shapes    x, z: channels x (sites n); energies: n, |x_j|^2 or another (image_energies)
/// Requires  rho >= 0 and finite, energies >= 0 and finite, first_image >= 0, else DomainError; as many
///           energies as images, else ShapeError.
/// Ensures   v_j is a function of (seed, first_image + j) and its variance: batches give what the whole does.
///           Nothing is clipped.
/// Tested    tests/robust/perturbation_norms_test.cpp
template <Backend B>
Matrix<B> gaussian_noise(B& backend, Shape const& shape, Input<B> x, std::span<double const> energies,
                         double rho, std::uint64_t seed, Index first_image = 0) {
  using Scalar = typename B::Scalar;
  ConstView<B> const images = x;
  Index const n = samples("gaussian_noise", shape, images);
  if (static_cast<Index>(energies.size()) != n)
    throw ShapeError(message("gaussian_noise: ", energies.size(), " energies, ", n, " images"));
  require_at_least("gaussian_noise", "rho", rho, 0.);
  require_at_least("gaussian_noise", "first_image", first_image, Index{0});
  if (std::isinf(rho)) throw DomainError("gaussian_noise: rho = inf, must be finite");
  HostMatrix<Scalar> sigma(1, n);
  for (Index j = 0; j < n; ++j) {
    double const energy = energies[static_cast<std::size_t>(j)];
    if (!(energy >= 0) || std::isinf(energy))
      throw DomainError(message("gaussian_noise: the energy of image ", first_image + j, " is ", energy,
                                ", must be >= 0 and finite"));
    sigma(0, j) = static_cast<Scalar>(std::sqrt(rho * energy / static_cast<double>(shape.size())));
  }
  Matrix<B> z;
  resize(backend, z, images.rows(), images.cols());
  copy_entries(backend.lane(), images, View<B>(z));
  auto const deviations = to_device(backend, sigma);
  each_indexed(backend.lane(), detail::AddNormal{seed, static_cast<std::uint64_t>(first_image)},
               detail::as_columns(shape, View<B>(z)), PerColumn{ConstView<B>(deviations)});
  return z;
}

}  // namespace detrame::inline DETRAME_ABI
