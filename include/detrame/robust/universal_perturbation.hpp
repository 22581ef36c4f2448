// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/core/unobserved.hpp"
#include "detrame/robust/deep_fool.hpp"
#include "detrame/robust/predicted_labels.hpp"

namespace detrame::inline DETRAME_ABI {

struct UniversalOptions {
  AttackNorm norm = AttackNorm::l_inf;
  double xi;                           ///< the radius, in the units of what the map reads
  double delta = .2;                   ///< done where the share 1 - delta is fooled
  std::optional<int> passes;           ///< at most; else 10, and as published without bound
  DeepFoolOptions inner{.steps = 10};  ///< in l2, whatever the norm, as published
  std::uint64_t seed = 0;              ///< of the orders of the passes
  /// The original's rules: passes without bound where `passes` has none; a run of DeepFool counts where it
  /// ended before its last but one step; the last v is the result. Else a run counts where it changed the
  /// label, passes that move nothing are the last ones, and the v of the pass that fooled most is the result.
  bool as_published = false;
  Index ahead = 64;  ///< images, at most, that are labelled at once while v stays

  void check() const {
    detail::require_positive("universal_perturbation", "xi", xi);
    if (!(delta > 0 && delta < 1))
      throw DomainError(message("universal_perturbation: delta = ", delta, ", must be in (0, 1)"));
    if (passes) require_at_least("universal_perturbation", "passes", *passes, 0);
    require_at_least("universal_perturbation", "ahead", ahead, Index{1});
    inner.check("universal_perturbation");
  }
};

struct UniversalPass {
  double rate = 0;      ///< share of the images that the v after it fools
  Index runs = 0;       ///< of DeepFool
  Index discarded = 0;  ///< of these, where it changed no label, or took too long
  Index moves = 0;      ///< of these, that changed v
  Index steps = 0;      ///< of DeepFool, in all
};

/// Where building a universal perturbation stands: all that it needs, beside images and options, to go on
/// with the same bits.
template <class Scalar>
struct UniversalState {
  HostMatrix<Scalar> v;     ///< size x 1; empty: not begun
  HostMatrix<Scalar> best;  ///< the v of the pass that fooled most
  double best_rate = -1;
  std::vector<UniversalPass> done;  ///< the passes that are
  UniversalPass now;                ///< of the present pass so far
  Index position = 0;               ///< images of the present pass that are done
  Index moved_at = 0;               ///< where v was last moved in it

  HostMatrix<Scalar> const& result(UniversalOptions const& options) const {
    return options.as_published || best_rate < 0 ? v : best;
  }
};

enum class UniversalStatus {
  fooled_enough,  ///< the share 1 - delta of the images
  passes_done,
  stalled,  ///< a pass moved nothing, and so would the next
  stopped,  ///< by the observer: call again with the same state
};

namespace detail {

/// The window of images that are labelled at once: from where v was moved they double, up to `ahead`. They
/// are a function of that place, so that one who stops and goes on labels in the same batches.
struct UniversalWindow {
  Index first, end;

  UniversalWindow(Index moved_at, Index position, Index ahead, Index images)
      : first(moved_at), end(moved_at + 1) {
    while (end <= position) {
      Index const size = std::min(2 * (end - first), ahead);
      first = end, end = first + size;
    }
    end = std::min(end, images);
  }
};

/// v <- the nearest v + dv with a norm of at most xi, in l2 along its ray. Whether it moved.
template <class Scalar>
bool move_within(AttackNorm norm, double xi, HostMatrix<Scalar>& v, HostMatrix<Scalar> const& dv) {
  auto const before = v;
  auto const sum = [&](Index i) { return static_cast<double>(before(i, 0)) + static_cast<double>(dv(i, 0)); };
  Index const n = v.rows();
  double const length = norm_in_double(norm, n, sum);
  for (Index i = 0; i < n; ++i)
    v(i, 0) = static_cast<Scalar>(norm == AttackNorm::l_inf ? std::clamp(sum(i), -xi, xi)
                                  : length > xi             ? sum(i) * (xi / length)
                                                            : sum(i));
  keep_within(norm, xi, n, HostMatrix<Scalar>(n, 1).data(), v.data());
  return v != before;
}

/// How building on so many images has ended, if it has.
inline std::optional<UniversalStatus> ended(UniversalOptions const& options, Index images,
                                            std::vector<UniversalPass> const& done) {
  if (images == 0) return UniversalStatus::stalled;
  if (!done.empty() && done.back().rate >= 1 - options.delta) return UniversalStatus::fooled_enough;
  bool const bounded = options.passes || !options.as_published;
  if (bounded && static_cast<int>(done.size()) >= options.passes.value_or(10))
    return UniversalStatus::passes_done;
  if (!options.as_published && !done.empty() && done.back().moves == 0) return UniversalStatus::stalled;
  return std::nullopt;
}

/// Refuses a state that is not one of so many images of a size, and of the radius.
template <class Scalar>
void require_state(UniversalOptions const& options, UniversalState<Scalar> const& state, Index size,
                   Index images) {
  char const* const who = "universal_perturbation";
  if (state.position < 0 || state.position > images || state.moved_at < 0 || state.moved_at > state.position)
    throw ShapeError(message(who, ": a state at image ", state.position, ", moved at ", state.moved_at,
                             ", of ", images, " images"));
  auto const check = [&](char const* name, HostMatrix<Scalar> const& v) {
    require_shape(who, name, v, size, 1);
    double const length = norm_in_double(options.norm, size, [&](Index i) { return v(i, 0); });
    if (!(length <= options.xi))
      throw DomainError(
          message(who, ": a state whose ", name, " has the norm ", length, ", xi is ", options.xi));
  };
  check("v", state.v);
  if (state.best_rate >= 0) check("best", state.best);
}

/// Images in the order of a pass, and what a map makes of them.
template <ScoreMap M>
class UniversalSearch {
  using B = typename M::Backend;
  using Scalar = typename B::Scalar;
  using State = UniversalState<Scalar>;

 public:
  UniversalSearch(M& map, ConstView<B> images, UniversalOptions const& options)
      : map_(map),
        images_(images),
        options_(options),
        labels_(labels({})),
        order_(labels_.size()),
        deep_fool_(map, options.inner) {}

  /// The rest of a pass; false where the observer stopped it.
  template <class Observer>
  bool pass(State& state, Observer& observe) {
    shuffle(Random(options_.seed, state.done.size()), order_);
    auto const n = static_cast<Index>(order_.size());
    while (state.position < n) {
      UniversalWindow const window(state.moved_at, state.position, options_.ahead, n);
      auto const under_v =
          labels_by("universal_perturbation", map_, gathered(window), state.v, {}, options_.ahead,
                    [&](Index p) { return number(order_[static_cast<std::size_t>(window.first + p)]); });
      for (bool moved = false; !moved && state.position < window.end;) {
        auto const image = static_cast<std::size_t>(order_[static_cast<std::size_t>(state.position)]);
        int const label = labels_[image];
        if (label >= 0 && label == under_v[static_cast<std::size_t>(state.position - window.first)])
          moved = move(state, window);
        ++state.position;
        if (moved) state.moved_at = state.position;
        if (!observe(std::as_const(state))) return false;
      }
    }
    finish(state);
    return true;
  }

 private:
  Index number(Index image) const { return options_.inner.first_image + image; }
  /// Of all images under v.
  std::vector<int> labels(HostMatrix<Scalar> const& v) {
    return labels_by("universal_perturbation", map_, images_, v, {}, options_.ahead,
                     NumberedFrom{options_.inner.first_image});
  }
  /// The images of a window, one after the other.
  ConstView<B> gathered(UniversalWindow const& window) {
    Index const sites = map_.input().sites();
    columns_.clear();
    for (Index p = window.first; p < window.end; ++p)
      for (Index s = 0; s < sites; ++s) columns_.push_back(order_[static_cast<std::size_t>(p)] * sites + s);
    resize(map_.backend(), window_, images_.rows(), static_cast<Index>(columns_.size()));
    gather_columns(map_.backend().lane(), images_, std::span<Index const>(columns_), View<B>(window_));
    return window_;
  }

  /// DeepFool at the present image under v, and v moved by what it finds. Whether v is another one then.
  bool move(State& state, UniversalWindow const& window) {
    B& b = map_.backend();
    Shape const shape = map_.input();
    resize(b, under_v_, shape.size(), 1);
    copy_entries(
        b.lane(),
        ConstView<B>(window_).middle_cols((state.position - window.first) * shape.sites(), shape.sites()),
        View<B>(under_v_));
    auto const v = to_device(b, state.v);
    each(b.lane(), formula::Add(), View<B>(under_v_), ConstView<B>(v));
    auto const found = deep_fool_(as_images(shape, ConstView<B>(under_v_)),
                                  number(order_[static_cast<std::size_t>(state.position)]));
    DeepFoolImage const& image = found.images[0];
    bool const accepted = options_.as_published ? image.steps < options_.inner.steps - 1 : image.changed();
    bool const moved = accepted && move_within(options_.norm, options_.xi, state.v, found.v);
    state.now.runs += 1;
    state.now.steps += image.steps;
    state.now.discarded += !accepted;
    state.now.moves += moved;
    return moved;
  }

  void finish(State& state) {
    state.now.rate = fooling_rate(labels_, labels(state.v));
    state.done.push_back(state.now);
    state.now = {};
    state.position = state.moved_at = 0;
    if (state.done.back().rate <= state.best_rate) return;
    state.best_rate = state.done.back().rate;
    state.best = state.v;
  }

  M& map_;
  ConstView<B> images_;
  UniversalOptions options_;
  std::vector<int> labels_;
  std::vector<Index> order_, columns_;
  DeepFool<M> deep_fool_;
  Matrix<B> window_, under_v_;
};

}  // namespace detail

/// A universal perturbation: one v, |v| <= xi, under which many images have another label.
///
///   for each image x, in a random order, whose label is that of x + v:
///     v <- proj(v + dv),  dv what DeepFool finds at x + v
///   until the share 1 - delta of the images is fooled, in at most `passes` passes; of no images none
///
/// `state` is empty, or what an earlier call with these images and options was stopped with; on return it has
/// the result, `state.result(options)`. observe(state) is asked after each image: false stops.
///
/// Shapes    x: channels x (sites n)
/// Requires  what `UniversalOptions::check` looks at, and a state whose v are within xi, else DomainError; a
///           state of these shapes and of so many images, else ShapeError; scores and gradients that are
///           finite, else DomainError with the image, whose number is inner.first_image and its place.
/// Ensures   (1) norm_in_double of v is at most xi; (2) who stops and goes on has the same bits; (3) a rate
///           is the share of images whose predicted label changes. Nothing is clipped.
/// Cost      a pass: for each image that is not fooled a DeepFool, and one to two labels an image, those of
///           the rate not counted.
/// Source    arXiv 1610.08401, algorithm 1, and its authors' programs; what differs is named at
///           UniversalOptions.
/// Tested    tests/robust/universal_perturbation_test.cpp
template <ScoreMap M, class Observer = Unobserved>
UniversalStatus universal_perturbation(M& map, Input<typename M::Backend> x, UniversalOptions const& options,
                                       UniversalState<ScalarOf<M>>& state, Observer&& observe = {}) {
  ConstView<typename M::Backend> const images = x;
  Index const n = samples("universal_perturbation", map.input(), images), size = map.input().size();
  options.check();
  if (state.v.cols() == 0) state.v = HostMatrix<ScalarOf<M>>(size, 1);
  detail::require_state(options, state, size, n);
  detail::UniversalSearch<M> search(map, images, options);
  std::optional<UniversalStatus> status;
  while (!(status = detail::ended(options, n, state.done)))
    if (!search.pass(state, observe)) return UniversalStatus::stopped;
  return *status;
}

}  // namespace detrame::inline DETRAME_ABI
