// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/optim/schedule.hpp"
#include "detrame/optim/sgd.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

constexpr std::array kinds{Kind::weight,     Kind::bias,  Kind::W_tilde, Kind::h,     Kind::b,
                           Kind::dictionary, Kind::shift, Kind::lambda,  Kind::alpha, Kind::beta};

/// One tensor of each kind.
template <Backend B>
struct OneOfEach {
  std::array<Matrix<B>, 10> p;
  template <class F, class Theta, class... Rest>
  static void visit(F&& f, Path const& path, Theta&& theta, Rest&&... rest) {
    for (std::size_t i = 0; i < 10; ++i) f(path / name(kinds[i]), kinds[i], theta.p[i], rest.p[i]...);
  }
};

/// 4 x 8 each, W~ too: two blocks of 4 x 4.
template <Backend B>
OneOfEach<B> values(B& b, double scale, std::uint64_t n) {
  OneOfEach<B> theta;
  for (auto& p : theta.p)
    p = to_device(b, test::mapped([&](auto t) { return static_cast<typename B::Scalar>(scale) * t; },
                                  test::normal_matrix<typename B::Scalar>(4, 8, test::seed(n++))));
  return theta;
}

/// (F3), entry by entry.
template <class Scalar>
Scalar projected(Kind kind, Index i, Index j, Scalar p, Scalar alpha_min) {
  switch (kind) {
    case Kind::W_tilde: return j % 4 == i ? 0 : p;
    case Kind::h: return std::clamp(p, Scalar(0), Scalar(1));
    case Kind::alpha: return std::max(p, alpha_min);
    case Kind::b:
    case Kind::lambda:
    case Kind::beta: return std::max(p, Scalar(0));
    default: return p;
  }
}

#define BACKENDS Cpu<float>, Cpu<double>, archetype::Loops<float>, archetype::Loops<double>

/// torch.optim.SGD as its documentation writes it (dampening 0, no Nesterov), one tensor, then the
/// projection: g <- g + decay theta;  b <- g in the first step, else momentum b + g;
/// theta <- theta - rate b.
TEST_CASE_TEMPLATE(
    "(F3) Sgd is PyTorch's SGD with momentum and weight decay, then the projection, for every kind", B,
    BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  Sgd sgd{.momentum = 0.9, .weight_decay = 0.125, .decays = Sgd::weights_only};
  sgd.constraints.alpha_min = 0.25;
  auto theta = values(b, 1, 1), velocity = values(b, 0, 1);
  std::array<HostMatrix<Scalar>, 10> p, v;
  for (std::size_t n = 0; n < 10; ++n) p[n] = to_host(b, theta.p[n]);
  Index moved = 0;
  for (int step = 0; step < 4; ++step) {
    Scalar const rate = Scalar(0.5) / Scalar(step + 1);
    auto const gradient = values(b, 1, 100 + 10 * static_cast<std::uint64_t>(step));
    sgd.step(b, theta, gradient, velocity, static_cast<double>(rate));
    for (std::size_t n = 0; n < 10; ++n) {
      Kind const kind = kinds[n];
      bool const decays = kind == Kind::weight || kind == Kind::W_tilde || kind == Kind::dictionary;
      auto const g = test::mapped([&](Scalar g_, Scalar p_) { return decays ? g_ + Scalar(0.125) * p_ : g_; },
                                  to_host(b, gradient.p[n]), p[n]);
      v[n] =
          step == 0 ? g : test::mapped([](Scalar v_, Scalar g_) { return Scalar(0.9) * v_ + g_; }, v[n], g);
      auto const free = test::mapped([&](Scalar p_, Scalar v_) { return p_ - rate * v_; }, p[n], v[n]);
      p[n] = host_matrix<Scalar>(
          4, 8, [&](Index i, Index j) { return projected(kind, i, j, free(i, j), Scalar(0.25)); });
      moved += !(p[n] == free);
      CHECK(test::max_abs_difference(to_host(b, theta.p[n]), p[n]) <= test::tolerance<Scalar>(8, 4));
    }
  }
  REQUIRE(moved == 4 * 6);  // not vacuous: every projection acts
}

TEST_CASE_TEMPLATE("(F3) a step is SgdStep of each parameter, then project: the same bits", B, BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  Sgd const sgd{.decays = Sgd::weights_only};
  auto theta = values(b, 1, 1), velocity = values(b, 1, 20);
  auto const gradient = values(b, 1, 40);
  auto by_hand = theta, v = velocity;
  sgd.step(b, theta, gradient, velocity, 0.3);
  for (std::size_t n = 0; n < 10; ++n) {
    Scalar const decay = Sgd::weights_only(kinds[n]) ? static_cast<Scalar>(sgd.weight_decay) : Scalar(0);
    formula::SgdStep<Scalar> const step{Scalar(0.3), static_cast<Scalar>(sgd.momentum), decay};
    each(b.lane(), step, by_hand.p[n], v.p[n], gradient.p[n]);
    project(b, sgd.constraints, kinds[n], by_hand.p[n]);
    CHECK(to_host(b, theta.p[n]) == to_host(b, by_hand.p[n]));
    CHECK(to_host(b, velocity.p[n]) == to_host(b, v.p[n]));
  }
}

TEST_CASE("Sgd decays everything by default, as PyTorch does") {
  Cpu<double> b;
  auto theta = values(b, 1, 1), velocity = values(b, 0, 1);
  auto const before = theta, gradient = values(b, 0, 1);
  Sgd{.momentum = 0, .weight_decay = 0.5}.step(b, theta, gradient, velocity, 0.5);
  for (std::size_t n : {0, 1, 5, 6}) CHECK(theta.p[n] == 0.75 * before.p[n]);  // the kinds without constraint
}

/// A tensor that is trained between two that are not.
struct WithStatistics {
  Cpu<double>::Matrix mean, gain, variance;
  template <class F, class Theta, class... Rest>
  static void visit(F&& f, Path const& path, Theta&& theta, Rest&&... rest) {
    f(path / "mean", Kind::running_mean, theta.mean, rest.mean...);
    f(path / "gain", Kind::gain, theta.gain, rest.gain...);
    f(path / "variance", Kind::running_variance, theta.variance, rest.variance...);
  }
};

TEST_CASE("Sgd leaves running statistics alone: neither gradient nor weight decay moves them") {
  Cpu<double> b;
  auto const some = [&](std::uint64_t n) { return test::random_matrix(b, 4, 1, test::seed(n)); };
  WithStatistics theta{some(1), some(2), some(3)}, velocity{some(4), some(5), some(6)};
  WithStatistics const gradient{some(7), some(8), some(9)}, before = theta;
  Sgd{.weight_decay = 0.5}.step(b, theta, gradient, velocity, 0.5);
  CHECK((theta.mean == before.mean && theta.variance == before.variance));
  CHECK_FALSE(theta.gain == before.gain);
  CHECK(parameter_count(theta) == 4);
}

TEST_CASE_TEMPLATE("(F3) the projections of Algorithm 2: each kind on its set, idempotent, NaN stays", B,
                   BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  Constraints const constraints{.alpha_min = 0.25};
  auto theta = values(b, 2, 1);
  auto const before = theta;
  project(b, constraints, theta);
  for (std::size_t n = 0; n < 10; ++n) {
    auto const p = to_host(b, before.p[n]);
    CHECK(to_host(b, theta.p[n]) == host_matrix<Scalar>(4, 8, [&](Index i, Index j) {
            return projected(kinds[n], i, j, p(i, j), Scalar(0.25));
          }));
  }
  auto again = theta;
  project(b, constraints, again);
  for (std::size_t n = 0; n < 10; ++n) CHECK(to_host(b, again.p[n]) == to_host(b, theta.p[n]));
  for (std::size_t n = 0; n < 10; ++n) {
    Scalar const nan = std::numeric_limits<Scalar>::quiet_NaN();
    theta.p[n] = to_device(b, HostMatrix<Scalar>(4, 8, nan));
    project(b, constraints, theta);
    auto const p = to_host(b, theta.p[n]);
    for (Index i = 0; i < 4; ++i)
      for (Index j = 0; j < 8; ++j) CHECK((std::isnan(p(i, j)) || (kinds[n] == Kind::W_tilde && j % 4 == i)));
  }
}

TEST_CASE("Sgd refuses numbers outside their ranges, and gradients or velocities of other shapes") {
  Cpu<double> b;
  auto theta = values(b, 1, 1), velocity = values(b, 0, 1);
  auto const gradient = theta, at_rest = velocity;
  double const nan = std::numeric_limits<double>::quiet_NaN();
  auto const refused = [&](Sgd const& sgd, double rate, char const* text) {
    test::check_throws_with<DomainError>([&] { sgd.step(b, theta, gradient, velocity, rate); }, text);
  };
  refused({}, -1, "Sgd: rate = -1, must be >= 0");
  refused({}, nan, "Sgd: rate = nan");
  refused({.momentum = 1}, 1, "Sgd: momentum = 1, must be in [0, 1)");
  refused({.momentum = -0.5}, 1, "Sgd: momentum = -0.5");
  refused({.weight_decay = -1}, 1, "Sgd: weight_decay = -1, must be >= 0");
  refused({.constraints = {.alpha_min = 0}}, 1, "Sgd: alpha_min = 0, must be > 0");
  auto short_one = gradient;
  short_one.p[3].resize(4, 7);
  test::check_throws_with<ShapeError>([&] { Sgd().step(b, theta, short_one, velocity, 1); },
                                      "Sgd: h is 4 x 8, its gradient is 4 x 7");
  OneOfEach<Cpu<double>> empty;
  test::check_throws_with<ShapeError>([&] { Sgd().step(b, theta, gradient, empty, 1); },
                                      "Sgd: weight is 4 x 8, its velocity is 0 x 0");
  for (std::size_t n = 0; n < 10; ++n)  // nothing was moved
    CHECK((theta.p[n] == gradient.p[n] && velocity.p[n] == at_rest.p[n]));
}

TEST_CASE("a step schedule multiplies the rate at its milestones; shares of epochs are rounded up") {
  StepSchedule const schedule = step_schedule(0.1, 0.2, 60, {0.3, 0.6, 0.8});
  CHECK(schedule.milestones == std::vector<int>{18, 36, 48});
  CHECK((schedule.at(0) == 0.1 && schedule.at(17) == 0.1));
  CHECK((schedule.at(18) == 0.1 * 0.2 && schedule.at(35) == 0.1 * 0.2));
  CHECK((schedule.at(36) == 0.1 * 0.2 * 0.2 && schedule.at(59) == 0.1 * 0.2 * 0.2 * 0.2));
  REQUIRE((0.07 * 100 > 7 && 0.29 * 100 < 29));  // in doubles
  CHECK(step_schedule(1, 0.5, 100, {0.07, 0.29, 0.57}).milestones == std::vector<int>{7, 29, 57});
  CHECK(step_schedule(1, 0.5, 10, {0.55, 1}).milestones == std::vector<int>{6, 10});
  CHECK(step_schedule(1, 0.5, 8, {0.3, 0.6, 0.8}).milestones == std::vector<int>{3, 5, 7});
}

TEST_CASE("a step schedule has its rate in the first epoch, however few there are") {
  for (int const epochs : {0, 1, 2, 3, 8}) {
    CAPTURE(epochs);
    CHECK(step_schedule(0.05, 0.2, epochs, {0, 0.01, 0.3, 0.6, 0.8}).at(0) == 0.05);
  }
  CHECK(step_schedule(1, 0.5, 1, {0, 0.3, 0.6, 0.8}).milestones == std::vector<int>{1, 1, 1, 1});
  CHECK(step_schedule(1, 0.5, 3, {0, 0.3, 0.6, 0.8}).milestones == std::vector<int>{1, 1, 2, 3});
}

TEST_CASE("a step schedule refuses a rate, factor or share that is none") {
  auto const refused = [](auto const& f, char const* text) { test::check_throws_with<DomainError>(f, text); };
  refused([] { step_schedule(-1, 0.5, 10, {}); }, "step_schedule: rate = -1, must be >= 0");
  refused([] { step_schedule(1, -0.5, 10, {}); }, "step_schedule: factor = -0.5, must be >= 0");
  refused([] { step_schedule(1, 0.5, 10, {1.5}); }, "step_schedule: share = 1.5, must be in [0, 1]");
}

}  // namespace detrame
