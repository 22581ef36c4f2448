// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/optim/adam_w.hpp"
#include "detrame/optim/sgd.hpp"
#include "laws/archetype.hpp"
#include "optim/one_of_each.hpp"
#include "support.hpp"

namespace detrame {

/// One moment, as an optimiser takes it.
template <class Theta>
std::span<Theta> span_of(Theta& moment) {
  return {&moment, 1};
}

#define BACKENDS Cpu<float>, Cpu<double>, archetype::Loops<float>, archetype::Loops<double>

/// The smallest optimiser, one with a moment whose name is not said, and one with a step of fewer arguments.
struct Halve {
  static constexpr std::array<std::string_view, 0> moments{};
  void step(auto&, auto& theta, auto const&, auto, double, std::uint64_t, double) const { theta *= 0.5f; }
};
struct Nameless : Halve {
  static constexpr int moments = 1;
};
struct Timeless {
  static constexpr std::array<std::string_view, 0> moments{};
  void step(auto&, auto&, auto const&, auto, double) const {}
};
static_assert(OptimiserOn<Halve, Cpu<float>, float>);
static_assert(!OptimiserOn<Nameless, Cpu<float>, float> && !OptimiserOn<Timeless, Cpu<float>, float>);
static_assert(OptimiserOn<Sgd, Cpu<float>, OneOfEach<Cpu<float>>>);
static_assert(OptimiserOn<AdamW, archetype::Loops<double>, OneOfEach<archetype::Loops<double>>>);

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

/// The same tensors with no constraint.
template <Backend B>
struct Free : OneOfEach<B> {
  template <class F, class Theta, class... Rest>
  static void visit(F&& f, Path const& path, Theta&& theta, Rest&&... rest) {
    for (std::size_t i = 0; i < 10; ++i)
      f(path / roles[i].name, Role{.weight = roles[i].weight}, theta.p[i], rest.p[i]...);
  }
};

TEST_CASE_TEMPLATE("(F3) a step of each optimiser is the free one, then project: the same bits", B,
                   BACKENDS) {
  B b;
  auto const check = [&](auto const& optimiser) {
    for (double const scale : {1., 0.7}) {
      auto theta = values(b, 1, 1);
      auto const gradient = values(b, 1, 40);
      Free<B> by_hand{theta};
      std::vector<OneOfEach<B>> moments;
      for (auto const& name : optimiser.moments) moments.push_back(values(b, name == "square." ? 0 : 1, 20));
      std::vector<Free<B>> v(moments.size());
      for (std::size_t m = 0; m < v.size(); ++m) v[m] = {moments[m]};
      optimiser.step(b, theta, gradient, moments, 0.3, 2, scale);
      optimiser.step(b, by_hand, Free<B>{gradient}, v, 0.3, 2, scale);
      for (std::size_t n = 0; n < 10; ++n) {
        CHECK_FALSE(to_host(b, by_hand.p[n]) == to_host(b, gradient.p[n]));
        project(b, optimiser.constraints, roles[n], by_hand.p[n]);
        CHECK(to_host(b, theta.p[n]) == to_host(b, by_hand.p[n]));
        for (std::size_t m = 0; m < v.size(); ++m)
          CHECK(to_host(b, moments[m].p[n]) == to_host(b, v[m].p[n]));
      }
    }
  };
  check(Sgd{.decays = Sgd::weights_only});
  check(Sgd{.nesterov = true, .decays = Sgd::weights_only});
  check(AdamW{.decays = Sgd::weights_only});
}

TEST_CASE_TEMPLATE("(F3) an unclipped step of Sgd is SgdStep of each parameter, then project: the same bits",
                   B, BACKENDS) {
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

TEST_CASE("optimisers refuse numbers outside their ranges, and gradients or moments of other shapes") {
  Cpu<double> b;
  auto theta = values(b, 1, 1);
  auto const gradient = theta, zero = values(b, 0, 1);
  std::vector moments(2, zero);
  double const nan = std::numeric_limits<double>::quiet_NaN();
  auto const step = [&](auto const& optimiser, auto const& theta_bar, double rate, double scale = 1) {
    optimiser.step(b, theta, theta_bar, std::span(moments).first(optimiser.moments.size()), rate, 0, scale);
  };
  auto const refused = [&](auto const& optimiser, double rate, std::string const& text) {
    test::check_throws_with<DomainError>([&] { step(optimiser, gradient, rate); }, text);
  };
  auto const of_both = [&](auto good, std::string const& who) {
    refused(good, -1, who + ": rate = -1, must be >= 0");
    refused(good, nan, who + ": rate = nan");
    auto bad = good;
    bad.weight_decay = -1;
    refused(bad, 1, who + ": weight_decay = -1, must be >= 0");
    bad = good;
    bad.constraints.margin = 0;
    refused(bad, 1, who + ": margin = 0, must be > 0");
    for (double const scale : {-1., nan})
      test::check_throws_with<DomainError>([&] { step(good, gradient, 1, scale); },
                                           message(who, ": gradient_scale = ", scale, ", must be >= 0"));
    auto short_one = gradient;
    short_one.p[3].resize(4, 7);
    test::check_throws_with<ShapeError>([&] { step(good, short_one, 1); },
                                        who + ": h is 4 x 8, its gradient is 4 x 7");
    test::check_throws_with<ShapeError>(
        [&] { good.step(b, theta, gradient, std::span<OneOfEach<Cpu<double>>>(), 1, 0); },
        message(who, ": 0 moments, must be ", good.moments.size()));
  };
  of_both(Sgd(), "Sgd");
  refused(Sgd{.momentum = 1}, 1, "Sgd: momentum = 1, must be in [0, 1)");
  refused(Sgd{.momentum = -0.5}, 1, "Sgd: momentum = -0.5");
  refused(Sgd{.momentum = 0, .nesterov = true}, 1, "Sgd: nesterov with momentum = 0, must be > 0");
  of_both(AdamW(), "AdamW");
  refused(AdamW{.beta_1 = 1}, 1, "AdamW: beta_1 = 1, must be in [0, 1)");
  refused(AdamW{.beta_2 = -0.5}, 1, "AdamW: beta_2 = -0.5, must be in [0, 1)");
  refused(AdamW{.beta_2 = nan}, 1, "AdamW: beta_2 = nan");
  refused(AdamW{.epsilon = 0}, 1, "AdamW: epsilon = 0, must be > 0");

  std::vector<OneOfEach<Cpu<double>>> empty{zero, {}};
  test::check_throws_with<ShapeError>([&] { AdamW().step(b, theta, gradient, empty, 1, 0); },
                                      "AdamW: weight is 4 x 8, its square is 0 x 0");
  test::check_throws_with<ShapeError>([&] { Sgd().step(b, theta, gradient, span_of(empty[1]), 1); },
                                      "Sgd: weight is 4 x 8, its velocity is 0 x 0");
  for (std::size_t n = 0; n < 10; ++n)  // nothing was moved
    CHECK((theta.p[n] == gradient.p[n] && moments[0].p[n] == zero.p[n] && moments[1].p[n] == zero.p[n]));
}

/// More tensors than are worked on at once, of which the last has a set that margins beyond 1/2 make empty.
struct ManyAndOne {
  static constexpr Role share{.name = "share", .low = 0, .high = 1, .open = true};
  std::array<Cpu<double>::Matrix, 300> p;
  template <class F, class Theta, class... Rest>
  static void visit(F&& f, Path const& path, Theta&& theta, Rest&&... rest) {
    for (std::size_t i = 0; i < 300; ++i)
      f(path / std::to_string(i), i == 299 ? share : Role{}, theta.p[i], rest.p[i]...);
  }
};

TEST_CASE("a step that a projection refuses has changed nothing, however many parameters came before") {
  Cpu<double> b;
  ManyAndOne theta;
  for (auto& p : theta.p) p = to_device(b, HostMatrix<double>(2, 2, .5));
  auto const before = theta, gradient = theta;
  std::vector moments(2, theta);
  auto const check = [&](auto optimiser) {
    auto const step = [&] {
      optimiser.step(b, theta, gradient, std::span(moments).first(optimiser.moments.size()), .5, 0);
    };
    optimiser.constraints.margin = .75;
    test::check_throws_with<DomainError>(step, "projection: share in [0.75, 0.25], which is empty");
    for (std::size_t i = 0; i < 300; ++i)
      REQUIRE(
          (theta.p[i] == before.p[i] && moments[0].p[i] == before.p[i] && moments[1].p[i] == before.p[i]));
    optimiser.trains = [](Role const& role) { return role.name != "share"; };  // its set is not asked for
    step();
    CHECK((theta.p[0] != before.p[0] && theta.p[299] == before.p[299]));
    theta = before;
    moments.assign(2, before);
  };
  check(Sgd());
  check(AdamW());
}

TEST_CASE("AdamW: a gradient whose square leaves the scalar's range is one whose v does not, as in PyTorch") {
  Cpu<float> b;
  auto theta = values(b, 0, 1), gradient = theta;
  std::vector moments(2, theta);
  for (auto& p : gradient.p) p.setConstant(1e20f);
  AdamW{.weight_decay = 0}.step(b, theta, gradient, moments, .5, 0);
  for (std::size_t n = 0; n < 10; ++n) {
    bool const in_D0 = roles[n].name == "W_tilde";
    // beta_2 is .999f: 1 - beta_2 is rounded once, as are two products; the step is rate m' / sqrt(v').
    CHECK(std::abs(moments[1].p[n](1, 2) / 1e37f - 1) <= 4 * std::numeric_limits<float>::epsilon());
    float const expected = projected<float>(roles[n].name, 1, 2, -.5f, 1e-3f);
    CHECK(std::abs(theta.p[n](1, 2) - expected) <= 16 * std::numeric_limits<float>::epsilon());
    CHECK((!in_D0 || theta.p[n](1, 1) == 0));
  }
}

TEST_CASE("AdamW refuses an epsilon that is 0 in the scalar of theta, where 0 / 0 would follow") {
  Cpu<float> b;
  auto theta = values(b, 1, 1);
  auto const gradient = theta;
  std::vector moments(2, values(b, 0, 1));
  test::check_throws_with<DomainError>(
      [&] { AdamW{.epsilon = 1e-60}.step(b, theta, gradient, moments, 1, 0); },
      "AdamW: epsilon = 1e-60, must be > 0 in the scalar of theta");
}

}  // namespace detrame
