// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/robust/attacked.hpp"
#include "detrame/robust/loss_gradients.hpp"

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
  Attack<M> const attack(who, map, images, labels, options.region, options.loss, options.first_image);
  auto const n = static_cast<Index>(labels.size());
  Matrix<B> x;
  resize(b, x, shape.size(), n);
  copy_entries(b.lane(), images, View<B>(x));
  Matrix<B> z = x;

  std::vector<bool> going(labels.size());
  auto const goes = [&](Index j) -> bool { return going[static_cast<std::size_t>(j)]; };
  for (Index j = 0; j < n; ++j)
    going[static_cast<std::size_t>(j)] = !options.stop_when_fooled || attack.correct(j);
  NumberedFrom const number{options.first_image};
  AttackBall<Scalar> const ball(options.region);
  if (options.random_start) {
    auto const numbers = image_numbers<Scalar>(n, [&](Index j) { return goes(j) ? number(j) : Index{-1}; });
    each_column(b, n, 0, RandomStart<Scalar>{ball, options.seed}, ConstView<B>(x),
                ConstView<B>(to_device(b, numbers)), View<B>(z));
  }

  LossGradients<M> gradients(who, map, options.loss, options.stop_when_fooled);
  Matrix<B> going_there;
  for (int step = 0; step < options.steps; ++step) {
    auto const went = going;
    if (!gradients(z, labels, number, going)) break;
    if (step == 0 || going != went)
      going_there =
          to_device(b, host_matrix<Scalar>(1, n, [&](Index, Index j) { return Scalar(goes(j) ? 1 : 0); }));
    each_column(b, n, 0, PgdStep<Scalar>{ball, static_cast<Scalar>(options.step)}, ConstView<B>(x),
                ConstView<B>(gradients.g), ConstView<B>(going_there), View<B>(z));
  }
  return attack.judged(to_host(b, as_images(shape, ConstView<B>(z))));
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
