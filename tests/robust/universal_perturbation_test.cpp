// SPDX-License-Identifier: Apache-2.0
#include "detrame/robust/universal_perturbation.hpp"

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/robust/perturbation_norms.hpp"
#include "laws/archetype.hpp"
#include "robust/linear_scores.hpp"

namespace detrame {

#define BACKENDS Cpu<float>, Cpu<double>, archetype::Loops<float>, archetype::Loops<double>

namespace {

/// A plane with normal w, and images on one side of it, at distances from .2 to 1.
struct Planted {
  static constexpr Shape shape{2, 3, 4};
  HostMatrix<double> w = test::normal_matrix<double>(shape.size(), 1, test::seed(5));
  HostMatrix<double> x = test::normal_matrix<double>(shape.size(), 30, test::seed(6));

  Planted() {
    double const length = norm_in_double(AttackNorm::l2, w.rows(), [&](Index i) { return w(i, 0); });
    for (Index i = 0; i < w.rows(); ++i) w(i, 0) /= length;
    for (Index j = 0; j < x.cols(); ++j) {
      double const distance = .2 + .8 * static_cast<double>(j) / 29;
      double inner = 0;
      for (Index i = 0; i < w.rows(); ++i) inner += w(i, 0) * x(i, j);
      for (Index i = 0; i < w.rows(); ++i) x(i, j) -= (inner + distance) * w(i, 0);
    }
  }
  template <Backend B>
  test::LinearScores<B> map(B& b) const {
    return {b, shape,
            host_matrix<double>(2, w.rows(), [&](Index i, Index l) { return i == 0 ? 0 : w(l, 0); }),
            HostMatrix<double>(2, 1)};
  }
  template <Backend B>
  Matrix<B> images(B& b) const {
    return test::in_memory_of(b, test::reshaped(x, shape.channels, shape.sites() * x.cols()));
  }
};

template <class Scalar>
double length(AttackNorm norm, HostMatrix<Scalar> const& v) {
  return norm_in_double(norm, v.rows(), [&](Index i) { return v(i, 0); });
}

/// Five classes, of which no perturbation of the radius below fools all images.
struct Five : test::LinearProblem {
  Five() : LinearProblem(40) {}
  UniversalOptions options{.norm = AttackNorm::l2,
                           .xi = .35,
                           .delta = .01,
                           .passes = 4,
                           .inner = {.classes = 5, .steps = 5},
                           .seed = 3,
                           .ahead = 8};
};

bool same(UniversalPass const& a, UniversalPass const& b) {
  return a.rate == b.rate && a.runs == b.runs && a.discarded == b.discarded && a.moves == b.moves &&
         a.steps == b.steps;
}

}  // namespace

TEST_CASE_TEMPLATE("a universal perturbation finds the planted direction, and no radius is exceeded", B,
                   BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  Planted const p;
  auto map = p.map(b);
  auto const x = p.images(b);
  for (AttackNorm const norm : {AttackNorm::l2, AttackNorm::l_inf}) {
    double w_1 = 0;
    for (Index i = 0; i < p.w.rows(); ++i) w_1 += std::abs(p.w(i, 0));
    double const xi = norm == AttackNorm::l2 ? 1.1 : 1.6 / w_1;  // the farthest image is 1, or 1 / w_1, away
    // In l_inf v is cut off, so that by a small overshoot it would but come near the farthest plane.
    double const overshoot = norm == AttackNorm::l2 ? .02 : 1;
    UniversalOptions const options{.norm = norm,
                                   .xi = xi,
                                   .delta = .01,
                                   .passes = 40,
                                   .inner = {.classes = 2, .overshoot = overshoot, .steps = 10}};
    UniversalState<Scalar> state;
    auto const status = universal_perturbation(map, x, options, state, [&](UniversalState<Scalar> const& s) {
      CHECK(length(norm, s.v) <= xi);
      return true;
    });
    CHECK(status == UniversalStatus::fooled_enough);
    CHECK(state.done.back().rate == 1);
    CHECK(state.best_rate == 1);
    HostMatrix<Scalar> const& v = state.result(options);
    double inner = 0;
    for (Index i = 0; i < v.rows(); ++i) inner += static_cast<double>(v(i, 0)) * p.w(i, 0);
    CHECK(inner >= 1);  // so far that every image crosses the plane
    if (norm == AttackNorm::l2)
      CHECK(inner <= 1.02 + double(test::tolerance<Scalar>(24, 4)));  // and no farther
    if (norm == AttackNorm::l2)
      CHECK(inner >= length(norm, v) * (1 - double(test::tolerance<Scalar>(24, 1))));
    auto const labels = predicted_labels(map, x);
    CHECK(fooling_rate(labels, predicted_labels(map, x, random_signs<Scalar>(p.shape, norm, xi, 1))) < .5);
  }
}

TEST_CASE_TEMPLATE("a universal perturbation's radius stops it short of a plane that is farther", B,
                   BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  Planted const p;
  auto map = p.map(b);
  UniversalOptions const options{
      .norm = AttackNorm::l2, .xi = .6, .delta = .01, .passes = 3, .inner = {.classes = 2}};
  UniversalState<Scalar> state;
  CHECK(universal_perturbation(map, p.images(b), options, state) == UniversalStatus::passes_done);
  CHECK(state.done.back().rate == 15. / 30);  // those nearer than .6
  CHECK(length(AttackNorm::l2, state.v) > .6 * (1 - 1e-5));
}

TEST_CASE_TEMPLATE("a universal perturbation that is stopped and goes on has the same bits", B, BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  Five const p;
  test::LinearScores map(b, p.shape, p.W, p.c);
  auto const x = p.images(b);
  UniversalState<Scalar> whole;
  CHECK(universal_perturbation(map, x, p.options, whole) == UniversalStatus::passes_done);
  REQUIRE(whole.done.size() == 4);
  REQUIRE(whole.done[1].moves > 3);
  for (int const every : {1, 7}) {
    UniversalState<Scalar> state;
    int stops = 0, images = 0;
    for (UniversalStatus status = UniversalStatus::stopped; status == UniversalStatus::stopped; ++stops) {
      UniversalState<Scalar> read = state;  // as from a file
      status = universal_perturbation(map, x, p.options, read,
                                      [&](UniversalState<Scalar> const&) { return ++images % every != 0; });
      state = read;
      REQUIRE(stops < 200);
    }
    CHECK(stops == 160 / every + 1);
    CHECK(state.v == whole.v);
    CHECK(state.best == whole.best);
    CHECK(state.best_rate == whole.best_rate);
    REQUIRE(state.done.size() == 4);
    for (std::size_t i = 0; i < 4; ++i) CHECK(same(state.done[i], whole.done[i]));
  }
}

namespace {

/// What predict labels some images under v differs with the size of the batch.
template <Backend B>
struct OfBatches : test::LinearScores<B> {
  using Base = test::LinearScores<B>;
  using Scalar = typename B::Scalar;
  struct Raise {
    Scalar by;
    void operator()(Scalar& y) const { y += by; }
  };

  explicit OfBatches(Base map) : Base(std::move(map)) {}
  void predict(ConstView<B> x, View<B> y) {
    Base::predict(x, y);
    each(this->backend().lane(), Raise{static_cast<Scalar>(y.cols() % 3) / 4}, y.middle_rows(0, 1));
  }
};

}  // namespace

TEST_CASE_TEMPLATE("a universal perturbation that goes on labels in the batches of one that was not stopped",
                   B, BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  Planted const p;
  OfBatches<B> map(p.map(b));
  auto const x = p.images(b);
  UniversalOptions const options{.norm = AttackNorm::l2,
                                 .xi = 2,
                                 .delta = .01,
                                 .passes = 4,
                                 .inner = {.classes = 2, .overshoot = .5},
                                 .ahead = 8};
  UniversalState<Scalar> whole, state;
  universal_perturbation(map, x, options, whole);
  int images = 0;
  while (universal_perturbation(map, x, options, state, [&](UniversalState<Scalar> const&) {
           return ++images % 3 != 0;
         }) == UniversalStatus::stopped)
    REQUIRE(images < 500);
  CHECK(state.v == whole.v);
  REQUIRE(state.done.size() == whole.done.size());
  for (std::size_t i = 0; i < whole.done.size(); ++i) CHECK(same(state.done[i], whole.done[i]));
}

TEST_CASE_TEMPLATE("a universal perturbation: the best v is kept, and rates are those of predicted labels", B,
                   BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  Five p;
  test::LinearScores map(b, p.shape, p.W, p.c);
  auto const x = p.images(b);
  bool last_is_worse = false, seeds_differ = false;
  HostMatrix<Scalar> of_the_first;
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    p.options.seed = seed;
    UniversalState<Scalar> state;
    universal_perturbation(map, x, p.options, state);
    auto const rate = [&](HostMatrix<Scalar> const& v) {  // in closed form
      auto const z =
          host_matrix<double>(p.x.rows(), 40, [&](Index i, Index j) { return p.x(i, j) + double(v(i, 0)); });
      int changed = 0;
      for (Index j = 0; j < 40; ++j) changed += p.label(z, j) != p.label(p.x, j);
      return changed / 40.;
    };
    double best = 0;
    for (auto const& pass : state.done) best = std::max(best, pass.rate);
    CHECK(state.best_rate == best);
    CHECK(rate(state.best) == best);
    CHECK(rate(state.v) == state.done.back().rate);
    CHECK(state.result(p.options) == state.best);
    last_is_worse = last_is_worse || state.done.back().rate < best;
    if (seed == 0) of_the_first = state.v;
    seeds_differ = seeds_differ || state.v != of_the_first;
    for (auto const& pass : state.done) {
      CHECK(pass.runs == pass.steps);  // a linear map takes one step
      CHECK(pass.discarded == 0);
      CHECK(pass.moves <= pass.runs);
      CHECK(pass.runs <= 40);
    }
  }
  CHECK(last_is_worse);
  CHECK(seeds_differ);
}

TEST_CASE_TEMPLATE(
    "a universal perturbation as published: no bound of passes, the last v, the last step but one", B,
    BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  Five p;
  test::LinearScores map(b, p.shape, p.W, p.c);
  auto const x = p.images(b);
  p.options.as_published = true;
  UniversalState<Scalar> bounded;  // a bound that is given is kept
  CHECK(universal_perturbation(map, x, p.options, bounded) == UniversalStatus::passes_done);
  CHECK(bounded.done.size() == 4);
  p.options.passes.reset();
  UniversalState<Scalar> state;
  auto const status = universal_perturbation(
      map, x, p.options, state, [&](UniversalState<Scalar> const& s) { return s.done.size() < 7; });
  CHECK(status == UniversalStatus::stopped);
  CHECK(state.done.size() == 7);
  CHECK(state.result(p.options) == state.v);

  p.options.inner.steps = 2;  // one step, which is enough, is not before the last but one
  UniversalState<Scalar> nothing;
  universal_perturbation(map, x, p.options, nothing,
                         [&](UniversalState<Scalar> const& s) { return s.done.size() < 3; });
  CHECK(nothing.v == HostMatrix<Scalar>(p.x.rows(), 1));
  CHECK(nothing.done[0].discarded == 40);

  p.options.as_published = false;
  UniversalState<Scalar> moved;
  universal_perturbation(map, x, p.options, moved);
  CHECK(moved.done[0].discarded == 0);
  CHECK(moved.done[0].moves > 0);

  p.options.inner.steps = 0;  // no run changes a label: the next pass would be as this one
  UniversalState<Scalar> stalled;
  CHECK(universal_perturbation(map, x, p.options, stalled) == UniversalStatus::stalled);
  CHECK(stalled.done.size() == 1);
  CHECK(stalled.done[0].discarded == 40);
}

TEST_CASE("windows of images that are labelled at once are a function of where v was moved") {
  std::vector<Index> firsts, ends;
  for (Index position = 3; position < 60; ++position) {
    detail::UniversalWindow const window(3, position, 16, 58 + 2);
    CHECK((window.first <= position && position < window.end));
    if (firsts.empty() || firsts.back() != window.first) {
      firsts.push_back(window.first);
      ends.push_back(window.end);
    }
  }
  CHECK(firsts == std::vector<Index>{3, 4, 6, 10, 18, 34, 50});
  CHECK(ends == std::vector<Index>{4, 6, 10, 18, 34, 50, 60});
}

TEST_CASE_TEMPLATE("a universal perturbation has the same bits for any number of threads", Scalar, float,
                   double) {
  Five const p;
  UniversalState<Scalar> states[2];
  for (int threads : {1, 3}) {
    Cpu<Scalar> cpu(threads);
    test::LinearScores map(cpu, p.shape, p.W, p.c);
    universal_perturbation(map, p.images(cpu), p.options, states[threads == 3]);
  }
  CHECK(states[0].v == states[1].v);
  CHECK(states[0].best == states[1].best);
}

TEST_CASE_TEMPLATE("predicted labels: in batches, under v, within a box; rates", B, BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  test::LinearProblem const p(9);
  test::LinearScores map(b, p.shape, p.W, p.c);
  auto const x = p.images(b);
  HostMatrix<Scalar> v(p.x.rows(), 1);
  for (Index i = 0; i < v.rows(); ++i) v(i, 0) = Scalar(i % 2 ? .5 : -.5);
  std::optional<PixelRange> const boxes[] = {std::nullopt, PixelRange{}, PixelRange{.2, .3}};
  std::vector<int> differing;
  for (auto const& box : boxes) {
    auto const z = host_matrix<double>(p.x.rows(), 9, [&](Index i, Index j) {
      double const shifted = p.x(i, j) + static_cast<double>(v(i, 0));
      return box ? std::clamp(shifted, box->low, box->high) : shifted;
    });
    for (Index const batch : {1, 4, 9, 100}) {
      auto const labels = predicted_labels(map, x, v, box, batch);
      REQUIRE(labels.size() == 9);
      for (Index j = 0; j < 9; ++j) CHECK(labels[static_cast<std::size_t>(j)] == p.label(z, j));
      if (batch == 1) differing.insert(differing.end(), labels.begin(), labels.end());
    }
  }
  CHECK(!std::equal(differing.begin(), differing.begin() + 9, differing.begin() + 9));  // the box matters

  CHECK(fooling_rate(std::vector{1, 2, -1, 0}, std::vector{1, 1, 2, -1}) == .5);
  CHECK(accuracy(std::vector{1, 2, -1, 0}, std::vector{1, 1, 1, 0}) == .5);
  CHECK((fooling_rate({}, {}) == 0 && accuracy({}, {}) == 0));
  CHECK_THROWS_AS(fooling_rate(std::vector{1}, {}), ShapeError);
  CHECK_THROWS_AS(accuracy(std::vector{1}, {}), ShapeError);
  CHECK_THROWS_AS(predicted_labels(map, x, v, {}, 0), DomainError);
  CHECK_THROWS_AS(predicted_labels(map, x, HostMatrix<Scalar>(3, 1)), ShapeError);
}

TEST_CASE_TEMPLATE("a universal perturbation of no images ends at once, as published too", Scalar, float,
                   double) {
  Cpu<Scalar> b;
  Five p;
  test::LinearScores map(b, p.shape, p.W, p.c);
  p.options.passes.reset();
  for (bool const as_published : {false, true}) {
    p.options.as_published = as_published;
    UniversalState<Scalar> state;
    CHECK(universal_perturbation(map, ConstView<Cpu<Scalar>>(p.images(b)).middle_cols(0, 0), p.options,
                                 state) == UniversalStatus::stalled);
    CHECK(state.done.empty());
  }
}

TEST_CASE_TEMPLATE("a universal perturbation refuses a state of other images, or of another radius", Scalar,
                   float, double) {
  using B = Cpu<Scalar>;
  B b;
  Five const p;
  test::LinearScores map(b, p.shape, p.W, p.c);
  auto const x = p.images(b);
  UniversalState<Scalar> stopped;
  universal_perturbation(map, x, p.options, stopped,
                         [](UniversalState<Scalar> const& s) { return s.done.empty() || s.position < 15; });
  REQUIRE(stopped.position == 15);
  auto state = stopped;
  CHECK_THROWS_AS(universal_perturbation(map, ConstView<B>(x).middle_cols(0, 40), p.options, state),
                  ShapeError);
  state.moved_at = 16;
  CHECK_THROWS_AS(universal_perturbation(map, x, p.options, state), ShapeError);
  state = stopped, state.best = HostMatrix<Scalar>(3, 1);
  CHECK_THROWS_AS(universal_perturbation(map, x, p.options, state), ShapeError);
  state = stopped;
  auto options = p.options;
  options.xi = .01;
  CHECK_THROWS_AS(universal_perturbation(map, x, options, state), DomainError);
  CHECK(state.v == stopped.v);
}

TEST_CASE_TEMPLATE("a universal perturbation's errors name the image, not its place in a window", Scalar,
                   float, double) {
  using B = Cpu<Scalar>;
  B b;
  Five p;
  test::LinearScores map(b, p.shape, p.W, p.c);
  auto x = to_host(b, ConstView<B>(p.images(b)));
  x(1, 4 * 17) = limits::nan<Scalar>;
  p.options.inner.first_image = 100;
  UniversalState<Scalar> state;
  CHECK_THROWS_WITH_AS(universal_perturbation(map, to_device(b, x), p.options, state),
                       "universal_perturbation: the score of class 0 of image 117 is nan, must be finite",
                       DomainError);
}

TEST_CASE_TEMPLATE("a universal perturbation refuses what cannot be", B, BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  Five p;
  test::LinearScores map(b, p.shape, p.W, p.c);
  auto const x = p.images(b);
  UniversalState<Scalar> state;
  auto const refuses = [&](auto change, char const* text) {
    auto options = p.options;
    change(options);
    CHECK_THROWS_WITH_AS(universal_perturbation(map, x, options, state), text, DomainError);
  };
  refuses([](auto& o) { o.xi = 0; }, "universal_perturbation: xi = 0, must be > 0 and finite");
  refuses([](auto& o) { o.xi = limits::nan<double>; },
          "universal_perturbation: xi = nan, must be > 0 and finite");
  refuses([](auto& o) { o.delta = 1; }, "universal_perturbation: delta = 1, must be in (0, 1)");
  refuses([](auto& o) { o.delta = 0; }, "universal_perturbation: delta = 0, must be in (0, 1)");
  refuses([](auto& o) { o.passes = -1; }, "universal_perturbation: passes = -1, must be >= 0");
  refuses([](auto& o) { o.ahead = 0; }, "universal_perturbation: ahead = 0, must be >= 1");
  state.v = HostMatrix<Scalar>(3, 1);
  CHECK_THROWS_AS(universal_perturbation(map, x, p.options, state), ShapeError);
}

}  // namespace detrame
