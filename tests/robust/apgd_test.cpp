// SPDX-License-Identifier: Apache-2.0
#include "detrame/robust/apgd.hpp"

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/robust/pgd.hpp"
#include "laws/archetype.hpp"
#include "robust/linear_scores.hpp"

namespace detrame {

#define BACKENDS Cpu<float>, Cpu<double>, archetype::Loops<float>, archetype::Loops<double>

namespace {

using test::norms;
using Point = std::vector<double>;

/// APGD of one image of a linear map, written down from the paper.
struct Written {
  test::LinearProblem const& p;
  AttackRegion region;
  int label;
  Point x_0;
  int halvings = 0;

  double length(Point const& v) const {
    double sum = 0;
    for (double const e : v) sum += e * e;
    return std::sqrt(sum);
  }
  Point projected(Point z) const {
    Point v(z.size());
    for (std::size_t i = 0; i < z.size(); ++i) v[i] = z[i] - x_0[i];
    double const scale = region.norm == AttackNorm::l2 ? std::min(1., region.epsilon / length(v)) : 1.;
    for (std::size_t i = 0; i < z.size(); ++i) {
      double const e =
          region.norm == AttackNorm::l2 ? scale * v[i] : std::clamp(v[i], -region.epsilon, region.epsilon);
      z[i] = std::clamp(x_0[i] + e, 0., 1.);
    }
    return z;
  }
  /// Cross-entropy and the direction of its gradient.
  std::pair<double, Point> loss(Point const& z) const {
    Point y(5), g(z.size());
    double sum = 0;
    for (Index k = 0; k < 5; ++k) {
      y[std::size_t(k)] = p.c(k, 0);
      for (std::size_t i = 0; i < z.size(); ++i) y[std::size_t(k)] += p.W(k, Index(i)) * z[i];
      sum += std::exp(y[std::size_t(k)]);
    }
    for (std::size_t i = 0; i < z.size(); ++i)
      for (Index k = 0; k < 5; ++k)
        g[i] += (std::exp(y[std::size_t(k)]) / sum - (k == label)) * p.W(k, Index(i));
    double const norm = length(g);
    for (double& e : g) e = region.norm == AttackNorm::l2 ? e / norm : (e > 0) - (e < 0);
    return {std::log(sum) - y[std::size_t(label)], g};
  }
  Point operator()(Point x, int steps) {
    std::vector<int> checkpoints{0};
    for (double before = 0, share = .22; share <= 1;) {
      int const at = static_cast<int>(std::ceil(share * steps - 1e-9));
      if (at > checkpoints.back()) checkpoints.push_back(at);
      double const next = share + std::max(share - before - .03, .06);
      before = share, share = next;
    }
    double step = 2 * region.epsilon, best_loss = loss(x).first, best_then = best_loss;
    Point before = x, best = x;
    std::vector<double> losses{best_loss};
    bool halved = false;
    std::size_t next_check = 1;
    for (int k = 1; k <= steps; ++k) {
      auto const g = loss(x).second;
      Point z = x;
      for (std::size_t i = 0; i < z.size(); ++i) z[i] += step * g[i];
      z = projected(z);
      double const a = k == 1 ? 1 : .75;
      for (std::size_t i = 0; i < z.size(); ++i)
        z[i] = x[i] + a * (z[i] - x[i]) + (1 - a) * (x[i] - before[i]);
      before = x, x = projected(z);
      losses.push_back(loss(x).first);
      if (losses.back() > best_loss) best_loss = losses.back(), best = x;
      if (next_check == checkpoints.size() || k != checkpoints[next_check]) continue;
      int gains = 0;
      for (int l = checkpoints[next_check - 1]; l < k; ++l)
        gains += losses[std::size_t(l + 1)] > losses[std::size_t(l)];
      bool const first = gains < .75 * (k - checkpoints[next_check - 1]);
      halved = first || (!halved && best_loss == best_then);
      if (halved) step /= 2, x = best, ++halvings;
      best_then = best_loss;
      ++next_check;
    }
    return best;
  }
};

}  // namespace

TEST_CASE("APGD's checkpoints are those of the paper") {
  CHECK(apgd_checkpoints(100) == std::vector<int>{22, 41, 57, 70, 80, 87, 93, 99});
  CHECK(apgd_checkpoints(20) == std::vector<int>{5, 9, 12, 14, 16, 18, 19, 20});
  CHECK(apgd_checkpoints(6) == std::vector<int>{2, 3, 4, 5, 6});
}

TEST_CASE("APGD's step is halved where too few steps gained, or where nothing has changed since") {
  ApgdStepRule rule{.step = 1, .best = 0, .last = 0};
  CHECK(rule.took(1));
  CHECK(!rule.took(.5));
  CHECK(!rule.took(.75));  // gains on the one before, not on the best
  CHECK(rule.took(2));
  CHECK(!rule.halve(4));  // three of four
  CHECK(rule.step == 1);
  CHECK(!rule.took(1));
  CHECK(rule.took(3));
  CHECK(rule.halve(3));  // one of three
  CHECK(rule.step == .5);
  for (double const loss : {.1, .2, .3, .4}) CHECK(!rule.took(loss));  // four of four but the first
  CHECK(!rule.halve(4));  // no largest loss, but the step has been halved
  CHECK(rule.step == .5);
  for (double const loss : {.5, .6, .7, .8}) CHECK(!rule.took(loss));
  CHECK(rule.halve(4));  // neither changed
  CHECK(rule.step == .25);
}

TEST_CASE("APGD goes where the algorithm as it is written goes") {
  Cpu<double> b;
  test::LinearProblem const p(20);
  test::LinearScores map(b, p.shape, p.W, p.c);
  auto const labels = p.labels();
  for (AttackNorm const norm : norms)
    for (int const steps : {7, 30}) {
      AttackRegion const region{norm, norm == AttackNorm::l2 ? .3 : .08};
      auto const found =
          apgd(map, p.images(b), labels, {.region = region, .steps = steps, .seed = 4, .first_image = 9});
      auto const start = pgd(  // where PGD starts, APGD does
          map, p.images(b), labels,
          {.region = region, .step = 1, .steps = 0, .random_start = true, .seed = 4, .first_image = 9});
      // Where steps have ended, which of the losses is largest is a matter of rounding: they are flat there.
      double const tolerance = norm == AttackNorm::l2 && steps == 30
                                   ? std::sqrt(test::tolerance<double>(1, 1))
                                   : test::tolerance<double>(500, 1);
      int robust = 0, halvings = 0;
      for (Index j = 0; j < 20; ++j) {
        auto const& image = found.images[static_cast<std::size_t>(j)];
        if (!image.robust()) continue;
        ++robust;
        Point x(12), z(12);
        for (Index i = 0; i < 12; ++i)
          x[std::size_t(i)] = p.x(i, j), z[std::size_t(i)] = start.x(i % 3, i / 3 + 4 * j);
        Written written{p, region, image.label, x};
        auto const best = written(z, steps);
        halvings += written.halvings;
        for (Index i = 0; i < 12; ++i)
          CHECK(std::abs(found.x(i % 3, i / 3 + 4 * j) - best[std::size_t(i)]) <= tolerance);
      }
      CHECK(robust > 3);
      CHECK(halvings > 3);
    }
}

TEST_CASE_TEMPLATE("APGD of a linear map crosses the plane at 1.005 of the distance, and never below it", B,
                   BACKENDS) {
  B b;
  test::LinearProblem p(12);
  for (Index k = 3; k < 5; ++k) p.c(k, 0) = -100;  // three classes that matter
  test::LinearScores map(b, p.shape, p.W, p.c);
  auto const labels = p.labels();
  for (AttackNorm const norm : norms)
    for (AttackLoss const loss : {AttackLoss::cross_entropy, AttackLoss::dlr})
      for (Index j = 0; j < 12; ++j) {
        auto const l = static_cast<std::size_t>(j);
        double const distance = p.distance(j, p.nearest(j, norm == AttackNorm::l2), norm == AttackNorm::l2);
        REQUIRE(distance > 1e-3);
        for (double const share : {.999, 1.005}) {
          auto const found = apgd(
              map, ConstView<B>(p.images(b)).middle_cols(4 * j, 4), std::span(labels).subspan(l, 1),
              {.region = {norm, share * distance, std::nullopt}, .steps = 100, .restarts = 2, .loss = loss});
          CHECK(found.images[0].robust() == (share < 1));
          CHECK((norm == AttackNorm::l2 ? found.images[0].l2 : found.images[0].l_inf) <= share * distance);
        }
      }
}

TEST_CASE_TEMPLATE("APGD does not depend on the unit of scores: times a power of 2 they give the same attack",
                   Scalar, float, double) {
  Cpu<Scalar> b;
  for (AttackLoss const loss : {AttackLoss::cross_entropy, AttackLoss::dlr}) {
    test::LinearProblem p(20);
    if (loss == AttackLoss::cross_entropy) {  // of two classes its direction has no unit either
      p.W = test::normal_matrix<double>(2, p.shape.size(), test::seed(11));
      p.c = HostMatrix<double>(2, 1);
    }
    auto const times = [](HostMatrix<double> m) {
      for (Index i = 0; i < m.rows() * m.cols(); ++i) m.data()[i] *= 1 << 14;
      return m;
    };
    test::LinearScores map(b, p.shape, p.W, p.c), large(b, p.shape, times(p.W), times(p.c));
    auto const labels = p.labels();
    for (AttackNorm const norm : norms) {
      ApgdOptions const options{
          .region = {norm, norm == AttackNorm::l2 ? .05 : .01}, .steps = 30, .loss = loss};
      auto const found = apgd(map, p.images(b), labels, options);
      CHECK(found.robust_accuracy() > .5);  // those that are not fooled go all the way
      CHECK(apgd(large, p.images(b), labels, options).x == found.x);
    }
  }
}

TEST_CASE_TEMPLATE("APGD: restarts take those that are left; batches change nothing; what is wrong stays", B,
                   BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  test::LinearProblem const p(20);
  test::LinearScores map(b, p.shape, p.W, p.c);
  auto labels = p.labels();
  labels[3] = (labels[3] + 1) % 5;
  auto const x = p.images(b);
  ApgdOptions options{.region = {AttackNorm::l_inf, .12}, .steps = 10, .seed = 2, .first_image = 50};
  auto const once = apgd(map, x, labels, options);
  CHECK(once.images[3].l_inf == 0);
  CHECK(!once.images[3].correct());
  int const forwards = map.forwards;
  CHECK(forwards == 11);
  options.restarts = 3;
  auto const thrice = apgd(map, x, labels, options);
  CHECK(map.forwards == forwards + 33);
  Index robust = 0;
  for (Index j = 0; j < 20; ++j) {
    auto const &one = once.images[static_cast<std::size_t>(j)],
               &three = thrice.images[static_cast<std::size_t>(j)];
    CHECK((!three.robust() || one.robust()));
    bool same = true;
    for (Index i = 0; i < 12; ++i)
      same = same && once.x(i % 3, i / 3 + 4 * j) == thrice.x(i % 3, i / 3 + 4 * j);
    CHECK((one.robust() || same));
    CHECK(three.l_inf <= .12);
    robust += one.robust();
  }
  CHECK((robust > 2 && robust < 19));
  options.restarts = 1, options.first_image = 57;
  auto const part = apgd(map, ConstView<B>(x).middle_cols(28, 20), std::span(labels).subspan(7, 5), options);
  for (Index l = 0; l < 3; ++l)
    for (Index j = 0; j < 20; ++j)
      CHECK(std::abs(double(part.x(l, j) - once.x(l, j + 28))) <= double(test::tolerance<Scalar>(40, 1)));
}

TEST_CASE_TEMPLATE("APGD: an image that is fooled is scored no more, and others go the same way without it",
                   B, archetype::Loops<float>, archetype::Loops<double>) {
  B b;  // whose bits do not depend on the batch
  test::LinearProblem const p(40);
  test::LinearScores map(b, p.shape, p.W, p.c);
  auto const labels = p.labels();
  auto const x = p.images(b);
  int late = 0;
  for (AttackNorm const norm : norms) {
    bool const l2 = norm == AttackNorm::l2;
    std::vector<double> distances;
    for (Index j = 0; j < 40; ++j) distances.push_back(p.distance(j, p.nearest(j, l2), l2));
    std::nth_element(distances.begin(), distances.begin() + 20, distances.end());
    for (AttackLoss const loss : {AttackLoss::cross_entropy, AttackLoss::dlr}) {
      ApgdOptions options{.region = {norm, distances[20]}, .steps = 30, .loss = loss, .seed = 2};
      map.scored = 0;
      auto const together = apgd(map, x, labels, options);
      Index const scored = std::exchange(map.scored, 0);
      CHECK((together.robust_accuracy() > .1 && together.robust_accuracy() < .9));
      for (Index j = 0; j < 40; ++j) {
        options.first_image = j;
        Index const before = map.scored;
        auto const alone = apgd(map, ConstView<B>(x).middle_cols(4 * j, 4),
                                std::span(labels).subspan(static_cast<std::size_t>(j), 1), options);
        late += map.scored - before > 2 && map.scored - before < 31;
        bool same = true;
        for (Index i = 0; i < 12; ++i)
          same = same && alone.x(i % 3, i / 3) == together.x(i % 3, i / 3 + 4 * j);
        CHECK(same);
      }
      CHECK(map.scored == scored);
    }
  }
  CHECK(late > 10);
}

TEST_CASE_TEMPLATE("APGD refuses what cannot be", B, BACKENDS) {
  B b;
  test::LinearProblem const p(2);
  test::LinearScores map(b, p.shape, p.W, p.c);
  auto const x = p.images(b);
  auto const labels = p.labels();
  auto const refuses = [&](auto change, char const* text) {
    ApgdOptions options{.region = {AttackNorm::l_inf, .1}};
    change(options);
    CHECK_THROWS_WITH_AS(apgd(map, x, labels, options), text, DomainError);
  };
  refuses([](auto& o) { o.region.epsilon = -1; }, "apgd: epsilon = -1, must be > 0 and finite");
  refuses([](auto& o) { o.steps = 0; }, "apgd: steps = 0, must be >= 1");
  refuses([](auto& o) { o.restarts = 0; }, "apgd: restarts = 0, must be >= 1");
  refuses([](auto& o) { o.first_image = -1; }, "apgd: first_image = -1, must be >= 0");
}

}  // namespace detrame
