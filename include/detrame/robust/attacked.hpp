// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "detrame/core/random.hpp"
#include "detrame/robust/attack_loss.hpp"
#include "detrame/robust/attack_norm.hpp"
#include "detrame/robust/predicted_labels.hpp"

namespace detrame::inline DETRAME_ABI {

/// Where an attack may go: |z - x| <= epsilon around each image x, in the units of what the map reads, and
/// the range of pixels, where there is one.
struct AttackRegion {
  AttackNorm norm = AttackNorm::l_inf;
  double epsilon;
  std::optional<PixelRange> range = PixelRange{};

  void check(char const* who) const {
    detail::require_positive(who, "epsilon", epsilon);
    if (range && !(range->low < range->high))
      throw DomainError(message(who, ": the range [", range->low, ", ", range->high, "] is empty"));
  }
};

/// What became of an image. Norms are of the attacked image less the image, in double.
struct AttackedImage {
  int label = 0;          ///< what it is
  int clean_label = -1;   ///< what predict says of the image
  int fooled_label = -1;  ///< and of the attacked one
  double l2 = 0, l_inf = 0;

  bool correct() const { return clean_label == label; }
  bool robust() const { return correct() && fooled_label == label; }
};

template <class Scalar>
struct AttackResult {
  HostMatrix<Scalar> x;  ///< the attacked images, channels x (sites n)
  std::vector<AttackedImage> images;

  /// The share of images that are labelled right, and still so when attacked.
  double robust_accuracy() const {
    auto const robust = std::count_if(images.begin(), images.end(), [](auto const& i) { return i.robust(); });
    return images.empty() ? 0. : static_cast<double>(robust) / static_cast<double>(images.size());
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

/// Refuses what no Scalar can attack, an image outside of the range, and labels that are not one an image.
template <class Scalar>
void require_attackable(char const* who, Shape const& shape, AttackRegion const& region, AttackLoss loss,
                        HostMatrix<Scalar> const& x, std::span<int const> labels, Index first,
                        Index classes) {
  region.check(who);
  if (region.range) region.range->check<Scalar>(who);
  if (static_cast<Scalar>(region.epsilon) == Scalar(0) ||
      region.epsilon > static_cast<double>(limits::largest<Scalar>))
    throw DomainError(message(who, ": epsilon = ", region.epsilon, " is 0 or infinite in this precision"));
  if (Index const least = loss == AttackLoss::dlr ? 3 : 2; classes < least)
    throw DomainError(message(who, ": ", classes, " classes, must be ", least, " at least"));
  Index const n = samples(who, shape, x);
  if (static_cast<Index>(labels.size()) != n)
    throw ShapeError(message(who, ": ", labels.size(), " labels, ", n, " images"));
  for (Index j = 0; j < n; ++j)
    if (int const label = labels[static_cast<std::size_t>(j)]; label < 0 || label >= classes)
      throw DomainError(
          message(who, ": the label of image ", first + j, " is ", label, ", must be in [0, ", classes, ")"));
  for (Index l = 0; l < x.rows() * x.cols(); ++l) {
    double const pixel = static_cast<double>(x.data()[l]);
    if (region.range ? !(pixel >= region.range->low && pixel <= region.range->high) : !std::isfinite(pixel))
      throw DomainError(
          message(who, ": image ", first + l / shape.size(), " has the entry ", pixel,
                  region.range ? message(", must be in [", region.range->low, ", ", region.range->high, "]")
                               : std::string(", must be finite")));
  }
}

/// predicted_labels by whom it is asked, of images from that number on.
template <ScoreMap M>
std::vector<int> predicted_labels_from(char const* who, M& map, ConstView<typename M::Backend> images,
                                       Index first) {
  return labels_by(who, map, images, {}, {}, 256, NumberedFrom{first});
}

/// What became of images x whose attacked ones are z: moved into the region to the last bit, then judged.
/// The first has the number `first`. Refuses attacked images that are not finite.
template <ScoreMap M>
AttackResult<ScalarOf<M>> judged(char const* who, M& map, AttackRegion const& region,
                                 HostMatrix<ScalarOf<M>> const& x, HostMatrix<ScalarOf<M>> z,
                                 std::span<int const> labels, std::span<int const> clean_labels,
                                 Index first) {
  Index const size = map.input().size();
  AttackResult<ScalarOf<M>> result{std::move(z), {}};
  for (std::size_t j = 0; j < labels.size(); ++j) {
    auto const* const from = x.data() + static_cast<Index>(j) * size;
    auto* const to = result.x.data() + static_cast<Index>(j) * size;
    if (!std::all_of(to, to + size, [](auto entry) { return std::isfinite(entry); }))
      throw DomainError(
          message(who, ": image ", first + static_cast<Index>(j), " is not finite when attacked"));
    keep_within(region.norm, region.epsilon, size, from, to);
    auto const moved = [&](Index i) { return static_cast<double>(to[i]) - static_cast<double>(from[i]); };
    result.images.push_back({labels[j], clean_labels[j], -1, norm_in_double(AttackNorm::l2, size, moved),
                             norm_in_double(AttackNorm::l_inf, size, moved)});
  }
  auto const there = to_device(map.backend(), result.x);
  auto const fooled = predicted_labels_from(who, map, ConstView<typename M::Backend>(there), first);
  for (std::size_t j = 0; j < labels.size(); ++j) result.images[j].fooled_label = fooled[j];
  return result;
}

}  // namespace detail
}  // namespace detrame::inline DETRAME_ABI
