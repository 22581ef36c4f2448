// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/dense.hpp"
#include "detrame/layer/dictionary_unrolled.hpp"
#include "detrame/layer/q_metric.hpp"
#include "detrame/network/stack.hpp"
#include "detrame/optim/schedule.hpp"
#include "detrame/optim/sgd.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

/// What layers say of their parameters: weight, bias, W_tilde, h, b, dictionary, shift, lambda, alpha, beta.
std::array<Role, 10> const roles = [] {
  using Net = Stack<Dense<4>, QMetricReLU<Full, Unroll<1>>, Dictionary<4, Unrolled<Jacobi, Unroll<1>>>>;
  Cpu<double> b;
  std::array<Role, 10> all;
  visit([&, i = std::size_t(0)](std::string_view, Role const& role,
                                auto const&) mutable { all.at(i++) = role; },
        Bind<Net, Shape{4}, Cpu<double>>().parameters(b));
  return all;
}();

/// One tensor of each role.
template <Backend B>
struct OneOfEach {
  std::array<Matrix<B>, 10> p;
  template <class F, class Theta, class... Rest>
  static void visit(F&& f, Path const& path, Theta&& theta, Rest&&... rest) {
    for (std::size_t i = 0; i < 10; ++i) f(path / roles[i].name, roles[i], theta.p[i], rest.p[i]...);
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

/// One moment, as an optimiser takes it.
template <class Theta>
std::span<Theta> span_of(Theta& moment) {
  return {&moment, 1};
}

/// (F3), entry by entry.
template <class Scalar>
Scalar projected(std::string_view name, Index i, Index j, Scalar p, Scalar margin) {
  if (name == "W_tilde") return j % 4 == i ? 0 : p;
  if (name == "h") return std::clamp(p, Scalar(0), Scalar(1));
  if (name == "alpha") return std::max(p, margin);
  return name == "b" || name == "lambda" || name == "beta" ? std::max(p, Scalar(0)) : p;
}

#define BACKENDS Cpu<float>, Cpu<double>, archetype::Loops<float>, archetype::Loops<double>

/// torch.optim.SGD as its documentation writes it (dampening 0, no Nesterov), one tensor, then the
/// projection: g <- g + decay theta;  b <- g in the first step, else momentum b + g;
/// theta <- theta - rate b.
TEST_CASE_TEMPLATE(
    "(F3) Sgd is PyTorch's SGD with momentum and weight decay, then the projection, for every role", B,
    BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  Sgd sgd{.momentum = 0.9, .weight_decay = 0.125, .decays = Sgd::weights_only};
  sgd.constraints.margin = 0.25;
  auto theta = values(b, 1, 1), velocity = values(b, 0, 1);
  std::array<HostMatrix<Scalar>, 10> p, v;
  for (std::size_t n = 0; n < 10; ++n) p[n] = to_host(b, theta.p[n]);
  Index moved = 0;
  for (int step = 0; step < 4; ++step) {
    Scalar const rate = Scalar(0.5) / Scalar(step + 1);
    auto const gradient = values(b, 1, 100 + 10 * static_cast<std::uint64_t>(step));
    sgd.step(b, theta, gradient, span_of(velocity), static_cast<double>(rate));
    for (std::size_t n = 0; n < 10; ++n) {
      std::string_view const name = roles[n].name;
      bool const decays = name == "weight" || name == "W_tilde" || name == "dictionary";
      auto const g = test::mapped([&](Scalar g_, Scalar p_) { return decays ? g_ + Scalar(0.125) * p_ : g_; },
                                  to_host(b, gradient.p[n]), p[n]);
      v[n] =
          step == 0 ? g : test::mapped([](Scalar v_, Scalar g_) { return Scalar(0.9) * v_ + g_; }, v[n], g);
      auto const free = test::mapped([&](Scalar p_, Scalar v_) { return p_ - rate * v_; }, p[n], v[n]);
      p[n] = host_matrix<Scalar>(
          4, 8, [&](Index i, Index j) { return projected(name, i, j, free(i, j), Scalar(0.25)); });
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
  sgd.step(b, theta, gradient, span_of(velocity), 0.3);
  for (std::size_t n = 0; n < 10; ++n) {
    Scalar const decay = Sgd::weights_only(roles[n]) ? static_cast<Scalar>(sgd.weight_decay) : Scalar(0);
    formula::SgdStep<Scalar> const step{Scalar(0.3), static_cast<Scalar>(sgd.momentum), decay};
    each(b.lane(), step, by_hand.p[n], gradient.p[n], v.p[n]);
    project(b, sgd.constraints, roles[n], by_hand.p[n]);
    CHECK(to_host(b, theta.p[n]) == to_host(b, by_hand.p[n]));
    CHECK(to_host(b, velocity.p[n]) == to_host(b, v.p[n]));
  }
}

TEST_CASE("Sgd decays everything by default, as PyTorch does") {
  Cpu<double> b;
  auto theta = values(b, 1, 1), velocity = values(b, 0, 1);
  auto const before = theta, gradient = values(b, 0, 1);
  Sgd{.momentum = 0, .weight_decay = 0.5}.step(b, theta, gradient, span_of(velocity), 0.5);
  for (std::size_t n : {0, 1, 5, 6}) CHECK(theta.p[n] == 0.75 * before.p[n]);  // the roles without constraint
}

/// A tensor that is trained between two that are not.
struct WithStatistics {
  Cpu<double>::Matrix mean, gain, variance;
  template <class F, class Theta, class... Rest>
  static void visit(F&& f, Path const& path, Theta&& theta, Rest&&... rest) {
    f(path / "mean", Role{.name = "mean", .trained = false}, theta.mean, rest.mean...);
    f(path / "gain", Role{.name = "gain"}, theta.gain, rest.gain...);
    f(path / "variance", Role{.name = "variance", .trained = false}, theta.variance, rest.variance...);
  }
};

TEST_CASE("Sgd leaves running statistics alone: neither gradient nor weight decay moves them") {
  Cpu<double> b;
  auto const some = [&](std::uint64_t n) { return test::random_matrix(b, 4, 1, test::seed(n)); };
  WithStatistics theta{some(1), some(2), some(3)}, velocity{some(4), some(5), some(6)};
  WithStatistics const gradient{some(7), some(8), some(9)}, before = theta;
  Sgd{.weight_decay = 0.5}.step(b, theta, gradient, span_of(velocity), 0.5);
  CHECK((theta.mean == before.mean && theta.variance == before.variance));
  CHECK_FALSE(theta.gain == before.gain);
  CHECK(parameter_count(theta) == 4);
}

TEST_CASE_TEMPLATE("(F3) the projections of Algorithm 2: each role on its set, idempotent, NaN stays", B,
                   BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  Constraints const constraints{.margin = 0.25};
  auto theta = values(b, 2, 1);
  auto const before = theta;
  project(b, constraints, theta);
  for (std::size_t n = 0; n < 10; ++n) {
    auto const p = to_host(b, before.p[n]);
    CHECK(to_host(b, theta.p[n]) == host_matrix<Scalar>(4, 8, [&](Index i, Index j) {
            return projected(roles[n].name, i, j, p(i, j), Scalar(0.25));
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
      for (Index j = 0; j < 8; ++j)
        CHECK((std::isnan(p(i, j)) || (roles[n].name == "W_tilde" && j % 4 == i)));
  }
}

/// A layer's parameters of kinds that no other layer has.
struct OfTheUsers {
  static constexpr Role scale{.name = "scale", .low = -0.5, .high = 2, .open = true, .decays = false};
  static constexpr Role mixing{.name = "mixing", .low = 0, .taps = 3, .weight = true};
  static constexpr Role price{.name = "price", .high = 1, .hyperparameter = true};
  static constexpr Role count{.name = "count", .low = 0, .trained = false};
  Cpu<double>::Matrix scale_, mixing_, price_, count_;
  template <class F, class Theta, class... Rest>
  static void visit(F&& f, Path const& path, Theta&& theta, Rest&&... rest) {
    f(path / "s", scale, theta.scale_, rest.scale_...);
    f(path / "M", mixing, theta.mixing_, rest.mixing_...);
    f(path / "p", price, theta.price_, rest.price_...);
    f(path / "n", count, theta.count_, rest.count_...);
  }
};

TEST_CASE("(F3) a role of one's own: Sgd keeps to its set, its decay, and whether it is trained at all") {
  Cpu<double> b;
  auto const values = [&](double scale, std::uint64_t n) {
    auto const some = [&](Index cols) {
      return Cpu<double>::Matrix(scale * test::random_matrix(b, 2, cols, test::seed(n++)));
    };
    return OfTheUsers{some(9), some(6), some(9), some(9)};
  };
  auto const before = values(4, 1), gradient = values(1, 11), at_rest = values(0, 1);
  auto const stepped = [&](Sgd const& sgd) {
    auto theta = before, velocity = at_rest;
    sgd.step(b, theta, gradient, span_of(velocity), 0.5);
    return theta;
  };
  auto const free = [](auto const& p, auto const& g, double decay) { return p - 0.5 * (g + decay * p); };
  Sgd sgd{.momentum = 0, .weight_decay = 0.25, .constraints = {.margin = 0.125}};
  auto theta = stepped(sgd);
  Eigen::ArrayXXd const scale = free(before.scale_, gradient.scale_, 0);
  REQUIRE((scale.minCoeff() < -0.375 && scale.maxCoeff() > 1.875));  // both bounds act
  CHECK((theta.scale_.array() == scale.max(-0.375).min(1.875)).all());
  Eigen::ArrayXXd mixing = free(before.mixing_, gradient.mixing_, 0.25).array().max(0.);
  mixing(0, 2) = mixing(1, 3) = 0;  // of three 2 x 2 matrices the middle one
  CHECK((theta.mixing_.array() == mixing).all());
  Eigen::ArrayXXd const price = free(before.price_, gradient.price_, 0.25);
  REQUIRE(price.maxCoeff() > 1);
  CHECK((theta.price_.array() == price.min(1.)).all());
  REQUIRE(before.count_.minCoeff() < 0);
  CHECK(theta.count_ == before.count_);
  CHECK(parameter_count(theta) == 18 + 12 + 18);

  sgd.decays = Sgd::weights_only;
  sgd.trains = Sgd::not_the_problem;
  theta = stepped(sgd);
  CHECK((theta.scale_.array() == scale.max(-0.375).min(1.875)).all());
  CHECK((theta.mixing_.array() == mixing).all());
  CHECK(theta.price_ == before.price_);
}

TEST_CASE_TEMPLATE("(F3) the ends of an interval are rounded inwards, those of an open one never reached",
                   Scalar, float, double) {
  auto const ends = [](double low, double high, bool open) {
    auto const p = projection<Scalar>({}, {.low = low, .high = high, .open = open}, 1);
    return std::pair(static_cast<double>(p.low), static_cast<double>(p.high));
  };
  for (double low : {.9, -.9, 0., 1e5, 1e17}) {
    double const high = low + 1 + std::abs(low) / 2;
    auto const [closed_low, closed_high] = ends(low, high, false);
    CHECK((closed_low >= low && closed_high <= high));
    CHECK(closed_low - low <=
          2 * static_cast<double>(std::numeric_limits<Scalar>::epsilon()) * std::abs(low));
    auto const [open_low, open_high] = ends(low, high, true);
    CHECK((open_low > low && open_high < high));
  }
  CHECK(ends(0, 1, false) == std::pair(0., 1.));
}

TEST_CASE("a projection refuses a set that is empty") {
  auto const refused = [](Role const& role, double margin, char const* text) {
    test::check_throws_with<DomainError>([&] { projection<float>({.margin = margin}, role, 1); }, text);
  };
  refused({.name = "s", .low = 1, .high = 0.5}, 1, "projection: s in [1, 0.5], which is empty");
  refused({.name = "s", .low = 0, .high = 1, .open = true}, 0.75, "s in [0.75, 0.25], which is empty");
  refused({.name = "s", .low = std::numeric_limits<double>::quiet_NaN()}, 1, "s in [nan, inf], which");
  CHECK(projection<float>({.margin = 0.5}, {.low = 0, .high = 1, .open = true}, 1).low == 0.5f);
}

TEST_CASE("Sgd refuses numbers outside their ranges, and gradients or velocities of other shapes") {
  Cpu<double> b;
  auto theta = values(b, 1, 1), velocity = values(b, 0, 1);
  auto const gradient = theta, at_rest = velocity;
  double const nan = std::numeric_limits<double>::quiet_NaN();
  auto const refused = [&](Sgd const& sgd, double rate, char const* text) {
    test::check_throws_with<DomainError>([&] { sgd.step(b, theta, gradient, span_of(velocity), rate); },
                                         text);
  };
  refused({}, -1, "Sgd: rate = -1, must be >= 0");
  refused({}, nan, "Sgd: rate = nan");
  refused({.momentum = 1}, 1, "Sgd: momentum = 1, must be in [0, 1)");
  refused({.momentum = -0.5}, 1, "Sgd: momentum = -0.5");
  refused({.weight_decay = -1}, 1, "Sgd: weight_decay = -1, must be >= 0");
  refused({.constraints = {.margin = 0}}, 1, "Sgd: margin = 0, must be > 0");
  auto short_one = gradient;
  short_one.p[3].resize(4, 7);
  test::check_throws_with<ShapeError>([&] { Sgd().step(b, theta, short_one, span_of(velocity), 1); },
                                      "Sgd: h is 4 x 8, its gradient is 4 x 7");
  OneOfEach<Cpu<double>> empty;
  test::check_throws_with<ShapeError>([&] { Sgd().step(b, theta, gradient, span_of(empty), 1); },
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
