// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/robust/attacked.hpp"

namespace detrame::inline DETRAME_ABI {

struct ApgdOptions {
  AttackRegion region;
  int steps = 100;
  int restarts = 1;  ///< runs, each from a random start, of the images that are not fooled yet
  AttackLoss loss = AttackLoss::cross_entropy;
  double rho = .75;       ///< of the steps between two checkpoints, so many must have gained
  double momentum = .75;  ///< the share of the gradient step
  std::uint64_t seed = 0;
  Index first_image = 0;  ///< the number of the first image, for its random start and for errors

  void check() const {
    region.check("apgd");
    require_at_least("apgd", "steps", steps, 1);
    require_at_least("apgd", "restarts", restarts, 1);
    require_at_least("apgd", "first_image", first_image, Index{0});
    for (auto const& [name, value] : {std::pair{"rho", rho}, std::pair{"momentum", momentum}})
      if (!(value > 0 && value <= 1))
        throw DomainError(message("apgd: ", name, " = ", value, ", must be in (0, 1]"));
  }
};

/// After which steps APGD looks back:
///
///   w_j = ceil(p_j steps),  p_0 = 0, p_1 = .22, p_j+1 = p_j + max(p_j - p_j-1 - .03, .06)
///
/// Tested    tests/robust/apgd_test.cpp
inline std::vector<int> apgd_checkpoints(int steps) {
  std::vector<int> checkpoints;
  for (int before = 0, p = 22; p <= 100;) {  // in hundredths, which are exact
    int const step = (p * steps + 99) / 100;
    if (checkpoints.empty() || step > checkpoints.back()) checkpoints.push_back(step);
    int const next = p + std::max(p - before - 3, 6);
    before = p, p = next;
  }
  return checkpoints;
}

/// The step of an image in APGD. It is halved at a checkpoint where less than the share rho of steps since
/// the one before gained, or where neither the step nor the largest loss has changed since. A step gains
/// where its loss is larger than that of the step before. For the first after a return to the best point
/// that is the point which was left, as in the published program; algorithm 1, read to the letter, has the
/// best one.
///
/// Tested    tests/robust/apgd_test.cpp
struct ApgdStepRule {
  double step;
  double best, last;  ///< the largest loss so far, and that of the last step
  double best_before = best;
  int gains = 0;
  bool halved_before = false;

  /// After a step to a point of this loss; whether it is the largest.
  bool took(double loss) {
    gains += loss > last;
    last = loss;
    if (!(loss > best)) return false;
    best = loss;
    return true;
  }
  /// At a checkpoint, so many steps after the one before; whether the step is halved.
  bool halve(int steps, double rho) {
    bool const halved = gains < rho * steps || (!halved_before && best == best_before);
    if (halved) step /= 2;
    halved_before = halved, best_before = best, gains = 0;
    return halved;
  }
};

namespace detail {

/// next = the point that APGD steps to from x, of which `before` is the one before, around x_0:
///
///   z = proj(x + step direction(g)),  next = proj(x + a (z - x) + (1 - a) (x - before))
template <class Scalar>
struct ApgdStep {
  AttackBall<Scalar> ball;
  Scalar a;
  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar*, MatrixView<Scalar const> x_0,
                                      MatrixView<Scalar const> g, MatrixView<Scalar const> step,
                                      MatrixView<Scalar const> before, MatrixView<Scalar const> x,
                                      MatrixView<Scalar> next) const {
    Index const n = x.rows();
    Scalar* const z = &next(0, j);
    team.each(n, [=](Index i) { z[i] = x(i, j); });
    if (step(0, j) == Scalar(0)) return;
    ball.ascend(team, n, step(0, j), &g(0, j), z);
    ball.project(team, n, &x_0(0, j), z);
    team.each(n, [=, a = a](Index i) {
      z[i] = x(i, j) + a * (z[i] - x(i, j)) + (Scalar(1) - a) * (x(i, j) - before(i, j));
    });
    ball.project(team, n, &x_0(0, j), z);
  }
};

/// y_j <- x_j where `chosen_j` is not 0
struct CopyChosen {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& y, Scalar x, Scalar chosen) const {
    if (chosen != Scalar(0)) y = x;
  }
};

/// One run of APGD, for some images.
template <ScoreMap M>
class ApgdRun {
  using B = typename M::Backend;
  using Scalar = typename B::Scalar;
  using Row = HostMatrix<Scalar>;

 public:
  ApgdRun(M& map, ApgdOptions const& options) : map_(map), options_(options), b_(map.backend()) {}

  /// The images x_0, size x n, of these numbers and labels become their points of largest loss, or the first
  /// that are fooled; whether they are.
  std::vector<bool> operator()(Matrix<B>& images, std::vector<Index> const& numbers,
                               std::vector<int> const& labels, std::uint64_t seed) {
    auto const n = static_cast<Index>(labels.size());
    numbers_ = numbers, labels_ = labels;
    fooled_.assign(labels.size(), false);
    Matrix<B> const x_0 = images;
    AttackBall<Scalar> const ball(options_.region);
    auto const number = to_device(
        b_, image_numbers<Scalar>(n, [&](Index j) { return numbers_[static_cast<std::size_t>(j)]; }));
    x_ = before_ = next_ = g_ = best_g_ = x_0;
    each_column(b_, n, 0, RandomStart<Scalar>{ball, seed}, ConstView<B>(x_0), ConstView<B>(number),
                View<B>(x_));
    copy_entries(b_.lane(), ConstView<B>(x_), View<B>(images));
    rules_.clear();
    score();
    for (double const loss : losses_)
      rules_.push_back({.step = 2 * options_.region.epsilon, .best = loss, .last = loss});
    copy_entries(b_.lane(), ConstView<B>(g_), View<B>(best_g_));

    auto const checkpoints = apgd_checkpoints(options_.steps);
    std::size_t checked = 0;
    for (int step = 1; step <= options_.steps && !all_fooled(); ++step) {
      move(x_0, ball, step == 1 ? Scalar(1) : static_cast<Scalar>(options_.momentum));
      auto const was_fooled = fooled_;
      score();
      std::vector<bool> const gained = took(was_fooled);
      keep(gained, x_, images, g_, best_g_);
      if (checked == checkpoints.size() || step != checkpoints[checked]) continue;
      int const since = checkpoints[checked] - (checked == 0 ? 0 : checkpoints[checked - 1]);
      std::vector<bool> halved(labels.size());
      for (std::size_t j = 0; j < labels.size(); ++j)
        halved[j] = !fooled_[j] && rules_[j].halve(since, options_.rho);
      keep(halved, images, x_, best_g_, g_);
      ++checked;
    }
    return fooled_;
  }

 private:
  template <class F>
  Row row(F const& f) const {
    return host_matrix<Scalar>(1, static_cast<Index>(labels_.size()),
                               [&](Index, Index j) { return f(static_cast<std::size_t>(j)); });
  }
  bool all_fooled() const { return std::find(fooled_.begin(), fooled_.end(), false) == fooled_.end(); }

  /// Losses at x_, who is fooled there, and gradients of the others.
  void score() {
    auto const y = to_host(b_, map_.scores(as_images(map_.input(), ConstView<B>(x_))));
    auto const now = unique_largest(y);
    Row y_bar(y.rows(), y.cols());
    losses_.assign(labels_.size(), 0);
    for (std::size_t j = 0; j < labels_.size(); ++j) {
      require_finite("apgd", y, static_cast<Index>(j), numbers_[j]);
      if (fooled_[j]) continue;
      losses_[j] = attack_loss(options_.loss, y, static_cast<Index>(j), labels_[j], y_bar);
      fooled_[j] = now[j] != labels_[j];
    }
    if (all_fooled()) return;
    auto const there = to_device(b_, y_bar);
    map_.pullback(ConstView<B>(there), as_images(map_.input(), View<B>(g_)));
    require_finite_gradients("apgd", b_, ConstView<B>(g_), [&](Index j) {
      auto const l = static_cast<std::size_t>(j);
      return fooled_[l] ? -1 : numbers_[l];
    });
  }

  void move(Matrix<B> const& x_0, AttackBall<Scalar> const& ball, Scalar a) {
    auto const steps = to_device(
        b_, row([&](std::size_t j) { return fooled_[j] ? Scalar(0) : static_cast<Scalar>(rules_[j].step); }));
    each_column(b_, x_0.cols(), 0, ApgdStep<Scalar>{ball, a}, ConstView<B>(x_0), ConstView<B>(g_),
                ConstView<B>(steps), ConstView<B>(before_), ConstView<B>(x_), View<B>(next_));
    std::swap(before_, x_), std::swap(x_, next_);
  }

  /// Whose point is the best now: of largest loss, or fooled.
  std::vector<bool> took(std::vector<bool> const& was_fooled) {
    std::vector<bool> gained(labels_.size());
    for (std::size_t j = 0; j < labels_.size(); ++j)
      gained[j] = !was_fooled[j] && (rules_[j].took(losses_[j]) || fooled_[j]);
    return gained;
  }

  /// The points, and their gradients, of the chosen.
  void keep(std::vector<bool> const& chosen, Matrix<B> const& from, Matrix<B>& to, Matrix<B> const& g_from,
            Matrix<B>& g_to) {
    if (std::find(chosen.begin(), chosen.end(), true) == chosen.end()) return;
    auto const there = to_device(b_, row([&](std::size_t j) { return chosen[j] ? Scalar(1) : Scalar(0); }));
    each(b_.lane(), CopyChosen(), View<B>(to), ConstView<B>(from), PerColumn{ConstView<B>(there)});
    each(b_.lane(), CopyChosen(), View<B>(g_to), ConstView<B>(g_from), PerColumn{ConstView<B>(there)});
  }

  M& map_;
  ApgdOptions options_;
  B& b_;
  std::vector<Index> numbers_;
  std::vector<int> labels_;
  std::vector<bool> fooled_;
  std::vector<double> losses_;
  std::vector<ApgdStepRule> rules_;
  Matrix<B> x_, before_, next_, g_, best_g_;
};

}  // namespace detail

/// Auto-PGD: PGD with momentum, whose step is halved where it gains too little, image by image, and which
/// then goes on from the best point.
///
///   z = proj(x_k + step direction(g_k)),  x_k+1 = proj(x_k + a (z - x_k) + (1 - a) (x_k - x_k-1))
///
/// step = 2 epsilon at first, halved by ApgdStepRule at apgd_checkpoints; a the momentum, at first 1.
/// An image ends where it is labelled wrong; one that never is becomes the point of largest loss of its last
/// run.
///
/// Shapes    x: channels x (sites n); labels: n, what the images are
/// Requires  what pgd does; steps, restarts >= 1; rho and momentum in (0, 1], else DomainError.
/// Ensures   what pgd does
/// Cost      a step: a forward and a pullback of all images of the run, until all are fooled; a restart takes
///           those that are not.
/// Source    arXiv 2003.01690, algorithm 1, with its random starts
/// Tested    tests/robust/apgd_test.cpp
template <ScoreMap M>
AttackResult<ScalarOf<M>> apgd(M& map, Input<typename M::Backend> x, std::span<int const> labels,
                               ApgdOptions const& options) {
  using B = typename M::Backend;
  B& b = map.backend();
  Shape const shape = map.input();
  options.check();
  auto const pixels = to_host(b, ConstView<B>(x));
  detail::require_attackable("apgd", shape, options.region, options.loss, pixels, labels, options.first_image,
                             map.classes());
  auto const clean = detail::predicted_labels_from("apgd", map, ConstView<B>(x), options.first_image);
  auto attacked = pixels;
  std::vector<Index> left;
  for (std::size_t j = 0; j < labels.size(); ++j)
    if (clean[j] == labels[j]) left.push_back(static_cast<Index>(j));

  detail::ApgdRun<M> run(map, options);
  Matrix<B> images;
  for (int restart = 0; restart < options.restarts && !left.empty(); ++restart) {
    std::vector<Index> columns, numbers, still;
    std::vector<int> their_labels;
    for (Index const j : left) {
      for (Index s = 0; s < shape.sites(); ++s) columns.push_back(j * shape.sites() + s);
      numbers.push_back(options.first_image + j);
      their_labels.push_back(labels[static_cast<std::size_t>(j)]);
    }
    auto const n = static_cast<Index>(left.size());
    resize(b, images, shape.size(), n);
    gather_columns(b.lane(), ConstView<B>(x), std::span<Index const>(columns),
                   detail::as_images(shape, View<B>(images)));
    auto const fooled = run(images, numbers, their_labels,
                            options.seed + static_cast<std::uint64_t>(restart) * 0x9E3779B97F4A7C15ull);
    auto const ends = to_host(b, ConstView<B>(images));
    for (Index l = 0; l < n; ++l) {
      Index const j = left[static_cast<std::size_t>(l)];
      std::copy_n(ends.data() + l * shape.size(), shape.size(), attacked.data() + j * shape.size());
      if (!fooled[static_cast<std::size_t>(l)]) still.push_back(j);
    }
    left = std::move(still);
  }
  return detail::judged("apgd", map, options.region, pixels, std::move(attacked), labels, clean,
                        options.first_image);
}

}  // namespace detrame::inline DETRAME_ABI
