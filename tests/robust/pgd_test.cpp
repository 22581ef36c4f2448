// SPDX-License-Identifier: Apache-2.0
#include "detrame/robust/pgd.hpp"

#include "detrame/backend/cpu/backend.hpp"
#include "laws/archetype.hpp"
#include "robust/linear_scores.hpp"

namespace detrame {

#define BACKENDS Cpu<float>, Cpu<double>, archetype::Loops<float>, archetype::Loops<double>

namespace {

using test::norms;

/// Images, five classes or two, no end to pixels.
struct TwoClasses : test::LinearProblem {
  TwoClasses() : LinearProblem(12) {
    W = test::normal_matrix<double>(2, shape.size(), test::seed(11));
    c = HostMatrix<double>(2, 1);
  }
};

}  // namespace

TEST_CASE_TEMPLATE(
    "a step of a linear map is exact: x + step direction(sum_i p_i w_i - w_label), in the range", B,
    BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  test::LinearProblem const p(8);
  test::LinearScores map(b, p.shape, p.W, p.c);
  auto const labels = p.labels();
  for (AttackNorm const norm : norms)
    for (bool const whole : {true, false}) {
      double const high = .85, epsilon = norm == AttackNorm::l2 ? .7 : .2;
      AttackRegion const region{norm, epsilon, whole ? std::nullopt : std::optional(PixelRange{.1, high})};
      for (double const share : {1., .25}) {
        double const step = share * epsilon;
        auto const found = share == 1
                               ? fgsm(map, p.images(b), labels, region)
                               : pgd(map, p.images(b), labels, {.region = region, .step = step, .steps = 1});
        bool clipped = false;
        for (Index j = 0; j < 8; ++j) {
          double sum = 0, length = 0;
          for (Index i = 0; i < 5; ++i) sum += std::exp(p.score(i, p.x, j));
          HostMatrix<double> g(p.x.rows(), 1);
          for (Index l = 0; l < p.x.rows(); ++l) {
            for (Index i = 0; i < 5; ++i) g(l, 0) += std::exp(p.score(i, p.x, j)) / sum * p.W(i, l);
            g(l, 0) -= p.W(labels[static_cast<std::size_t>(j)], l);
            REQUIRE(std::abs(g(l, 0)) > double(test::tolerance<Scalar>(12, 5)));
            length += g(l, 0) * g(l, 0);
          }
          for (Index l = 0; l < p.x.rows(); ++l) {
            double z = p.x(l, j) +
                       step * (norm == AttackNorm::l2 ? g(l, 0) / std::sqrt(length) : (g(l, 0) > 0 ? 1 : -1));
            clipped = clipped || z > high || z < .1;
            if (!whole) z = std::clamp(z, .1, high);
            CHECK(std::abs(static_cast<double>(found.x(l % 3, l / 3 + 4 * j)) - z) <=
                  double(test::tolerance<Scalar>(60, norm == AttackNorm::l2 ? 2 : .1)));
          }
        }
        CHECK((clipped || share < 1));
      }
    }
}

TEST_CASE_TEMPLATE("PGD of a linear map crosses the plane at 1.005 of the distance, and never below it", B,
                   BACKENDS) {
  B b;
  TwoClasses const p;
  test::LinearScores map(b, p.shape, p.W, p.c);
  auto const labels = p.labels();
  for (AttackNorm const norm : norms)
    for (Index j = 0; j < 12; ++j) {
      auto const l = static_cast<std::size_t>(j);
      double const distance = p.distance(j, 1 - labels[l], norm == AttackNorm::l2);
      REQUIRE(distance > 1e-3);
      for (bool const random : {false, true})
        for (double const share : {.999, 1.005}) {
          double const epsilon = share * distance;
          PgdOptions const options{.region = {norm, epsilon, std::nullopt},
                                   .step = epsilon / 4,
                                   .steps = 40,
                                   .random_start = random};
          auto const found = pgd(map, ConstView<B>(p.images(b)).middle_cols(4 * j, 4),
                                 std::span(labels).subspan(l, 1), options);
          CHECK(found.images[0].correct());
          CHECK(found.images[0].robust() == (share < 1));
          CHECK(found.robust_accuracy() == (share < 1 ? 1. : 0.));
          CHECK((norm == AttackNorm::l2 ? found.images[0].l2 : found.images[0].l_inf) <= epsilon);
        }
    }
}

TEST_CASE_TEMPLATE("PGD: norms and range are kept to the last bit; batches change nothing", B, BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  test::LinearProblem const p(20);
  test::LinearScores map(b, p.shape, p.W, p.c);
  auto labels = p.labels();
  labels[3] = (labels[3] + 1) % 5;  // one is labelled wrong before it is attacked
  auto const x = p.images(b);
  for (AttackNorm const norm : norms)
    for (AttackLoss const loss : {AttackLoss::cross_entropy, AttackLoss::dlr}) {
      double const epsilon = norm == AttackNorm::l2 ? .7 : .25;
      PgdOptions options{.region = {norm, epsilon, PixelRange{}},
                         .step = epsilon / 3,
                         .steps = 10,
                         .loss = loss,
                         .random_start = true,
                         .seed = 2,
                         .first_image = 50};
      auto const found = pgd(map, x, labels, options);
      Index fooled = 0;
      for (Index j = 0; j < 20; ++j) {
        auto const& image = found.images[static_cast<std::size_t>(j)];
        double square = 0, largest = 0;
        for (Index l = 0; l < p.x.rows(); ++l) {
          double const z = static_cast<double>(found.x(l % 3, l / 3 + 4 * j)), v = z - p.x(l, j);
          CHECK_UNARY(z >= 0 && z <= 1);
          square += v * v, largest = std::max(largest, std::abs(v));
        }
        CHECK(std::abs(image.l2 - std::sqrt(square)) <= test::tolerance<double>(12, 1));
        CHECK(image.l_inf == largest);
        CHECK((norm == AttackNorm::l2 ? image.l2 : image.l_inf) <= epsilon);
        fooled += image.correct() && !image.robust();
      }
      CHECK((found.images[3].l2 == 0 && !found.images[3].correct() && !found.images[3].robust()));
      CHECK(fooled > 3);
      CHECK(fooled < 19);
      CHECK(found.robust_accuracy() == static_cast<double>(19 - fooled) / 20);

      options.first_image = 57;
      auto const part =
          pgd(map, ConstView<B>(x).middle_cols(7 * 4, 5 * 4), std::span(labels).subspan(7, 5), options);
      for (Index l = 0; l < 3; ++l)
        for (Index j = 0; j < 20; ++j)
          CHECK(std::abs(double(part.x(l, j) - found.x(l, j + 28))) <=
                double(test::tolerance<Scalar>(40, 1)));
      options.first_image = 50, options.seed = 3;
      CHECK(pgd(map, x, labels, options).x != found.x);
      options.seed = 2, options.stop_when_fooled = false;
      CHECK(pgd(map, x, labels, options).images[3].l2 > 0);
    }
}

TEST_CASE_TEMPLATE("PGD has the same bits for any number of threads", Scalar, float, double) {
  test::LinearProblem const p(40);
  auto const labels = p.labels();
  for (AttackNorm const norm : norms) {
    HostMatrix<Scalar> x[2];
    for (int const threads : {1, 3}) {
      Cpu<Scalar> cpu(threads);
      test::LinearScores map(cpu, p.shape, p.W, p.c);
      x[threads == 3] = pgd(map, p.images(cpu), labels,
                            {.region = {norm, .2},
                             .step = .05,
                             .steps = 5,
                             .random_start = true,
                             .stop_when_fooled = false})
                            .x;
    }
    CHECK(x[0] == x[1]);
  }
}

TEST_CASE_TEMPLATE("PGD's random start fills its ball", B, BACKENDS) {
  B b;
  constexpr Shape shape{1, 20, 10};
  constexpr Index n = 60;
  test::LinearScores map(b, shape, HostMatrix<double>(2, 200), HostMatrix<double>(2, 1));
  auto const x = test::in_memory_of(b, HostMatrix<double>(1, 200 * n, .5));
  for (AttackNorm const norm : norms) {
    auto const found =
        pgd(map, x, std::vector<int>(n, 0),
            {.region = {norm, .25}, .step = 1, .steps = 0, .random_start = true, .stop_when_fooled = false});
    double sum = 0, square = 0, below = 0;
    for (Index i = 0; i < 200 * n; ++i) {
      double const v = double(found.x(0, i)) - .5;
      sum += v, square += v * v;
    }
    for (auto const& image : found.images) below += image.l2 < .25 * std::pow(.5, 1. / 200);
    double const variance =
        norm == AttackNorm::l_inf ? .0625 / 3 : .0625 / 202;  // of a uniform entry; E u^(2/n)
    CHECK(std::abs(sum) <= 5 * std::sqrt(variance * 200 * n));
    CHECK(std::abs(square / (200 * n) / variance - 1) <= 5 * std::sqrt(2. / (200 * n)));
    if (norm == AttackNorm::l2) CHECK(std::abs(below - n / 2.) <= 5 * std::sqrt(n / 4.));
  }
}

TEST_CASE_TEMPLATE("attacks refuse what cannot be", B, BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  test::LinearProblem const p(3);
  test::LinearScores map(b, p.shape, p.W, p.c);
  auto const x = p.images(b);
  auto const labels = p.labels();
  auto const refuses = [&](auto change, char const* text) {
    PgdOptions options{.region = {AttackNorm::l_inf, .1}, .step = .1, .steps = 2, .first_image = 10};
    change(options);
    CHECK_THROWS_WITH_AS(pgd(map, x, labels, options), text, DomainError);
  };
  refuses([](auto& o) { o.region.epsilon = 0; }, "pgd: epsilon = 0, must be > 0 and finite");
  refuses([](auto& o) { o.region.epsilon = limits::nan<double>; },
          "pgd: epsilon = nan, must be > 0 and finite");
  refuses([](auto& o) { o.step = -1; }, "pgd: step = -1, must be > 0 and finite");
  refuses([](auto& o) { o.steps = -1; }, "pgd: steps = -1, must be >= 0");
  refuses([](auto& o) { o.region.range = PixelRange{1, 1}; }, "pgd: the range [1, 1] is empty");
  AttackRegion const region{AttackNorm::l_inf, .1};
  CHECK_THROWS_AS(fgsm(map, x, std::span(labels).first(2), region), ShapeError);
  CHECK_THROWS_WITH_AS(fgsm(map, x, std::vector{0, 5, 0}, region),
                       "fgsm: the label of image 1 is 5, must be in [0, 5)", DomainError);
  auto spoilt = to_host(b, ConstView<B>(x));
  spoilt(1, 9) = Scalar(1.5);
  CHECK_THROWS_WITH_AS(fgsm(map, to_device(b, spoilt), labels, region),
                       "fgsm: image 2 has the entry 1.5, must be in [0, 1]", DomainError);
  spoilt(1, 9) = limits::nan<Scalar>;
  CHECK_THROWS_AS(fgsm(map, to_device(b, spoilt), labels, region), DomainError);
  CHECK_THROWS_AS(fgsm(map, to_device(b, spoilt), labels, {AttackNorm::l_inf, .1, std::nullopt}),
                  DomainError);
  auto W = p.W;
  W(2, 2) = limits::infinity<double>;
  test::LinearScores infinite(b, p.shape, W, p.c);
  CHECK_THROWS_WITH_AS(fgsm(infinite, x, labels, region),
                       "fgsm: the score of class 2 of image 0 is inf, must be finite", DomainError);
  CHECK_THROWS_WITH_AS(fgsm(infinite, x, labels, region, AttackLoss::cross_entropy, 40),
                       "fgsm: the score of class 2 of image 40 is inf, must be finite", DomainError);
  refuses([](auto& o) { o.first_image = -1; }, "pgd: first_image = -1, must be >= 0");
  if (std::is_same_v<Scalar, float>)
    refuses([](auto& o) { o.region.range = PixelRange{.1, std::nextafter(.1, 1.)}; },
            "pgd: the range [0.1, 0.1] is empty");
}

/// A map whose gradient is not finite at one image, though scores are.
template <Backend B>
struct Spoilt : test::LinearScores<B> {
  using Base = test::LinearScores<B>;
  using Scalar = typename B::Scalar;
  Spoilt(B& b, test::LinearProblem const& p, Index place, double value)
      : Base(b, p.shape, p.W, p.c), image(place), entry(static_cast<Scalar>(value)) {}
  void pullback(ConstView<B> y_bar, View<B> x_bar) {
    Base::pullback(y_bar, x_bar);
    auto there = to_host(this->backend(), ConstView<B>(x_bar));
    there(1, this->input().sites() * image) = entry;
    copy_entries(this->backend().lane(), ConstView<B>(to_device(this->backend(), there)), x_bar);
  }
  Index image;
  Scalar entry;
};

TEST_CASE_TEMPLATE("attacks refuse a gradient that is not finite, with the image", Scalar, float, double) {
  using B = Cpu<Scalar>;
  B b;
  test::LinearProblem const p(4);
  auto const x = p.images(b);
  auto labels = p.labels();
  for (double const value : {limits::nan<double>, limits::infinity<double>})
    for (AttackNorm const norm : norms) {
      Spoilt<B> map(b, p, 2, value);
      AttackRegion const region{norm, .01};
      CHECK_THROWS_WITH_AS(fgsm(map, x, labels, region), "fgsm: the gradient at image 2 is not finite",
                           DomainError);
      PgdOptions options{.region = region, .step = .01, .steps = 1, .first_image = 7};
      CHECK_THROWS_WITH_AS(pgd(map, x, labels, options), "pgd: the gradient at image 9 is not finite",
                           DomainError);
      labels[2] = (labels[2] + 1) % 5;  // an image that stays has no need of it
      CHECK(pgd(map, x, labels, options).images[2].l2 == 0);
      labels[2] = p.labels()[2];
      test::LinearScores plain(b, p.shape, p.W, p.c);
      options.step = 1e300, options.region.range.reset();  // infinite in float
      if (norm == AttackNorm::l2 && std::is_same_v<Scalar, float>)
        CHECK_THROWS_WITH_AS(pgd(plain, x, labels, options), "pgd: image 7 is not finite when attacked",
                             DomainError);
      else
        for (auto const& image : pgd(plain, x, labels, options).images) CHECK(std::isfinite(image.l2));
    }
}

TEST_CASE_TEMPLATE("a range that a float does not have is kept in double, and the result may be attacked",
                   Scalar, float, double) {
  Cpu<Scalar> b;
  test::LinearProblem const p(8);
  test::LinearScores map(b, p.shape, p.W, p.c);
  auto const labels = p.labels();
  AttackRegion const region{AttackNorm::l_inf, .7, PixelRange{.12, .8}};
  auto const x = to_device(b, host_matrix<Scalar>(3, 32, [&](Index i, Index j) {
                             return static_cast<Scalar>(std::min(.79, p.x(i + 3 * (j % 4), j / 4)));
                           }));
  auto const found = fgsm(map, x, labels, region);
  double low = 1, high = 0;
  for (Index l = 0; l < 96; ++l) {
    low = std::min(low, double(found.x.data()[l]));
    high = std::max(high, double(found.x.data()[l]));
  }
  CHECK(low >= .12);
  CHECK(high <= .8);
  CHECK(std::abs(low - .12) <= double(test::tolerance<Scalar>(1, 1)));
  CHECK(std::abs(high - .8) <= double(test::tolerance<Scalar>(1, 1)));
  CHECK_NOTHROW(fgsm(map, to_device(b, found.x), labels, region));
}

TEST_CASE_TEMPLATE("random starts of neighbours differ however large their numbers are", Scalar, float,
                   double) {
  Cpu<Scalar> b;
  test::LinearProblem const p(1);
  test::LinearScores map(b, p.shape, HostMatrix<double>(5, 12), p.c);
  auto const x = test::in_memory_of(b, HostMatrix<double>(3, 32, .5));  // eight times one image
  PgdOptions options{.region = {AttackNorm::l_inf, .1},
                     .step = 1,
                     .steps = 0,
                     .random_start = true,
                     .stop_when_fooled = false};
  for (Index const first : {Index{0}, (Index{1} << 24) - 4, (Index{1} << 25) + 1, (Index{1} << 40) + 3}) {
    options.first_image = first;
    auto const found = pgd(map, x, std::vector<int>(8, 0), options);
    for (Index j = 1; j < 8; ++j) {
      double difference = 0;
      for (Index i = 0; i < 12; ++i)
        difference += std::abs(double(found.x(i % 3, i / 3 + 4 * j) - found.x(i % 3, i / 3 + 4 * j - 4)));
      CHECK(difference > .1);
    }
  }
}

TEST_CASE_TEMPLATE("attacks refuse dlr of two classes, and a radius that is 0 in their precision", Scalar,
                   float, double) {
  Cpu<Scalar> b;
  TwoClasses const p;
  test::LinearScores map(b, p.shape, p.W, p.c);
  auto labels = p.labels();
  for (int& label : labels) label = 1 - label;  // none gets as far as a loss
  PgdOptions options{.region = {AttackNorm::l_inf, .1}, .step = .1, .steps = 1, .loss = AttackLoss::dlr};
  CHECK_THROWS_WITH_AS(pgd(map, p.images(b), labels, options), "pgd: 2 classes, must be 3 at least",
                       DomainError);
  options.loss = AttackLoss::cross_entropy, options.region.epsilon = 1e-50;
  if (std::is_same_v<Scalar, float>)
    CHECK_THROWS_WITH_AS(pgd(map, p.images(b), labels, options),
                         "pgd: epsilon = 1e-50 is 0 or infinite in this precision", DomainError);
  else
    CHECK_NOTHROW(pgd(map, p.images(b), labels, options));
}

}  // namespace detrame
