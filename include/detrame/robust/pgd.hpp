// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/robust/attacked.hpp"

namespace detrame::inline DETRAME_ABI {

struct PgdOptions {
  AttackRegion region;
  double step;  ///< in the units of epsilon
  int steps;
  AttackLoss loss = AttackLoss::cross_entropy;
  bool random_start = false;
  /// An image that is labelled wrong, at first or after a step, stays where it is. Else all steps are taken.
  bool stop_when_fooled = true;
  std::uint64_t seed = 0;
  Index first_image = 0;  ///< the number of the first image, for its random start and for errors

  void check(char const* who) const {
    region.check(who);
    detail::require_positive(who, "step", step);
    require_at_least(who, "steps", steps, 0);
    require_at_least(who, "first_image", first_image, Index{0});
  }
};

namespace detail {

/// z_j <- the projection of z_j + step direction(g_j), where `going_j` is not 0.
template <class Scalar>
struct PgdStep {
  AttackBall<Scalar> ball;
  Scalar step;
  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar*, MatrixView<Scalar const> x,
                                      MatrixView<Scalar const> g, MatrixView<Scalar const> going,
                                      MatrixView<Scalar> z) const {
    if (going(0, j) == Scalar(0)) return;
    ball.ascend(team, x.rows(), step, &g(0, j), &z(0, j));
    ball.project(team, x.rows(), &x(0, j), &z(0, j));
  }
};

template <ScoreMap M>
AttackResult<ScalarOf<M>> pgd(char const* who, M& map, ConstView<typename M::Backend> images,
                              std::span<int const> labels, PgdOptions const& options) {
  using B = typename M::Backend;
  using Scalar = typename B::Scalar;
  B& b = map.backend();
  Shape const shape = map.input();
  options.check(who);
  auto const pixels = to_host(b, images);
  require_attackable(who, shape, options.region, options.loss, pixels, labels, options.first_image,
                     map.classes());
  auto const clean = predicted_labels_from(who, map, images, options.first_image);
  auto const n = static_cast<Index>(labels.size());
  Matrix<B> x, g;
  resize(b, x, shape.size(), n), resize(b, g, shape.size(), n);
  copy_entries(b.lane(), images, View<B>(x));
  Matrix<B> z = x;

  HostMatrix<Scalar> going(1, n, Scalar(1));
  for (Index j = 0; j < n; ++j) {
    auto const l = static_cast<std::size_t>(j);
    if (options.stop_when_fooled && clean[l] != labels[l]) going(0, j) = 0;
  }
  auto const number = [&](Index j) { return going(0, j) == Scalar(0) ? -1 : options.first_image + j; };
  AttackBall<Scalar> const ball(options.region);
  if (options.random_start)
    each_column(b, n, 0, RandomStart<Scalar>{ball, options.seed}, ConstView<B>(x),
                ConstView<B>(to_device(b, image_numbers<Scalar>(n, number))), View<B>(z));

  for (int step = 0; step < options.steps; ++step) {
    auto const y = to_host(b, map.scores(as_images(shape, ConstView<B>(z))));
    auto const now = unique_largest(y);
    HostMatrix<Scalar> y_bar(y.rows(), n);
    bool any = false;
    for (Index j = 0; j < n; ++j) {
      auto const l = static_cast<std::size_t>(j);
      require_finite(who, y, j, options.first_image + j);
      if (options.stop_when_fooled && now[l] != labels[l]) going(0, j) = 0;
      if (going(0, j) == Scalar(0)) continue;
      attack_loss(options.loss, y, j, labels[l], y_bar);
      any = true;
    }
    if (!any) break;
    auto const y_bar_there = to_device(b, y_bar), going_there = to_device(b, going);
    map.pullback(ConstView<B>(y_bar_there), as_images(shape, View<B>(g)));
    require_finite_gradients(who, b, ConstView<B>(g), number);
    each_column(b, n, 0, PgdStep<Scalar>{ball, static_cast<Scalar>(options.step)}, ConstView<B>(x),
                ConstView<B>(g), ConstView<B>(going_there), View<B>(z));
  }
  auto attacked = to_host(b, as_images(shape, ConstView<B>(z)));
  return judged(who, map, options.region, pixels, std::move(attacked), labels, clean, options.first_image);
}

}  // namespace detail

/// Projected gradient ascent of a loss.
///
///   z <- proj(z + step direction(g)),  g the gradient of the loss at z
///   direction(g) = g / |g|_2 in l2, sign(g) in l_inf;  proj: on the ball around x, then on the range
///
/// Shapes    x: channels x (sites n); labels: n, what the images are
/// Requires  epsilon, step > 0 and finite, and epsilon in the precision of the map too, steps, first_image
///           >= 0, images within the range, labels that are classes, two classes, three for dlr, else
///           DomainError; a label an image, else ShapeError; scores and gradients that are finite, else
///           DomainError with the image.
/// Ensures   (1) entries are finite, norms in double at most epsilon, entries in double within the range;
///           (2) an image is attacked the same way, up to rounding of scores, whatever stands beside it, and
///           where batches begin; (3) labels are by predict.
/// Cost      a step: a forward and a pullback of all images
/// Source    arXiv 1706.06083
/// Tested    tests/robust/pgd_test.cpp
template <ScoreMap M>
AttackResult<ScalarOf<M>> pgd(M& map, Input<typename M::Backend> x, std::span<int const> labels,
                              PgdOptions const& options) {
  return detail::pgd("pgd", map, ConstView<typename M::Backend>(x), labels, options);
}

/// The fast gradient (sign) method: one step of PGD, as long as the radius, from the image.
///
///   z = proj(x + epsilon direction(g)),  g the gradient of the loss at x
///
/// Requires  what pgd does. An image that is labelled wrong is attacked too.
/// Source    arXiv 1412.6572, in l_inf
/// Tested    tests/robust/pgd_test.cpp
template <ScoreMap M>
AttackResult<ScalarOf<M>> fgsm(M& map, Input<typename M::Backend> x, std::span<int const> labels,
                               AttackRegion const& region, AttackLoss loss = AttackLoss::cross_entropy,
                               Index first_image = 0) {
  return detail::pgd("fgsm", map, ConstView<typename M::Backend>(x), labels,
                     {.region = region,
                      .step = region.epsilon,
                      .steps = 1,
                      .loss = loss,
                      .stop_when_fooled = false,
                      .first_image = first_image});
}

}  // namespace detrame::inline DETRAME_ABI
