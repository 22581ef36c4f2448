// SPDX-License-Identifier: Apache-2.0
#include "detrame/robust/deep_fool.hpp"

#include "detrame/backend/cpu/backend.hpp"
#include "laws/archetype.hpp"
#include "robust/linear_scores.hpp"

namespace detrame {

#define BACKENDS Cpu<float>, Cpu<double>, archetype::Loops<float>, archetype::Loops<double>

static_assert(ScoreMap<test::LinearScores<Cpu<float>>> && ScoreMap<test::LinearScores<Cpu<double>>>);

/// What scores of size 10 are wrong by, in distance: |w| is 2 at least.
template <class Scalar>
double rounding() {
  return static_cast<double>(test::tolerance<Scalar>(12, 10));
}

TEST_CASE_TEMPLATE("DeepFool of a linear map is 1 + overshoot times the distance to the nearest class", B,
                   BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  test::LinearProblem const p(20);
  test::LinearScores map(b, p.shape, p.W, p.c);
  auto const x = p.images(b);
  for (bool const l2 : {true, false}) {
    auto const found = deep_fool(
        map, x,
        {.norm = l2 ? AttackNorm::l2 : AttackNorm::l_inf, .classes = 5, .overshoot = .05, .steps = 9});
    bool changes_class = false;
    for (Index j = 0; j < 20; ++j) {
      auto const& image = found.images[static_cast<std::size_t>(j)];
      int const label = p.label(p.x, j), k = p.nearest(j, l2);
      double const distance = p.distance(j, k, l2);
      REQUIRE(distance > 40 * rounding<Scalar>());  // so that 5 % of it is more than scores are wrong by
      CHECK(image.label == label);
      CHECK(image.fooled_label == k);
      CHECK(image.steps == 1);
      CHECK(image.changed());
      CHECK(std::abs((l2 ? image.l2 : image.l_inf) - 1.05 * distance) <= rounding<Scalar>());
      double w_norm = 0;
      for (Index i = 0; i < p.x.rows(); ++i)
        w_norm += l2 ? (p.W(k, i) - p.W(label, i)) * (p.W(k, i) - p.W(label, i)) : 0;
      for (Index i = 0; i < p.x.rows(); ++i) {
        double const w = p.W(k, i) - p.W(label, i);
        double const v = 1.05 * distance * (l2 ? w / std::sqrt(w_norm) : (w > 0 ? 1 : -1));
        CHECK(std::abs(static_cast<double>(found.v(i, j)) - v) <= rounding<Scalar>());
      }
      changes_class = changes_class || p.nearest(j, true) != p.nearest(j, false);
    }
    CHECK(changes_class);  // not vacuous: which class is nearest depends on the norm
  }
}

/// y <- y x
struct Multiply {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& y, Scalar x) const {
    y *= x;
  }
};

/// The squares of linear scores: each step of Newton's to a double root halves what is left.
template <Backend B>
struct Squared : test::LinearScores<B> {
  using Base = test::LinearScores<B>;
  using Base::Base;
  using Scalar = typename B::Scalar;
  void predict(ConstView<B> x, View<B> y) {
    auto& lane = this->backend().lane();
    Base::predict(x, y);
    each(lane, Multiply(), y, ConstView<B>(y));
  }
  ConstView<B> scores(ConstView<B> x) {
    linear_ = to_device(this->backend(), to_host(this->backend(), Base::scores(x)));
    square_ = linear_;
    each(this->backend().lane(), Multiply(), View<B>(square_), ConstView<B>(linear_));
    return square_;
  }
  void pullback(ConstView<B> y_bar, View<B> x_bar) {
    auto const frame = this->backend().lane().frame();
    auto const inner = this->backend().lane().scratch(y_bar.rows(), y_bar.cols());
    each(this->backend().lane(), formula::Assign(), inner, y_bar);
    each(this->backend().lane(), Multiply(), inner, ConstView<B>(linear_));
    each(this->backend().lane(), formula::Scale<Scalar>{2}, inner);
    Base::pullback(inner, x_bar);
  }
  Matrix<B> linear_, square_;
};

TEST_CASE_TEMPLATE("DeepFool: the overshoot is one of the sum of its steps, and the steps are those given", B,
                   BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  test::LinearProblem const p(1);
  /// y_0 = (t + 1)^2, y_1 = 0 with t the one pixel.
  Squared<B> map(b, Shape{1}, host_matrix<double>(2, 1, [](Index i, Index) { return i == 0 ? 1. : 0.; }),
                 host_matrix<double>(2, 1, [](Index i, Index) { return i == 0 ? 1. : 0.; }));
  auto const x = test::in_memory_of(b, HostMatrix<double>(1, 1, 0.));
  double t = 0, sum = 0;
  for (int steps = 0; steps < 6; ++steps) {
    auto const found = deep_fool(map, x, {.classes = 2, .overshoot = .25, .steps = steps});
    CHECK(found.images[0].steps == steps);
    CHECK(!found.images[0].changed());
    CHECK(std::abs(static_cast<double>(found.v(0, 0)) - t) <= double(test::tolerance<Scalar>(6, 1)));
    sum -= (t + 1) * (t + 1) / std::abs(2 * (t + 1)), t = 1.25 * sum;
  }
}

TEST_CASE_TEMPLATE("DeepFool of a batch is that of its images, and takes a pullback a rival and step", B,
                   BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  test::LinearProblem const p(7);
  test::LinearScores map(b, p.shape, p.W, p.c);
  auto const x = p.images(b);
  DeepFoolOptions const options{.classes = 4, .steps = 9};
  auto const all = deep_fool(map, x, options);
  CHECK(map.pullbacks == 3);
  CHECK(map.forwards == 2);  // all images need one step, and are judged after it
  for (Index j = 0; j < 7; ++j) {
    auto const one =
        deep_fool(map, ConstView<B>(x).middle_cols(j * p.shape.sites(), p.shape.sites()), options);
    for (Index i = 0; i < p.x.rows(); ++i)
      CHECK(std::abs(static_cast<double>(one.v(i, 0) - all.v(i, j))) <= rounding<Scalar>());
  }
  /// (t + 1)^2 against 1: the farther t is from 0, the more steps it takes.
  Squared<B> curved(b, Shape{1}, host_matrix<double>(2, 1, [](Index i, Index) { return i == 0 ? 1. : 0.; }),
                    HostMatrix<double>(2, 1, 1.));
  auto const t =
      test::in_memory_of(b, host_matrix<double>(1, 6, [](Index, Index j) { return double(j * j + 1) / 2; }));
  auto const together = deep_fool(curved, t, {.classes = 2});
  CHECK(together.images[0].steps < together.images[5].steps);  // not vacuous: images leave the batch
  for (Index j = 0; j < 6; ++j) {
    auto const one = deep_fool(curved, ConstView<B>(t).middle_cols(j, 1), {.classes = 2});
    CHECK(one.v(0, 0) == together.v(0, j));
    CHECK(one.images[0].changed());
    CHECK(one.images[0].steps == together.images[static_cast<std::size_t>(j)].steps);
  }
  auto const none = deep_fool(map, ConstView<B>(x).middle_cols(0, 0), options);
  CHECK((none.v.cols() == 0 && none.images.empty()));
}

TEST_CASE_TEMPLATE("DeepFool leaves alone what has no label, and what no gradient moves", B, BACKENDS) {
  B b;
  HostMatrix<double> W(3, 4), c(3, 1);
  W(2, 0) = 1;
  auto const x = test::in_memory_of(b, HostMatrix<double>(1, 4, .5));
  {
    c(0, 0) = .5;  // as much as the score of class 2
    test::LinearScores tied(b, Shape{1, 2, 2}, W, c);
    auto const found = deep_fool(tied, x, {.classes = 3});
    CHECK((found.images[0].label == -1 && found.images[0].steps == 0 && !found.images[0].changed()));
    CHECK(tied.pullbacks == 0);
  }
  c(0, 0) = 1;
  {
    test::LinearScores constant(b, Shape{1, 2, 2}, HostMatrix<double>(3, 4), c);
    auto const found = deep_fool(constant, x, {.classes = 3});
    CHECK((found.images[0].label == 0 && found.images[0].steps == 0 && found.images[0].l2 == 0));
    CHECK(!found.images[0].changed());
  }
  test::LinearScores moves(b, Shape{1, 2, 2}, W, c);  // one rival has no gradient, the other one has
  CHECK(deep_fool(moves, x, {.classes = 3}).images[0].fooled_label == 2);
}

TEST_CASE_TEMPLATE("DeepFool looks at all classes of a map that has fewer than are asked for", Scalar, float,
                   double) {
  Cpu<Scalar> b;
  test::LinearProblem const p(6);
  test::LinearScores map(b, p.shape, p.W, p.c);
  CHECK(deep_fool(map, p.images(b), {}).v == deep_fool(map, p.images(b), {.classes = 5}).v);
  CHECK(map.pullbacks == 8);
}

/// A map whose gradient at one image is scaled, so that no number is as far as its boundary or scores
/// beyond it are not finite.
template <Backend B>
struct Vanishing : test::LinearScores<B> {
  using Base = test::LinearScores<B>;
  using Scalar = typename B::Scalar;
  using Base::Base;
  void pullback(ConstView<B> y_bar, View<B> x_bar) {
    Base::pullback(y_bar, x_bar);
    Index const sites = this->input().sites();
    if (x_bar.cols() <= image * sites) return;
    each(this->backend().lane(), formula::Scale<Scalar>{factor}, x_bar.middle_cols(image * sites, sites));
  }
  Index image = 1;
  Scalar factor = 1;
};

TEST_CASE_TEMPLATE("DeepFool: an image whose gradient all but vanishes leaves alone, and v is finite", Scalar,
                   float, double) {
  Cpu<Scalar> b;
  test::LinearProblem const p(3);
  auto const x = p.images(b);
  for (AttackNorm const norm : {AttackNorm::l2, AttackNorm::l_inf})
    // beyond half of all numbers; nearer, where scores overflow, before the last step and at it
    for (auto const& [share, steps] : {std::pair{.55, 9}, std::pair{.45, 9}, std::pair{.45, 1}}) {
      Vanishing<Cpu<Scalar>> map(b, p.shape, p.W, p.c);
      DeepFoolOptions const options{.norm = norm, .classes = 5, .steps = steps};
      auto const usual = deep_fool(map, x, options);
      double const length = norm == AttackNorm::l2 ? usual.images[1].l2 : usual.images[1].l_inf;
      map.factor = static_cast<Scalar>(length / (share * static_cast<double>(limits::largest<Scalar>)));
      auto const found = deep_fool(map, x, options);
      for (Index j = 0; j < 3; ++j)
        for (Index i = 0; i < 12; ++i) CHECK(found.v(i, j) == (j == 1 ? Scalar(0) : usual.v(i, j)));
      CHECK((found.images[1].l2 == 0 && found.images[1].steps == (share < .5)));
      CHECK((found.images[0].changed() && !found.images[1].changed() && found.images[2].changed()));
    }
}

TEST_CASE_TEMPLATE("DeepFool refuses a gradient that is not finite, with the image", Scalar, float, double) {
  Cpu<Scalar> b;
  test::LinearProblem const p(3);
  Vanishing<Cpu<Scalar>> map(b, p.shape, p.W, p.c);
  map.factor = limits::nan<Scalar>;
  for (AttackNorm const norm : {AttackNorm::l2, AttackNorm::l_inf})
    CHECK_THROWS_WITH_AS(deep_fool(map, p.images(b), {.norm = norm, .first_image = 30}),
                         "deep_fool: the gradient at image 31 is not finite", DomainError);
}

TEST_CASE_TEMPLATE("DeepFool refuses what it cannot do", B, BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  test::LinearProblem const p(3);
  test::LinearScores map(b, p.shape, p.W, p.c);
  auto const x = p.images(b);
  CHECK_THROWS_WITH_AS(deep_fool(map, x, {.classes = 1}), "deep_fool: classes = 1, must be >= 2",
                       DomainError);
  CHECK_THROWS_WITH_AS(deep_fool(map, x, {.classes = 5, .overshoot = -.1}),
                       "deep_fool: overshoot = -0.1, must be >= 0", DomainError);
  CHECK_THROWS_AS(deep_fool(map, x, {.classes = 5, .overshoot = limits::nan<double>}), DomainError);
  CHECK_THROWS_AS(deep_fool(map, x, {.classes = 5, .steps = -1}), DomainError);
  CHECK_THROWS_WITH_AS(deep_fool(map, x, {.first_image = -1}), "deep_fool: first_image = -1, must be >= 0",
                       DomainError);
  CHECK_THROWS_AS(deep_fool(map, ConstView<B>(x).middle_cols(0, 3), {.classes = 5}), ShapeError);
  auto spoilt = to_host(b, ConstView<B>(x));
  spoilt(1, 2 * p.shape.sites()) = limits::nan<Scalar>;
  CHECK_THROWS_WITH_AS(deep_fool(map, to_device(b, spoilt), {.classes = 5, .first_image = 10}),
                       "deep_fool: the score of class 0 of image 12 is nan, must be finite", DomainError);
}

}  // namespace detrame
