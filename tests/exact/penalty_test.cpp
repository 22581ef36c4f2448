// SPDX-License-Identifier: Apache-2.0
#include "detrame/metric/penalty.hpp"

#include <doctest/doctest.h>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/exact/exact_margin.hpp"
#include "detrame/exact/exact_prox.hpp"
#include "detrame/exact/exact_prox_pullback.hpp"
#include "detrame/exact/exact_synthesis.hpp"
#include "detrame/exact/exact_synthesis_pullback.hpp"
#include "detrame/metric/block_metric.hpp"
#include "detrame/metric/dense_metric.hpp"
#include "laws/archetype.hpp"
#include "penalties.hpp"

namespace detrame {

using namespace detrame::test;

#define BACKENDS Cpu<double>, archetype::Loops<double>
#define SCALARS Cpu<double>, Cpu<float>, archetype::Loops<float>

namespace {

static_assert(Penalty<Box<Cpu<double>>> && !Shrinkage<Box<Cpu<double>>>);
static_assert(Penalty<Huber<Cpu<float>>> && !Shrinkage<Huber<Cpu<float>>>);
static_assert(Shrinkage<ElasticNet<Cpu<float>>> && Shrinkage<NonnegativeElasticNet<Cpu<float>>>);

template <class A>
void rule_laws(A const& rule, std::vector<double> const& points) {
  for (double t : points)
    for (double b : {0., .3, 1.}) {
      double const u = rule(t, b), h = 1e-6;
      CHECK(std::abs(rule.subgradient(u, u - t, b)) <= tolerance<double>(4, std::abs(t) + b));
      CHECK(rule(u, 0.) == u);  // the domain
      auto const objective = [&](double v) {
        return (v - t) * (v - t) / 2 + (b > 0 ? b * rule.value(v) : 0);
      };
      for (double e : {-.3, -1e-3, 1e-3, .3})
        if (rule(u + e, 0.) == u + e) CHECK(objective(u) <= objective(u + e));
      bool const kink_between = rule.curvature(rule(t + h, b)) != rule.curvature(u) ||
                                rule.curvature(rule(t - h, b)) != rule.curvature(u);
      if (!kink_between) {
        double const slope = slope_of([&](double e) { return rule(t + e, b); });
        CHECK(rule.times_slope(3., u, b) == doctest::Approx(3 * slope));
        bool const at_kink = std::isinf(rule.curvature(u));
        if (!at_kink) CHECK(slope == doctest::Approx(1 / (1 + b * rule.curvature(u))));
        if (b > 0 && !at_kink)
          CHECK(-rule.subgradient(u, 0., 1.) * slope ==
                doctest::Approx(slope_of([&](double e) { return rule(t, b + e); })).epsilon(1e-6));
        // u + change is a solution of the same slope as long as the change is less than the margin
        double const margin = rule.margin(u, u - t, b);
        CHECK(margin > 0);
        if (!at_kink)
          for (double p : {-1., 1.}) CHECK((rule.kink(u, p) - u) * p >= margin);
        else
          for (double e : {-.99, .99}) CHECK(rule(t + e * margin, b) == u);
      }
    }
  double const bad = std::numeric_limits<double>::quiet_NaN(), infinity = limits::infinity<double>;
  CHECK(!(std::abs(rule(bad, .1)) <= 1e300));
  CHECK(!(std::abs(rule.subgradient(points[0], bad, .1)) <= 1e300));
  if (rule(0., 0.) == 0) {  // an infinite weight holds 0
    CHECK(rule(points[0], infinity) == 0);
    CHECK(rule.subgradient(0., 3., infinity) <= 0);
    CHECK(std::abs(rule.subgradient(points[0] == 0 ? 1. : points[0], 3., infinity)) == infinity);
    CHECK(formula::held(rule, 0., infinity));
  }
}

/// What a rule says of packets is what it says of their entries, bit for bit.
template <class Scalar, class A>
void packet_laws(A const& rule) {
  constexpr Index L = detail::lanes<Scalar>;
  Scalar const nan = std::numeric_limits<Scalar>::quiet_NaN();
  auto const t = normal_matrix<Scalar>(L, 60, seed(1)), b = uniform_matrix<Scalar>(L, 60, seed(2));
  Index checked = 0;
  for (Index j = 0; j < 60; ++j) {
    Scalar v[L], at[L], weight[L], of_t[L], of_slope[L], of_g[L];
    for (Index l = 0; l < L; ++l) {
      v[l] = j == 59 ? nan : t(l, j), weight[l] = b(l, j);
      at[l] = rule(v[l], weight[l]);
    }
    auto const V = detail::load(v), W = detail::load(weight), U = detail::load(at);
    detail::store(of_t, rule(V, W));
    detail::store(of_slope, rule.times_slope(V, U, W));
    detail::store(of_g, rule.subgradient(U, V, W, detail::broadcast(limits::infinity<Scalar>)));
    for (Index l = 0; l < L; ++l) {
      auto const same = [&](Scalar x, Scalar y) { return x == y || (x != x && y != y); };
      CHECK(same(of_t[l], at[l]));
      CHECK(same(of_slope[l], rule.times_slope(v[l], at[l], weight[l])));
      CHECK(same(of_g[l], rule.subgradient(at[l], v[l], weight[l])));
      checked += at[l] == at[l];
    }
  }
  CHECK(checked == 59 * L);
}

}  // namespace

TEST_CASE(
    "(M9) what a penalty owes: prox, value, its derivative from its result, subgradient, kinks, margin") {
  std::vector<double> const points{-3, -1.2, -.5, -.1, 0, .1, .4, .77, 1.5, 4};
  double const infinity = std::numeric_limits<double>::infinity();
  rule_laws(formula::NonnegativeShrinkage{}, points);
  rule_laws(formula::SoftShrinkage{}, points);
  rule_laws(formula::Clamp<double>{-.6, .9}, {-3, -.61, -.59, 0, .2, .89, .91, 5});
  rule_laws(formula::Clamp<double>{-infinity, .9}, {-3, 0, .2, .89, .91, 5});
  rule_laws(formula::Clamp<double>{.5, 2}, {-3, .2, .51, 1, 5});
  rule_laws(formula::HuberShrinkage<double>{.5}, points);
  rule_laws(formula::HuberShrinkage<double>{2}, points);
  // infinite weights: u = 0, for which they cost nothing
  for (double u : {0., .5}) {
    double const cost = u == 0 ? 0 : infinity;
    CHECK(formula::PenaltyTerm<formula::SoftShrinkage>{}(u, infinity, infinity) == cost);
    CHECK(formula::PenaltyTerm<formula::NonnegativeShrinkage>{}(u, infinity, 0.) == cost);
    CHECK(formula::PenaltyTerm<formula::HuberShrinkage<double>>{{1}}(u, infinity, infinity) == cost);
    CHECK(formula::SoftShrinkage::subgradient(u, 3., infinity) == cost);
    CHECK(formula::NonnegativeShrinkage::subgradient(u, -3., infinity) == cost);
  }
  CHECK(formula::PenaltyTerm<formula::NonnegativeShrinkage>{}(-1., 0., 0.) == infinity);
  formula::PenaltyTerm<formula::Clamp<double>> const in_box{{-1, 2}};
  CHECK(in_box(.5, infinity, 0.) == infinity);
  CHECK(in_box(1e-200, 0., infinity) == infinity);
  CHECK(in_box(0., infinity, infinity) == 0);
  CHECK(std::isnan(in_box(std::nan(""), infinity, 0.)));
}

TEST_CASE_TEMPLATE("(M9) rules say of packets what they say of scalars", Scalar, float, double) {
  packet_laws<Scalar>(formula::NonnegativeShrinkage{});
  packet_laws<Scalar>(formula::SoftShrinkage{});
  packet_laws<Scalar>(formula::Clamp<Scalar>{Scalar(-.4), Scalar(.3)});
  packet_laws<Scalar>(formula::HuberShrinkage<Scalar>{Scalar(.5)});
}

TEST_CASE("(M9) a box and Huber's penalty: values, and what their constructors refuse") {
  Cpu<double> b;
  double const infinity = std::numeric_limits<double>::infinity();
  auto const value = [&](auto const& psi, double u) {
    auto const U = to_device(b, Host(2, 1, u));
    auto out = zeros(b, 1, 1);
    psi.value(b.lane(), U, out);
    return to_host(b, ConstView<Cpu<double>>(out))(0, 0);
  };
  CHECK(value(Box<Cpu<double>>(b, 2, -1, 2, .5), 1.) == .5);
  CHECK(value(Box<Cpu<double>>(b, 2, -1, 2, .5), 2.5) == infinity);
  CHECK(value(Huber<Cpu<double>>(b, 2, 2, 3, .5), 1.) == 2 * (3 * .25 + .25));
  CHECK(value(Huber<Cpu<double>>(b, 2, 2, 3, .5), -4.) == 2 * (3 * 3 + 4));
  check_throws_with<DomainError>([&] { Box<Cpu<double>>(b, 2, 1, -1); }, "[1, -1], must be an interval");
  check_throws_with<DomainError>([&] { Box<Cpu<double>>(b, 2, std::nan(""), 1); }, "must be an interval");
  check_throws_with<DomainError>([&] { Box<Cpu<double>>(b, 2, 1, 2, infinity); }, "must be finite where 0");
  check_throws_with<DomainError>([&] { Box<Cpu<double>>(b, 2, 0, 2, -1); }, "Box: beta");
  check_throws_with<DomainError>([&] { Huber<Cpu<double>>(b, 2, 0, 1); }, "Huber: delta = 0");
  check_throws_with<DomainError>([&] { Huber<Cpu<double>>(b, 2, infinity, 1); }, "Huber: delta = inf");
  check_throws_with<DomainError>([&] { Huber<Cpu<double>>(b, 2, 1, -1); }, "Huber: lambda");
}

TEST_CASE_TEMPLATE("(M9) (M3) (C4) columns of a box and of Huber's penalty: solution, certificate, units", B,
                   SCALARS) {
  using Scalar = typename B::Scalar;
  B b;
  Index const k = 12, N = 7;
  auto const check = [&](auto const& of, double beta, std::array<Index, 3> least) {
    auto const Q = rounded<double>(definite_matrix<Scalar>(k, 20, seed(10)));
    auto const z = rounded<double>(normal_matrix<Scalar>(k, N, seed(11)));
    DenseMetric<B> const metric(b, in_memory_of(b, Q));
    auto const psi = of(b, k, beta);
    auto const result = exact_prox(b, metric, psi, in_memory_of(b, z));
    CHECK(result.status == ExactStatus::optimal);
    auto const u = to_host(b, ConstView<B>(result.u));
    auto const count = pieces(psi, u);
    for (std::size_t p = 0; p < 3; ++p) REQUIRE(count[p] >= least[p]);
    double const rounding = static_cast<double>(tolerance<Scalar>(k, 100));
    CHECK(max_abs_difference(rounded<double>(u), by_gradients(Q, z, of, beta, 1)) <=
          static_cast<double>(result.bound) + rounding);
    // what is wrong is told, and how wrong
    auto const wrong = exact_prox(b, metric, psi, in_memory_of(b, z), {.pivot_limit = 1});
    CHECK(wrong.status == ExactStatus::iteration_limit);
    auto const off = max_abs_difference(to_host(b, ConstView<B>(wrong.u)), u);
    CHECK(off > Scalar(rounding));
    CHECK(off <= wrong.bound + result.bound);
    // from a guess
    auto again = exact_prox(b, metric, psi, in_memory_of(b, z));
    exact_prox(b, metric, psi, in_memory_of(b, z), again, {.warm_start = true});
    CHECK(again.status == ExactStatus::optimal);
    CHECK(again.iterations <= 2);
    check_throws_with<DomainError>(
        [&] { exact_prox(b, metric, psi, in_memory_of(b, z), {.factor_bytes = 64}); }, "no Shrinkage");
  };
  check(OfBox{-.3, .5}, .1, {10, 0, 10});
  check(OfBox{-limits::infinity<double>, .2}, 0, {10, 0, 10});
  check(OfBox{.25, .75}, 0, {10, 0, 10});  // 0 is not within
  check(OfHuber{.125, .5}, .1, {10, 10, 0});
  check(OfHuber{1, .25}, 0, {1, 10, 0});
  // (U4) z, and what is measured as it is, times a power of two; beyond the range that needs none
  auto const Q = definite_matrix<Scalar>(k, 20, seed(10));
  auto const z = normal_matrix<Scalar>(k, N, seed(11));
  DenseMetric<B> const metric(b, to_device(b, Q));
  for (int power : {3, std::is_same_v<Scalar, float> ? 60 : 500, -30}) {
    auto const by = [=](Scalar x) { return std::ldexp(x, power); };
    auto const u = [&](auto const& psi, auto const& point) {
      auto const result = exact_prox(b, metric, psi, to_device(b, point));
      CHECK(result.status == ExactStatus::optimal);
      return to_host(b, ConstView<B>(result.u));
    };
    CHECK(u(Box<B>(b, k, by(Scalar(-.25)), by(Scalar(.5))), mapped(by, z)) ==
          mapped(by, u(Box<B>(b, k, Scalar(-.25), Scalar(.5)), z)));
    CHECK(u(Huber<B>(b, k, by(Scalar(.125)), by(Scalar(.5))), mapped(by, z)) ==
          mapped(by, u(Huber<B>(b, k, Scalar(.125), Scalar(.5)), z)));
  }
}

TEST_CASE_TEMPLATE("(M9) (U4) bounds and delta far smaller, or larger, than the data", B, SCALARS) {
  using Scalar = typename B::Scalar;
  B b;
  bool const single = std::is_same_v<Scalar, float>;
  Scalar const tiny = single ? Scalar(1.2e-20) : Scalar(1e-150), big = Scalar(single ? 1e25 : 1e290);
  Scalar const infinity = limits::infinity<Scalar>, eps = limits::epsilon<Scalar>;
  auto const solve = [&](auto const& psi, HostMatrix<Scalar> const& z) {  // Q: 1 and .5 off the diagonal
    auto const one = host_matrix<Scalar>(z.rows(), z.rows(),
                                         [](Index i, Index j) { return i == j ? Scalar(1) : Scalar(.5); });
    DenseMetric<B> const Q(b, to_device(b, one));
    auto const result = exact_prox(b, Q, psi, to_device(b, z));
    CHECK(result.status == ExactStatus::optimal);
    return to_host(b, ConstView<B>(result.u));
  };
  auto const column = [](std::initializer_list<Scalar> v) {
    return host_matrix<Scalar>(Index(v.size()), 1, [=](Index i, Index) { return v.begin()[i]; });
  };
  auto const one = [](Scalar v) { return HostMatrix<Scalar>(1, 1, v); };
  auto const near = [&](Scalar u, Scalar right) { CHECK(std::abs(u - right) <= 16 * eps * std::abs(right)); };
  for (Scalar s : {Scalar(1), Scalar(8), Scalar(.125)}) {
    Scalar const t = s * tiny, z = s * big;
    CHECK(solve(Box<B>(b, 1, -t, t), one(z)) == one(t));
    CHECK(solve(Box<B>(b, 2, -t, t), column({z, Scalar(-.7) * z})) == column({t, -t}));
    auto const half = solve(Box<B>(b, 2, -t, infinity), column({z, Scalar(-.7) * z}));
    near(half(0, 0), Scalar(.65) * z);
    CHECK(half(1, 0) == -t);
    near(solve(Huber<B>(b, 1, t, s), one(z))(0, 0), z);
    near(solve(Huber<B>(b, 1, t, 2 * z), one(z))(0, 0), t / 2);
    auto const bent = solve(Huber<B>(b, 2, t, z / 2), column({z, z / 10}));
    near(bent(0, 0), Scalar(.55) * z);
    near(bent(1, 0), Scalar(.65) * t);
    // (M1): 1/2 (x - u)^2 + u^2 / 4
    Synthesis<B> const synthesis{to_device(b, one(1)), Scalar(.5), 0, 0, zeros(b, 1, 1)};
    auto const code = [&](auto const& psi, Scalar x) {
      ExactResult<B> result;
      exact_synthesis(b, synthesis, psi, to_device(b, one(x)), result);
      CHECK(result.status == ExactStatus::optimal);
      return to_host(b, ConstView<B>(result.u))(0, 0);
    };
    CHECK(code(Box<B>(b, 1, -t, t), z) == t);
    near(code(Huber<B>(b, 1, t, s), z), z / Scalar(1.5));
    near(code(Huber<B>(b, 1, t, 2 * z), z), t / 2);
    CHECK(code(Box<B>(b, 1, 1, 1000), 1 / z) == 1);
  }
  // the same bits in other units
  auto const bits = solve(Huber<B>(b, 2, tiny, big / 2), column({big, big / 10}));
  CHECK(solve(Huber<B>(b, 2, 8 * tiny, 4 * big), column({8 * big, Scalar(.8) * big})) ==
        mapped([](Scalar v) { return 8 * v; }, bits));
  // images
  ConvolutionalMetric<B> const Q(b, ConvolutionalBlocks{1, 2, 1, 1}, to_device(b, one(1)));
  auto const image = exact_prox(b, Q, Box<B>(b, 1, -tiny, tiny), to_device(b, HostMatrix<Scalar>(1, 2, big)));
  CHECK(image.status == ExactStatus::optimal);
  CHECK(to_host(b, ConstView<B>(image.u)) == HostMatrix<Scalar>(1, 2, tiny));
  // the margin of a u within delta is its distance from delta
  DenseMetric<B> const identity(b, to_device(b, one(1)));
  Huber<B> const huber(b, 1, tiny, 2 * big);
  CHECK(to_host(b, exact_margin(b, identity, huber, to_device(b, one(big)), to_device(b, one(tiny / 4))))(
            0, 0) == tiny - tiny / 4);
  // data far below the bounds: as z = 0
  Index const k = 12;
  auto const definite = rounded<double>(definite_matrix<Scalar>(k, 20, seed(10)));
  auto const z = mapped([&](Scalar v) { return v / big; }, normal_matrix<Scalar>(k, 3, seed(11)));
  DenseMetric<B> const metric(b, in_memory_of(b, definite));
  OfBox const far{1, 1000};
  auto const found = exact_prox(b, metric, far(b, k, 0), to_device(b, z));
  CHECK(found.status == ExactStatus::optimal);
  CHECK(max_abs_difference(in_double(b, ConstView<B>(found.u)),
                           by_gradients(definite, Host(k, 3), far, 0, 1)) <=
        static_cast<double>(found.bound) + static_cast<double>(tolerance<Scalar>(k, 100)));
  // a lambda and a delta far above the data: u = z / 2; where lambda is at the end of the range, a bound
  near(solve(Huber<B>(b, 1, Scalar(1e10), Scalar(1e10)), one(1))(0, 0), Scalar(.5));
  auto const wide = exact_prox(b, identity, Huber<B>(b, 1, 1 / tiny, 1 / tiny), to_device(b, one(1 / big)));
  near(to_host(b, ConstView<B>(wide.u))(0, 0), 1 / (2 * big));  // its certificate may not reach that far down
  Huber<B> const stiff(b, 1, 1, limits::largest<Scalar>);
  CHECK(exact_prox(b, identity, stiff, to_device(b, one(1 / big))).bound > Scalar(0));
}

TEST_CASE_TEMPLATE("(M9) the search from a start that is not 0 knows its terms: few products", B, Cpu<double>,
                   Cpu<float>) {
  using Scalar = typename B::Scalar;
  B b;
  Index const k = 40;
  DenseMetric<B> const metric(b, to_device(b, definite_matrix<Scalar>(k, 60, seed(12))));
  for (double size : {0., 1e-9, 1e-3}) {
    CAPTURE(size);
    auto const z = mapped([=](Scalar v) { return Scalar(size) * v; }, normal_matrix<Scalar>(k, 1, seed(13)));
    auto const result = exact_prox(b, metric, Box<B>(b, k, 1, 1000), to_device(b, z));
    CHECK(result.status == ExactStatus::optimal);
    CHECK(result.iterations <= 60);
  }
}

TEST_CASE_TEMPLATE("(M8) an infinite beta holds u at 0, in a box and with Huber's penalty", B, BACKENDS) {
  B b;
  double const infinity = std::numeric_limits<double>::infinity();
  auto const z = normal_matrix<double>(4, 5, seed(60));
  DenseMetric<B> const metric(b, to_device(b, definite_matrix<double>(4, 5, seed(61))));
  auto const beta = host_matrix<double>(4, 1, [=](Index i, Index) { return i == 2 ? infinity : .25; });
  auto const check = [&](auto const& psi) {
    auto const result = exact_prox(b, metric, psi, to_device(b, z));
    CHECK(result.status == ExactStatus::optimal);
    auto const u = to_host(b, ConstView<B>(result.u));
    auto const bar = exact_prox_pullback(b, metric, psi, to_device(b, z), result.u, to_device(b, z));
    auto const v = to_host(b, ConstView<B>(bar.v));
    for (Index j = 0; j < 5; ++j) {
      CHECK((u(2, j) == 0 && v(2, j) == 0));
      CHECK(v(0, j) == v(0, j));
    }
    REQUIRE(max_abs(u) > .1);
  };
  check(Box<B>(b, -.5, .5, to_device(b, beta)));
  check(Huber<B>(b, .5, to_device(b, Host(4, 1, .1)), to_device(b, beta)));
}

TEST_CASE_TEMPLATE("(A2) columns of a box and of Huber's penalty: margin and adjoint", B, BACKENDS) {
  B b;
  Index const k = 8, N = 3;
  auto const check = [&](auto const& of, double beta) {
    auto const Q = definite_matrix<double>(k, 20, seed(70)), z = normal_matrix<double>(k, N, seed(71));
    auto const u_bar = normal_matrix<double>(k, N, seed(72)), dz = normal_matrix<double>(k, N, seed(73));
    auto const E = normal_matrix<double>(k, k, seed(74));
    auto const dQ = mapped([](double x, double y) { return (x + y) / 2; }, E, transposed(E));
    auto const at = [&](double e_z, double e_Q, double e_beta) {
      auto const plus = [](double e) { return [e](double x, double dx) { return x + e * dx; }; };
      DenseMetric<B> const metric(b, to_device(b, mapped(plus(e_Q), Q, dQ)));
      return exact_prox(b, metric, of(b, k, beta + e_beta), to_device(b, mapped(plus(e_z), z, dz)));
    };
    auto const value = [&](double e_z, double e_Q, double e_beta) {
      return inner(to_host(b, ConstView<B>(at(e_z, e_Q, e_beta).u)), u_bar);
    };
    DenseMetric<B> const metric(b, to_device(b, Q));
    auto const psi = of(b, k, beta);
    auto const result = at(0, 0, 0);
    auto const margin = to_host(b, exact_margin(b, metric, psi, to_device(b, z), result.u));
    for (Index j = 0; j < N; ++j) REQUIRE(margin(0, j) > 1e-4);
    auto const bar = exact_prox_pullback(b, metric, psi, to_device(b, z), result.u, to_device(b, u_bar));
    auto const near = [](double x) { return doctest::Approx(x).epsilon(1e-6); };
    CHECK(inner(to_host(b, ConstView<B>(bar.z_bar)), dz) ==
          near(slope_of([&](double e) { return value(e, 0, 0); })));
    CHECK(inner(to_host(b, ConstView<B>(bar.Q_bar)), dQ) ==
          near(slope_of([&](double e) { return value(0, e, 0); })));
    CHECK(inner(to_host(b, ConstView<B>(bar.beta_bar)), Host(k, 1, 1.)) ==
          near(slope_of([&](double e) { return value(0, 0, e); })));
    return inner(to_host(b, ConstView<B>(bar.lambda_bar)), Host(k, 1, 1.));
  };
  CHECK(check(OfBox{-.3, .5}, .1) == 0);  // rho is flat inside
  CHECK(check(OfBox{.25, .75}, .1) == 0);
  OfHuber const of{.125, .5};
  auto const Q = definite_matrix<double>(k, 20, seed(70)), z = normal_matrix<double>(k, N, seed(71));
  DenseMetric<B> const metric(b, to_device(b, Q));
  CHECK(check(of, .1) == doctest::Approx(slope_of([&](double e) {
                           auto const psi = OfHuber{of.delta, of.lambda + e}(b, k, .1);
                           return inner(
                               to_host(b, ConstView<B>(exact_prox(b, metric, psi, to_device(b, z)).u)),
                               normal_matrix<double>(k, N, seed(72)));
                         })).epsilon(1e-6));
  // u = 0, where rho'' is 1/delta: nothing is held, and the gradient of Q sees it
  auto const zero = to_device(b, Host(k, 1));
  auto const bar = exact_prox_pullback(b, metric, of(b, k, .1), zero, zero, to_device(b, Host(k, 1, 1.)));
  auto const v = to_host(b, ConstView<B>(bar.v));
  auto const Hv = product(Q, v);
  for (Index i = 0; i < k; ++i) CHECK(Hv(i, 0) + (.1 + of.lambda / of.delta) * v(i, 0) == doctest::Approx(1));
  auto const one = host_matrix<double>(2, 2, [](Index i, Index j) { return i == j ? 1. : 0.; });
  DenseMetric<B> const identity(b, to_device(b, one));
  auto const point = to_device(b, host_matrix<double>(2, 1, [](Index i, Index) { return i == 0 ? 0. : 3.; }));
  auto const psi = of(b, 2, 0);
  auto const u = exact_prox(b, identity, psi, point).u;  // (0, 3 - lambda); v = (1 / (1 + lambda / delta), 1)
  CHECK(to_host(b, ConstView<B>(u))(1, 0) == doctest::Approx(2.5));
  auto const Q_bar = to_host(
      b, ConstView<B>(exact_prox_pullback(b, identity, psi, point, u, to_device(b, Host(2, 1, 1.))).Q_bar));
  CHECK(Q_bar(1, 0) == doctest::Approx(.5 * of.lambda / (1 + of.lambda / of.delta)));
}

TEST_CASE_TEMPLATE("(M1) (A3) columns of a dictionary: a box and Huber's penalty, with their adjoint", B,
                   BACKENDS) {
  B b;
  Index const m = 9, k = 6, N = 4;
  double const alpha = .2;
  auto const check = [&](auto const& of) {
    auto const D = unit_norm_dictionary<double>(m, k, seed(80)), x = normal_matrix<double>(m, N, seed(81));
    auto const d = mapped([](double v) { return .1 * v; }, normal_matrix<double>(k, 1, seed(82)));
    auto const u_bar = normal_matrix<double>(k, N, seed(83)), dD = normal_matrix<double>(m, k, seed(84)),
               dx = normal_matrix<double>(m, N, seed(85)), dd = normal_matrix<double>(k, 1, seed(86));
    auto const psi = of(b, k, .05);
    auto const at = [&](double e_D, double e_x, double e_d, double e_alpha) {
      auto const plus = [](double e) { return [e](double y, double dy) { return y + e * dy; }; };
      Synthesis<B> const synthesis{to_device(b, mapped(plus(e_D), D, dD)), alpha + e_alpha, 0, 0,
                                   to_device(b, mapped(plus(e_d), d, dd))};
      ExactResult<B> result;
      exact_synthesis(b, synthesis, psi, to_device(b, mapped(plus(e_x), x, dx)), result);
      CHECK(result.status == ExactStatus::optimal);
      return to_host(b, ConstView<B>(result.u));
    };
    auto const u = at(0, 0, 0, 0);
    auto const count = pieces(psi, u);
    REQUIRE((count[0] > 1 && count[1] + count[2] > 2));
    Synthesis<B> const synthesis{to_device(b, D), alpha, 0, 0, to_device(b, d)};
    auto const U = to_device(b, u), X = to_device(b, x);
    // M_D(x) is the prox of Q^-1 (D^T x - d) in the metric Q: by gradients of Q u - (D^T x - d)
    auto const Q = product(transposed(D), D);
    auto const right = product(transposed(D), x);
    Host a(k, N);
    for (int t = 0; t < 6000; ++t) {
      auto const Qa = product(Q, a);
      a = host_matrix<double>(k, N, [&](Index i, Index j) {
        double const g = Qa(i, j) + (alpha + .05) * a(i, j) - right(i, j) + d(i, 0);
        return of.descend(a(i, j), g, 1 / (4 + of.curvature()));
      });
    }
    CHECK(max_abs_difference(u, a) <= 1e-12);
    auto const margin = to_host(b, exact_margin(b, synthesis, psi, X, U));
    for (Index j = 0; j < N; ++j) REQUIRE(margin(0, j) > 1e-4);
    SynthesisCotangent<B> bar;
    exact_synthesis_pullback(b, synthesis, psi, X, U, to_device(b, u_bar), bar);
    auto const same = [&](ConstView<B> found, Host const& along, auto const& moved) {
      CHECK(inner(to_host(b, found), along) ==
            doctest::Approx(slope_of([&](double e) { return inner(moved(e), u_bar); })).epsilon(1e-6));
    };
    same(bar.X_bar, dx, [&](double e) { return at(0, e, 0, 0); });
    same(bar.D_bar, dD, [&](double e) { return at(e, 0, 0, 0); });
    same(bar.d_bar, dd, [&](double e) { return at(0, 0, e, 0); });
    same(bar.alpha_bar, Host(1, 1, 1.), [&](double e) { return at(0, 0, 0, e); });
  };
  check(OfBox{-.3, .4});
  check(OfBox{.1, .4});
  check(OfHuber{.125, .25});
}

TEST_CASE_TEMPLATE(
    "(M3) (A2) (K2) images of a box and of Huber's penalty: solution, certificate, adjoint, margin", B,
    BACKENDS) {
  B b;
  Index const k = 2, images = 2;
  double const beta = .1;
  ConvolutionalBlocks const shape{3, 3, 3, 1};
  Index const sites = shape.unit(), n = k * sites;
  auto kernel = symmetric_part(
      shape, mapped([](double w) { return .06 * w; }, normal_matrix<double>(k, 9 * k, seed(30))));
  for (Index c = 0; c < k; ++c) kernel(c, 4 * k + c) += 1;
  ConvolutionalMetric<B> const Q(b, shape, to_device(b, kernel));
  auto const z = normal_matrix<double>(k, images * sites, seed(31));
  auto const check = [&](auto const& of) {
    auto const psi = of(b, k, beta);
    auto const result = exact_prox(b, Q, psi, to_device(b, z));
    CHECK(result.status == ExactStatus::optimal);
    auto const u = to_host(b, ConstView<B>(result.u));
    auto const dense = to_host(b, detrame::dense(b, Q));
    auto const expected = by_gradients(dense, reshaped(z, n, images), of, beta, 2);
    auto const count = pieces(psi, u);
    REQUIRE((count[0] > 3 && count[1] + count[2] > 3));
    CHECK(max_abs_difference(reshaped(u, n, images), expected) <= 1e-12 + result.bound);
    // a wrong point is told: one entry a little off
    auto wrong = exact_prox(b, Q, psi, to_device(b, z), {.pivot_limit = 0});
    CHECK(wrong.status == ExactStatus::iteration_limit);
    CHECK(max_abs_difference(to_host(b, ConstView<B>(wrong.u)), u) <= wrong.bound + result.bound);

    auto const margin = to_host(b, exact_margin(b, Q, psi, to_device(b, z), result.u));
    double const nearest = std::min(margin(0, 0), margin(0, 1)), h = 1e-6;
    REQUIRE(nearest > 100 * h);
    auto const u_bar = normal_matrix<double>(k, images * sites, seed(32));
    auto const bar = exact_prox_pullback(b, Q, psi, to_device(b, z), result.u, to_device(b, u_bar));
    auto const dz = normal_matrix<double>(k, images * sites, seed(33));
    auto const at = [&](double t) {
      auto const moved = mapped([t](double a, double d) { return a + t * d; }, z, dz);
      return inner(to_host(b, ConstView<B>(exact_prox(b, Q, psi, to_device(b, moved)).u)), u_bar);
    };
    CHECK(inner(to_host(b, ConstView<B>(bar.z_bar)), dz) ==
          doctest::Approx((at(h) - at(-h)) / (2 * h)).epsilon(1e-6));
    auto const with_beta = [&](double e) {
      return inner(to_host(b, ConstView<B>(exact_prox(b, Q, of(b, k, e), to_device(b, z)).u)), u_bar);
    };
    auto const beta_bar = to_host(b, ConstView<B>(bar.beta_bar));
    CHECK(beta_bar(0, 0) + beta_bar(1, 0) ==
          doctest::Approx((with_beta(beta + h) - with_beta(beta - h)) / (2 * h)).epsilon(1e-6));
    return inner(to_host(b, ConstView<B>(bar.lambda_bar)), Host(k, 1, 1.));
  };
  CHECK(check(OfBox{-.3, .5}) == 0);  // rho is flat inside
  auto const with_lambda = [&](double e) {
    auto const psi = OfHuber{.3, .5 + e}(b, k, beta);
    return inner(to_host(b, ConstView<B>(exact_prox(b, Q, psi, to_device(b, z)).u)),
                 normal_matrix<double>(k, images * sites, seed(32)));
  };
  CHECK(check(OfHuber{.3, .5}) == doctest::Approx(slope_of(with_lambda)).epsilon(1e-6));
}

TEST_CASE_TEMPLATE("(M1) (A3) (K4) a box on the codes of images", B, BACKENDS) {
  B b;
  Window const w{4, 4, 2, 2, 0};  // patches that do not overlap: every position is a problem of its own
  auto const D = normal_matrix<double>(4, 3, seed(40));
  ConvolutionalSynthesis<B> const synthesis{w, to_device(b, D), .2, 0, 0, zeros(b, 3, 1)};
  Box<B> const psi(b, 3, -.2, .3);
  auto const x = normal_matrix<double>(1, 2 * w.sites(), seed(41));
  ExactResult<B> result;
  exact_synthesis(b, synthesis, psi, to_device(b, x), result);
  CHECK(result.status == ExactStatus::optimal);
  auto const u = to_host(b, ConstView<B>(result.u));
  REQUIRE(max_abs(u) <= .3);
  // against projected gradients on z = Q^-1 D^T x, a patch at a time
  auto const Q = host_matrix<double>(3, 3, [&](Index i, Index j) {
    double sum = i == j ? .2 : 0;
    for (Index l = 0; l < 4; ++l) sum += D(l, i) * D(l, j);
    return sum;
  });
  for (Index j = 0; j < u.cols(); ++j) {
    HostMatrix<double> patch(4, 1);
    Index const image = j / 4, y = j % 4 / 2 * 2, c = j % 2 * 2;
    for (Index tap = 0; tap < 4; ++tap) patch(tap, 0) = x(0, image * 16 + (y + tap / 2) * 4 + c + tap % 2);
    auto const r = product(transposed(D), patch);
    HostMatrix<double> a(3, 1);
    for (int t = 0; t < 20000; ++t) {
      auto const g = product(Q, a);
      a = mapped([](double v, double s, double t_) { return std::clamp(v - .05 * (s - t_), -.2, .3); }, a, g,
                 r);
    }
    for (Index i = 0; i < 3; ++i) CHECK(std::abs(a(i, 0) - u(i, j)) <= 1e-12);
  }
  SynthesisCotangent<B> bar;
  auto const u_bar = normal_matrix<double>(3, u.cols(), seed(42));
  exact_synthesis_pullback(b, synthesis, psi, to_device(b, x), result.u, to_device(b, u_bar), bar);
  auto const margin = to_host(b, exact_margin(b, synthesis, psi, to_device(b, x), result.u));
  double const h = 1e-6;
  REQUIRE(std::min(margin(0, 0), margin(0, 1)) > 100 * h);
  auto const dx = normal_matrix<double>(1, x.cols(), seed(43));
  auto const at = [&](double t) {
    ExactResult<B> moved;
    exact_synthesis(b, synthesis, psi,
                    to_device(b, mapped([t](double a, double d) { return a + t * d; }, x, dx)), moved);
    return inner(to_host(b, ConstView<B>(moved.u)), u_bar);
  };
  CHECK(inner(to_host(b, ConstView<B>(bar.X_bar)), dx) ==
        doctest::Approx((at(h) - at(-h)) / (2 * h)).epsilon(1e-6));
}

TEST_CASE_TEMPLATE("(M9) Huber's penalty with a small delta is solved, and from a guess that is not finite",
                   B, Cpu<double>, Cpu<float>) {
  using Scalar = typename B::Scalar;
  constexpr Index m = 60, k = 100;
  B b;
  Synthesis<B> const problem{
      in_memory_of(b, mapped([](double v) { return v / 8; }, normal_matrix<double>(m, k, seed(31)))),
      Scalar(.01), 0, 0, zeros(b, k, 1)};
  auto const X = in_memory_of(b, normal_matrix<double>(m, 10, seed(32)));
  for (double delta : {1e-2, 1e-3, 1e-4}) {
    Huber<B> const psi(b, k, static_cast<Scalar>(delta), Scalar(.3));
    auto const code = exact_synthesis(b, problem, psi, X);
    CAPTURE(delta);
    CHECK(name(code.status) == "optimal");
    ExactResult<B> from_guess = code;
    each(b.lane(), formula::Fill<Scalar>{std::numeric_limits<Scalar>::quiet_NaN()}, View<B>(from_guess.u));
    exact_synthesis(b, problem, psi, X, from_guess, {.warm_start = true});
    CHECK(from_guess.u == code.u);
  }
}

}  // namespace detrame
