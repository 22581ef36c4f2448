// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "detrame/core/random.hpp"
#include "detrame/robust/attack_norm.hpp"
#include "detrame/robust/pixel_range.hpp"
#include "detrame/robust/score_map.hpp"

namespace detrame::inline DETRAME_ABI {

/// Where an attack may go: a ball around each image x, in the units of what the map reads, and the range of
/// pixels, where there is one.
///
///   |z - x| <= epsilon,  low <= z_i <= high
///
/// Requires  (check, in the precision of the map) epsilon > 0 and finite, and a range with a number in it,
///           else DomainError.
/// Tested    tests/robust/pgd_test.cpp
struct AttackRegion {
  AttackNorm norm = AttackNorm::l_inf;
  double epsilon;
  std::optional<PixelRange> range = PixelRange{};

  template <class Scalar>
  void check(char const* who) const {
    detail::require_positive(who, "epsilon", epsilon);
    if (static_cast<Scalar>(epsilon) == Scalar(0) || epsilon > static_cast<double>(limits::largest<Scalar>))
      throw DomainError(message(who, ": epsilon = ", epsilon, " is 0 or infinite in this precision"));
    if (range) range->check<Scalar>(who);
  }
};

namespace detail {

/// A region for the members of a team.
template <class Scalar>
struct AttackBall {
  AttackNorm norm;
  Scalar radius, low, high;

  explicit AttackBall(AttackRegion const& region)
      : norm(region.norm),
        radius(static_cast<Scalar>(region.epsilon)),
        low(region.range ? region.range->lowest<Scalar>() : -limits::infinity<Scalar>),
        high(region.range ? region.range->highest<Scalar>() : limits::infinity<Scalar>) {}

  /// z <- the nearest point of the ball around x, then of the range.
  template <class Team>
  DETRAME_HOST_DEVICE void project(Team const& team, Index n, Scalar const* x, Scalar* z) const {
    Scalar const length =
        norm == AttackNorm::l2 ? column_norm(team, n, [=](Index i) { return z[i] - x[i]; }) : Scalar(0);
    Scalar const shrink = length > radius ? radius / length : Scalar(1);
    team.each(n, [=, self = *this](Index i) {
      Scalar v = shrink < Scalar(1) ? shrink * (z[i] - x[i]) : z[i] - x[i];
      if (self.norm == AttackNorm::l_inf)
        v = v < -self.radius ? -self.radius : v > self.radius ? self.radius : v;
      Scalar const moved = x[i] + v;
      z[i] = moved < self.low ? self.low : moved > self.high ? self.high : moved;
    });
  }

  /// z <- z + step g / |g|_2, or z + step sign(g); where g = 0 it stays.
  template <class Team>
  DETRAME_HOST_DEVICE void ascend(Team const& team, Index n, Scalar step, Scalar const* g, Scalar* z) const {
    Scalar const length =
        norm == AttackNorm::l2 ? column_norm(team, n, [=](Index i) { return g[i]; }) : Scalar(0);
    team.each(n, [=, norm = norm](Index i) {
      if (norm == AttackNorm::l_inf)
        z[i] += step * sign(g[i]);
      else if (length != Scalar(0))
        z[i] += step * (g[i] / length);
    });
  }
};

/// The numbers of images in two rows, in units of 2^24 and what is left: each is one that a float has.
/// Negative ones stay negative.
template <class Scalar, class Number>
HostMatrix<Scalar> image_numbers(Index n, Number const& number) {
  constexpr Index unit = Index{1} << 24;
  return host_matrix<Scalar>(2, n, [&](Index i, Index j) {
    Index const k = number(j);
    return static_cast<Scalar>(k < 0 ? Index{-1} : i == 0 ? k / unit : k % unit);
  });
}

/// z_j <- a random point of the region around x_j, a function of the number of its image (image_numbers) and
/// of the seed; z_j stays where that is negative. In l_inf uniform, in l2 in a random direction at a distance
/// epsilon u^(1/n), u uniform; then within the range.
template <class Scalar>
struct RandomStart {
  AttackBall<Scalar> ball;
  std::uint64_t seed;
  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar*, MatrixView<Scalar const> x,
                                      MatrixView<Scalar const> image, MatrixView<Scalar> z) const {
    if (image(0, j) < Scalar(0)) return;
    Index const n = x.rows();
    Random const random(
        seed, (static_cast<std::uint64_t>(image(0, j)) << 24) + static_cast<std::uint64_t>(image(1, j)));
    Scalar const* const x_j = &x(0, j);
    Scalar* const z_j = &z(0, j);
    auto const place = [](Index i) { return static_cast<std::uint64_t>(i); };
    if (ball.norm == AttackNorm::l_inf) {
      team.each(n, [=, radius = ball.radius](Index i) {
        z_j[i] = x_j[i] + radius * (Scalar(2) * random.uniform<Scalar>(place(i)) - Scalar(1));
      });
    } else {
      team.each(n, [=](Index i) { z_j[i] = random.normal<Scalar>(place(i)); });
      Scalar const length = column_norm(team, n, [=](Index i) { return z_j[i]; });
      Scalar const u = random.uniform<Scalar>(4 * place(n));  // no normal has read these bits
      Scalar const distance = ball.radius * std::pow(u, Scalar(1) / static_cast<Scalar>(n));
      team.each(n, [=](Index i) { z_j[i] = x_j[i] + distance * (z_j[i] / length); });
    }
    ball.project(team, n, x_j, z_j);
  }
};

}  // namespace detail
}  // namespace detrame::inline DETRAME_ABI
