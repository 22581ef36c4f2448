// SPDX-License-Identifier: Apache-2.0
#include "detrame/robust/pgd.hpp"

#include "detrame/backend/cpu/backend.hpp"
#include "laws/archetype.hpp"
#include "robust/linear_scores.hpp"

namespace detrame {

#define BACKENDS Cpu<float>, Cpu<double>, archetype::Loops<float>, archetype::Loops<double>

namespace {

constexpr AttackNorm norms[] = {AttackNorm::l2, AttackNorm::l_inf};

std::vector<int> labels_of(test::LinearProblem const& p) {
  std::vector<int> labels;
  for (Index j = 0; j < p.x.cols(); ++j) labels.push_back(p.label(p.x, j));
  return labels;
}

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
  auto const labels = labels_of(p);
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
  auto const labels = labels_of(p);
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
  auto labels = labels_of(p);
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
  auto const labels = labels_of(p);
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
  auto const labels = labels_of(p);
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
                       "predicted_labels: the score of class 2 of image 0 is inf, must be finite",
                       DomainError);
}

}  // namespace detrame
