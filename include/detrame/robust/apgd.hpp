// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/robust/attacked.hpp"
#include "detrame/robust/loss_gradients.hpp"

namespace detrame::inline DETRAME_ABI {

struct ApgdOptions {
  AttackRegion region;
  int steps = 100;
  int restarts = 1;  ///< runs, each from a random start, of the images that are not fooled yet
  AttackLoss loss = AttackLoss::cross_entropy;
  std::uint64_t seed = 0;
  Index first_image = 0;  ///< the number of the first image, for its random start and for errors

  void check() const {
    require_at_least("apgd", "steps", steps, 1);
    require_at_least("apgd", "restarts", restarts, 1);
    require_at_least("apgd", "first_image", first_image, Index{0});
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
  static constexpr double rho = .75;
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
  bool halve(int steps) {
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
    ball.ascend(team, n, step(0, j), &g(0, j), z);
    ball.project(team, n, &x_0(0, j), z);
    team.each(n, [=, a = a](Index i) {
      z[i] = x(i, j) + a * (z[i] - x(i, j)) + (Scalar(1) - a) * (x(i, j) - before(i, j));
    });
    ball.project(team, n, &x_0(0, j), z);
  }
};

/// y_j <- x_j and g_y_j <- g_x_j where `chosen_j` is not 0
struct CopyChosen {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& y, Scalar& g_y, Scalar x, Scalar g_x, Scalar chosen) const {
    if (chosen != Scalar(0)) y = x, g_y = g_x;
  }
};

/// Runs of APGD on images x of these labels, size x n, which leave them when they are fooled.
template <ScoreMap M>
class ApgdRuns {
  using B = typename M::Backend;
  using Scalar = typename B::Scalar;

 public:
  ApgdRuns(M& map, ApgdOptions const& options, ConstView<B> x, std::span<int const> labels)
      : options_(options),
        b_(map.backend()),
        ball_(options.region),
        x_(x),
        all_labels_(labels),
        gradients_("apgd", map, options.loss, true) {}

  /// A run from random starts of the images at these places. In `attacked` they become their points of
  /// largest loss, or the first that are fooled; the places of those that are not.
  std::vector<Index> operator()(std::vector<Index> places, std::uint64_t seed, HostMatrix<Scalar>& attacked) {
    places_ = std::move(places);
    start(seed);
    leave(attacked);
    auto const checkpoints = apgd_checkpoints(options_.steps);
    std::size_t checked = 0;
    for (int step = 1; step <= options_.steps && count() > 0; ++step) {
      move(step == 1 ? Scalar(1) : Scalar(.75));
      look();
      keep([&](std::size_t l) { return going_[l] && rules_[l].took(gradients_.losses[l]); }, z_, gradients_.g,
           best_, best_g_);
      leave(attacked);
      if (checked == checkpoints.size() || step != checkpoints[checked]) continue;
      int const since = checkpoints[checked] - (checked == 0 ? 0 : checkpoints[checked - 1]);
      if (keep([&](std::size_t l) { return rules_[l].halve(since); }, best_, best_g_, z_, gradients_.g))
        put_steps();
      ++checked;
    }
    auto left = places_;
    going_.assign(left.size(), false);
    std::swap(z_, best_);
    leave(attacked);
    return left;
  }

 private:
  Index count() const { return static_cast<Index>(places_.size()); }
  auto number() const {
    return [this](Index l) { return options_.first_image + places_[static_cast<std::size_t>(l)]; };
  }
  template <class F>
  Matrix<B> row(F const& f) const {
    return to_device(
        b_, host_matrix<Scalar>(1, count(), [&](Index, Index l) { return f(static_cast<std::size_t>(l)); }));
  }

  void start(std::uint64_t seed) {
    labels_.clear(), rules_.clear();
    for (Index const j : places_) labels_.push_back(all_labels_[static_cast<std::size_t>(j)]);
    going_.assign(places_.size(), true);
    resize(b_, x_0_, x_.rows(), count());
    gather_columns(b_.lane(), x_, std::span<Index const>(places_), View<B>(x_0_));
    z_ = x_0_;
    each_column(b_, count(), 0, RandomStart<Scalar>{ball_, seed}, ConstView<B>(x_0_),
                ConstView<B>(to_device(b_, image_numbers<Scalar>(count(), number()))), View<B>(z_));
    look();
    for (double const loss : gradients_.losses)
      rules_.push_back({.step = 2 * options_.region.epsilon, .best = loss, .last = loss});
    put_steps();
    before_ = best_ = z_, best_g_ = gradients_.g;
  }

  /// Who is fooled at z, and losses and gradients of the others.
  void look() { gradients_(z_, labels_, number(), going_); }

  void move(Scalar a) {
    resize(b_, next_, z_.rows(), count());
    each_column(b_, count(), 0, ApgdStep<Scalar>{ball_, a}, ConstView<B>(x_0_), ConstView<B>(gradients_.g),
                ConstView<B>(steps_), ConstView<B>(before_), ConstView<B>(z_), View<B>(next_));
    std::swap(before_, z_), std::swap(z_, next_);
  }

  void put_steps() {
    steps_ = row([&](std::size_t l) { return static_cast<Scalar>(rules_[l].step); });
  }

  /// The points, and their gradients, of those that are chosen; whether any is.
  template <class Choose>
  bool keep(Choose const& choose, Matrix<B> const& from, Matrix<B> const& g_from, Matrix<B>& to,
            Matrix<B>& g_to) {
    std::vector<bool> chosen(places_.size());
    for (std::size_t l = 0; l < chosen.size(); ++l) chosen[l] = choose(l);
    if (std::find(chosen.begin(), chosen.end(), true) == chosen.end()) return false;
    auto const there = row([&](std::size_t l) { return Scalar(chosen[l] ? 1 : 0); });
    each(b_.lane(), CopyChosen(), View<B>(to), View<B>(g_to), ConstView<B>(from), ConstView<B>(g_from),
         PerColumn{ConstView<B>(there)});
    return true;
  }

  /// Those that go no more leave: they are attacked as they are now.
  void leave(HostMatrix<Scalar>& attacked) {
    std::vector<Index> gone, stay;
    for (Index l = 0; l < count(); ++l) (going_[static_cast<std::size_t>(l)] ? stay : gone).push_back(l);
    if (gone.empty()) return;
    auto const z = to_host(b_, ConstView<B>(columns(z_, gone)));
    for (Index i = 0; Index const l : gone)
      std::copy_n(z.data() + i++ * z.rows(), z.rows(),
                  attacked.data() + places_[static_cast<std::size_t>(l)] * z.rows());
    for (auto* const m : {&x_0_, &before_, &z_, &best_, &best_g_, &gradients_.g, &steps_})
      *m = columns(*m, stay);
    auto const only_stay = [&](auto& all) {
      for (std::size_t i = 0; i < stay.size(); ++i) all[i] = all[static_cast<std::size_t>(stay[i])];
      all.erase(all.begin() + static_cast<std::ptrdiff_t>(stay.size()), all.end());
    };
    only_stay(places_), only_stay(labels_), only_stay(rules_);
    going_.assign(stay.size(), true);
  }

  Matrix<B> columns(Matrix<B> const& m, std::span<Index const> which) const {
    Matrix<B> some;
    resize(b_, some, m.rows(), static_cast<Index>(which.size()));
    gather_columns(b_.lane(), ConstView<B>(m), which, View<B>(some));
    return some;
  }

  ApgdOptions options_;
  B& b_;
  AttackBall<Scalar> ball_;
  ConstView<B> x_;
  std::span<int const> all_labels_;
  LossGradients<M> gradients_;
  // Of the images at the places that are left, in their order:
  std::vector<Index> places_;
  std::vector<int> labels_;
  std::vector<bool> going_;
  std::vector<ApgdStepRule> rules_;
  Matrix<B> x_0_, before_, z_, next_, best_, best_g_, steps_;
};

}  // namespace detail

/// Auto-PGD: PGD with momentum, whose step is halved where it gains too little, image by image, and which
/// then goes on from the best point.
///
///   z = proj(x_k + step direction(g_k)),  x_k+1 = proj(x_k + a (z - x_k) + (1 - a) (x_k - x_k-1))
///
/// step = 2 epsilon at first, halved by ApgdStepRule at apgd_checkpoints; a = .75, at first 1. An image ends
/// where it is labelled wrong; one that never is becomes the point of largest loss of its last run.
///
/// Shapes    x: channels x (sites n); labels: n, what the images are
/// Requires  what pgd does; steps, restarts >= 1, else DomainError.
/// Ensures   what pgd does
/// Cost      a step: a forward and a pullback of the images that are not fooled yet
/// Source    arXiv 2003.01690, algorithm 1, with its random starts
/// Tested    tests/robust/apgd_test.cpp
template <ScoreMap M>
AttackResult<ScalarOf<M>> apgd(M& map, Input<typename M::Backend> x, std::span<int const> labels,
                               ApgdOptions const& options) {
  using B = typename M::Backend;
  B& b = map.backend();
  options.check();
  detail::Attack<M> const attack("apgd", map, ConstView<B>(x), labels, options.region, options.loss,
                                 options.first_image);
  auto const n = static_cast<Index>(labels.size());
  Matrix<B> images;
  resize(b, images, map.input().size(), n);
  copy_entries(b.lane(), ConstView<B>(x), View<B>(images));
  auto attacked = attack.pixels();
  std::vector<Index> left;
  for (Index j = 0; j < n; ++j)
    if (attack.correct(j)) left.push_back(j);
  detail::ApgdRuns<M> run(map, options, ConstView<B>(images), labels);
  for (int restart = 0; restart < options.restarts && !left.empty(); ++restart)
    left = run(std::move(left), options.seed + static_cast<std::uint64_t>(restart) * 0x9E3779B97F4A7C15ull,
               attacked);
  return attack.judged(std::move(attacked));
}

}  // namespace detrame::inline DETRAME_ABI
