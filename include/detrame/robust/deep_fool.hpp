// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

#include "detrame/robust/attack_norm.hpp"
#include "detrame/robust/score_map.hpp"
#include "detrame/train/evaluate.hpp"

namespace detrame::inline DETRAME_ABI {

struct DeepFoolOptions {
  AttackNorm norm = AttackNorm::l2;
  Index classes = 10;  ///< that are looked at, at most: the label, and those of the largest other scores
  double overshoot = .02;
  int steps = 50;         ///< at most
  Index first_image = 0;  ///< the number of the first image, for errors

  void check(char const* who) const {
    require_at_least(who, "classes", classes, Index{2});
    require_at_least(who, "overshoot", overshoot, 0.);
    require_at_least(who, "steps", steps, 0);
    require_at_least(who, "first_image", first_image, Index{0});
  }
};

/// What DeepFool found for an image. Norms are of the perturbed image less the image, in double.
struct DeepFoolImage {
  int label = -1;         ///< of the image, by predict; -1: it has none, and the image stays as it is
  int fooled_label = -1;  ///< of the perturbed image, by predict
  int steps = 0;
  double l2 = 0, l_inf = 0;

  bool changed() const { return label >= 0 && fooled_label != label; }
};

template <class Scalar>
struct DeepFoolResult {
  HostMatrix<Scalar> v;  ///< size x n: what is added to image j, its entries in the order of the image's
  std::vector<DeepFoolImage> images;
};

namespace detail {

/// out_j = |G_j|_2, or |G_j|_1 where steps are in l_inf.
template <class Scalar>
struct DualNorm {
  AttackNorm norm;
  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar*, MatrixView<Scalar const> G,
                                      MatrixView<Scalar> out) const {
    Scalar const length = norm == AttackNorm::l2
                              ? column_norm(team, G.rows(), [=](Index i) { return G(i, j); })
                              : team.sum(G.rows(), [=](Index i) { return G(i, j) * sign(G(i, j)); });
    team.once([=] { out(0, j) = length; });
  }
};

/// r_l += length w, z_l = x_l + (1 + overshoot) r_l, with w = g / |g|_2 or sign(g). Row j of `how` has the
/// image l, the column g of G, |g| and the length.
template <class Scalar>
struct DeepFoolStep {
  AttackNorm norm;
  Scalar times;  ///< 1 + overshoot
  template <class Team>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar*, MatrixView<Scalar const> how,
                                      MatrixView<Scalar const> G, MatrixView<Scalar const> x,
                                      MatrixView<Scalar> r, MatrixView<Scalar> z) const {
    Index const l = static_cast<Index>(how(0, j)), column = static_cast<Index>(how(1, j));
    Scalar const g_norm = how(2, j), length = how(3, j);
    team.each(x.rows(), [=, norm = norm, times = times](Index i) {
      Scalar const g = G(i, column);
      r(i, l) += length * (norm == AttackNorm::l2 ? g / g_norm : sign(g));
      z(i, l) = x(i, l) + times * r(i, l);
    });
  }
};

/// DeepFool on a batch, which images leave when they are done.
template <ScoreMap M>
class DeepFool {
  using B = typename M::Backend;
  using Scalar = typename B::Scalar;
  using Scores = HostMatrix<Scalar>;

 public:
  DeepFool(M& map, DeepFoolOptions const& options) : map_(map), options_(options), b_(map.backend()) {
    options_.classes = std::min(options.classes, map.classes());
  }

  /// The first image has that number, for errors.
  DeepFoolResult<Scalar> operator()(ConstView<B> images, Index first_image) {
    first_image_ = first_image;
    Index const n = samples("deep_fool", shape_, images), size = shape_.size();
    resize(b_, x_, size, n), resize(b_, z_, size, n);
    copy_entries(b_.lane(), images, View<B>(x_));
    copy_entries(b_.lane(), images, View<B>(z_));
    r_ = zeros(b_, size, n);
    Scores const first =
        finite_scores("deep_fool", map_, as_images(shape_, ConstView<B>(z_)), NumberedFrom{first_image_});
    labels_ = unique_largest(first);
    choose_classes(first);
    steps_.assign(labels_.size(), 0), reach_.assign(labels_.size(), 0.);
    active_.clear();
    for (Index j = 0; j < n; ++j)
      if (labels_[at(j)] >= 0) active_.push_back(j);

    for (int step = 0; step < options_.steps && !active_.empty(); ++step) {
      Scores scores = scores_of_active();
      if (step > 0 && drop_done(scores)) {
        if (active_.empty()) break;
        scores = scores_of_active();  // pullback is of what the map scored last
      }
      for (Index place = 0; place < count(); ++place)
        require_finite("deep_fool", scores, place, first_image_ + active_[at(place)]);
      move(scores, gradients());
    }
    return result();
  }

 private:
  static std::size_t at(Index j) { return static_cast<std::size_t>(j); }
  Index count() const { return static_cast<Index>(active_.size()); }
  Index rivals() const { return options_.classes - 1; }
  /// The k-th of the classes that the image at a place of `active_` is measured against; k = 0: its own.
  Index class_at(Index k, Index place) const { return classes_[at(active_[at(place)])][at(k)]; }

  void choose_classes(Scores const& y) {
    classes_.resize(labels_.size());
    std::vector<Index> order(at(y.rows()));
    for (Index j = 0; j < y.cols(); ++j) {
      std::iota(order.begin(), order.end(), Index{0});
      std::stable_sort(order.begin(), order.end(), [&](Index i, Index l) { return y(i, j) > y(l, j); });
      classes_[at(j)].assign(order.begin(), order.begin() + options_.classes);
    }
  }

  Scores scores_of_active() {
    resize(b_, moving_, shape_.size(), count());
    gather_columns(b_.lane(), ConstView<B>(z_), std::span<Index const>(active_), View<B>(moving_));
    return to_host(b_, map_.scores(as_images(shape_, ConstView<B>(moving_))));
  }

  static bool finite(Scores const& scores, Index column) {
    for (Index i = 0; i < scores.rows(); ++i)
      if (!std::isfinite(scores(i, column))) return false;
    return true;
  }

  /// Image j as it was.
  void put_back(Index j) {
    copy_entries(b_.lane(), ConstView<B>(x_).middle_cols(j, 1), View<B>(z_).middle_cols(j, 1));
    each(b_.lane(), formula::Fill<Scalar>{0}, View<B>(r_).middle_cols(j, 1));
  }

  /// Whether an image had another label, or went where scores are not finite and was put back: it is active
  /// no more.
  bool drop_done(Scores const& scores) {
    auto const labels = unique_largest(scores);
    std::vector<Index> kept;
    for (Index place = 0; place < count(); ++place) {
      Index const j = active_[at(place)];
      if (!finite(scores, place))
        put_back(j);
      else if (labels[at(place)] == labels_[at(j)])
        kept.push_back(j);
    }
    active_.swap(kept);
    return active_.size() < kept.size();
  }

  /// G_ = the gradients of (score of rival k) - (score of the label), k by k; their norms.
  Scores gradients() {
    Index const n = count();
    resize(b_, G_, shape_.size(), rivals() * n);
    Scores y_bar(map_.classes(), rivals() * n);
    for (Index k = 0; k < rivals(); ++k)
      for (Index p = 0; p < n; ++p)
        y_bar(class_at(0, p), k * n + p) = -1, y_bar(class_at(k + 1, p), k * n + p) = 1;
    auto const there = to_device(b_, y_bar);
    for (Index k = 0; k < rivals(); ++k)
      map_.pullback(ConstView<B>(there).middle_cols(k * n, n),
                    as_images(shape_, View<B>(G_).middle_cols(k * n, n)));
    require_finite_gradients("deep_fool", b_, ConstView<B>(G_),
                             [&](Index column) { return first_image_ + active_[at(column % n)]; });
    Matrix<B> norms;
    resize(b_, norms, 1, rivals() * n);
    each_column(b_, rivals() * n, 0, DualNorm<Scalar>{options_.norm}, ConstView<B>(G_), View<B>(norms));
    return to_host(b_, ConstView<B>(norms));
  }

  /// Every active image steps to the nearest boundary of the map as it is linearised there. One that no
  /// gradient moves is active no more, nor one whose boundary is farther than numbers are.
  void move(Scores const& scores, Scores const& norms) {
    Index const n = count();
    Scores how(4, n);
    std::vector<Index> moved;
    for (Index p = 0; p < n; ++p) {
      double nearest = limits::infinity<double>;
      auto const to = static_cast<Index>(moved.size());
      for (Index k = 0; k < rivals(); ++k) {
        Scalar const norm = norms(0, k * n + p);
        double const gap = static_cast<double>(scores(class_at(k + 1, p), p)) -
                           static_cast<double>(scores(class_at(0, p), p));
        double const distance = std::abs(gap) / static_cast<double>(norm);
        if (!(distance < nearest)) continue;  // nor where there is no gradient
        nearest = distance;
        how(0, to) = static_cast<Scalar>(active_[at(p)]), how(1, to) = static_cast<Scalar>(k * n + p);
        how(2, to) = norm;
        how(3, to) = static_cast<Scalar>(std::min(distance, static_cast<double>(limits::largest<Scalar>)));
      }
      double& reach = reach_[at(active_[at(p)])];
      reach += (1 + options_.overshoot) * nearest;
      if (!(reach < static_cast<double>(limits::largest<Scalar>) / 2)) continue;
      moved.push_back(active_[at(p)]);
      ++steps_[at(active_[at(p)])];
    }
    active_ = std::move(moved);
    auto const there = to_device(b_, how);
    each_column(b_, count(), 0,
                DeepFoolStep<Scalar>{options_.norm, static_cast<Scalar>(1 + options_.overshoot)},
                ConstView<B>(there), ConstView<B>(G_), ConstView<B>(x_), View<B>(r_), View<B>(z_));
  }

  DeepFoolResult<Scalar> result() {
    auto const z_there = [&] { return as_images(shape_, ConstView<B>(z_)); };
    Scores last = predicted_scores("deep_fool", map_, z_there());
    bool back = false;
    for (Index j = 0; j < last.cols(); ++j)
      if (!finite(last, j)) put_back(j), back = true;
    if (back) last = finite_scores("deep_fool", map_, z_there(), NumberedFrom{first_image_});
    auto const fooled = unique_largest(last);
    Scores const x = to_host(b_, ConstView<B>(x_)), z = to_host(b_, ConstView<B>(z_));
    DeepFoolResult<Scalar> result{to_host(b_, ConstView<B>(r_)), {}};
    Scores& v = result.v;
    for (Index j = 0; j < v.cols(); ++j) {
      auto const moved = [&](Index i) { return static_cast<double>(z(i, j)) - static_cast<double>(x(i, j)); };
      for (Index i = 0; i < v.rows(); ++i)
        v(i, j) = static_cast<Scalar>((1 + options_.overshoot) * static_cast<double>(v(i, j)));
      result.images.push_back({labels_[at(j)], fooled[at(j)], steps_[at(j)],
                               norm_in_double(AttackNorm::l2, v.rows(), moved),
                               norm_in_double(AttackNorm::l_inf, v.rows(), moved)});
    }
    return result;
  }

  M& map_;
  DeepFoolOptions options_;
  B& b_;
  Shape shape_ = map_.input();
  Index first_image_ = 0;
  std::vector<int> labels_, steps_;
  std::vector<double> reach_;  ///< the way that an image has gone
  std::vector<std::vector<Index>> classes_;
  std::vector<Index> active_;
  Matrix<B> x_, z_, r_, moving_, G_;
};

}  // namespace detail

/// DeepFool: a small perturbation of each image that changes its label.
///
///   x_t = x + (1 + overshoot) r_t,  r_0 = 0,  f_k = y_k - y_label and w_k = its gradient, at x_t
///   r_t+1 = r_t + |f_k| / |w_k|_2 (w_k / |w_k|_2)     l2: k the class in which |f_k| / |w_k|_2 is least
///   r_t+1 = r_t + |f_k| / |w_k|_1 sign(w_k)           l_inf: |f_k| / |w_k|_1
///
/// until the label changes, at most `steps` times. The classes k are those of the largest scores at x. An
/// image whose next step is farther than half of what a Scalar has stays where it is, and one that came
/// where scores are not finite is put back: neither changes the others.
///
/// Shapes    x: channels x (sites n)
/// Requires  classes >= 2, overshoot, steps, first_image >= 0, else DomainError; scores of x and gradients
///           that are finite, else DomainError with the image.
/// Ensures   (1) of a linear map with all its classes v is 1 + overshoot times the least perturbation that
///               reaches another class, up to rounding; (2) what changed is judged by predict; (3) an image
///               has the same v whatever stands beside it; (4) v is finite. Nothing is clipped.
/// Cost      a step takes a pullback a class but the label, and a forward, two where images are done. Memory:
///           the gradients of all classes but the label of all images.
/// Source    arXiv 1511.04599, algorithm 2; no absolute term is added to the distance, and the overshoot is
///           one of the sum, not of each step.
/// Tested    tests/robust/deep_fool_test.cpp
template <ScoreMap M>
DeepFoolResult<ScalarOf<M>> deep_fool(M& map, Input<typename M::Backend> x, DeepFoolOptions const& options) {
  options.check("deep_fool");
  return detail::DeepFool<M>(map, options)(x, options.first_image);
}

}  // namespace detrame::inline DETRAME_ABI
