// SPDX-License-Identifier: Apache-2.0
#include "detrame/metric/penalty.hpp"

#include <doctest/doctest.h>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/exact/exact_margin.hpp"
#include "detrame/exact/exact_prox.hpp"
#include "detrame/exact/exact_prox_pullback.hpp"
#include "detrame/exact/exact_synthesis.hpp"
#include "detrame/exact/exact_synthesis_pullback.hpp"
#include "detrame/metric/dense_metric.hpp"
#include "detrame/prox/metric_prox.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

using namespace detrame::test;

#define BACKENDS Cpu<double>, archetype::Loops<double>

namespace {

/// The penalty that resembles the two of penalty.hpp least: bounds, two kinks, none of them 0,
/// no weight that matters.
template <class Scalar>
struct BoxRule {
  Scalar low, high;
  BoxRule(Scalar low_, Scalar high_) : low(low_), high(high_) {}

  DETRAME_HOST_DEVICE BoxRule scaled(int power) const {
    return {std::ldexp(low, power), std::ldexp(high, power)};
  }
  DETRAME_HOST_DEVICE Scalar operator()(Scalar t, Scalar) const {
    return t < low ? low : t > high ? high : t;
  }
  DETRAME_HOST_DEVICE Scalar slope(Scalar u) const { return u == low || u == high ? Scalar(0) : Scalar(1); }
  DETRAME_HOST_DEVICE Scalar subgradient(Scalar u, Scalar g, Scalar) const {
    if (u < low || u > high) return limits::infinity<Scalar>;
    return (u == low && g > Scalar(0)) || (u == high && g < Scalar(0)) ? g - g : g;
  }
  DETRAME_HOST_DEVICE Scalar kink(Scalar, Scalar p) const { return p < Scalar(0) ? low : high; }
  DETRAME_HOST_DEVICE Scalar margin(Scalar u, Scalar g, Scalar) const {
    if (slope(u) == Scalar(0)) return g < Scalar(0) ? -g : g;
    return u - low < high - u ? u - low : high - u;
  }
};

template <Backend B>
struct Box {
  using Backend = B;
  using Scalar = typename B::Scalar;
  using Activation = BoxRule<Scalar>;
  Activation rule;
  Matrix<B> beta_, lambda_;

  Index dim() const { return beta_.rows(); }
  ConstView<B> lambda() const { return lambda_; }
  ConstView<B> beta() const { return beta_; }
  Activation activation() const { return rule; }
  void value(typename B::Lane& lane, ConstView<B> U, View<B> out) const {
    column_sums(lane, out, formula::PenaltyTerm<true>{}, U, PerRow{lambda()}, PerRow{beta()});
  }
};
static_assert(Penalty<Box<Cpu<double>>> && !Shrinkage<Box<Cpu<double>>>);
static_assert(Shrinkage<ElasticNet<Cpu<float>>> && Shrinkage<NonnegativeElasticNet<Cpu<float>>>);

template <Backend B>
Box<B> box(B& b, Index k, double low, double high, double beta) {
  return {{low, high}, to_device(b, HostMatrix<double>(k, 1, beta)), zeros(b, k, 1)};
}

/// The box [0, 1]: a rule without data, whose members are not static.
struct UnitBoxRule {
  UnitBoxRule scaled(int) const { return {}; }
  double operator()(double t, double) const { return std::clamp(t, 0., 1.); }
  double slope(double u) const { return BoxRule<double>(0, 1).slope(u); }
  double subgradient(double u, double g, double lambda) const {
    return BoxRule<double>(0, 1).subgradient(u, g, lambda);
  }
  double kink(double u, double p) const { return BoxRule<double>(0, 1).kink(u, p); }
  double margin(double u, double g, double lambda) const {
    return BoxRule<double>(0, 1).margin(u, g, lambda);
  }
};

template <Backend B>
struct UnitBox : ElasticNet<B> {
  using Activation = UnitBoxRule;
  UnitBox(B& b, Index k, double beta) : ElasticNet<B>(b, k, 0, beta) {}
  Activation activation() const { return {}; }
};
static_assert(Penalty<UnitBox<Cpu<double>>>);

/// u by many projected gradient steps, from Q and z alone.
HostMatrix<double> by_projection(HostMatrix<double> const& Q, HostMatrix<double> const& z, double low,
                                 double high, double beta) {
  HostMatrix<double> u(z.rows(), z.cols());
  double const step = 1 / (2 + beta);
  for (int t = 0; t < 4000; ++t) {
    auto const g = product(Q, mapped([](double a, double c) { return a - c; }, u, z));
    u = mapped([&](double a, double c) { return std::clamp(a - step * (c + beta * a), low, high); }, u, g);
  }
  return u;
}

template <class A>
void rule_laws(A const& rule, std::vector<double> const& points) {
  for (double t : points)
    for (double b : {0., .3, 1.}) {
      double const u = rule(t, b), h = 1e-6;
      CHECK(std::abs(rule.subgradient(u, u - t, b)) <= tolerance<double>(2, std::abs(t) + b));
      CHECK(rule(u, 0.) == u);  // the domain
      bool const kink_between =
          rule.slope(rule(t + h, b)) != rule.slope(u) || rule.slope(rule(t - h, b)) != rule.slope(u);
      if (!kink_between) {
        CHECK(rule.slope(u) == doctest::Approx((rule(t + h, b) - rule(t - h, b)) / (2 * h)));
        double const in_b = b > 0 ? (rule(t, b + h) - rule(t, b - h)) / (2 * h) : 0;
        if (b > 0 && rule.slope(u) != 0)
          CHECK(-rule.subgradient(u, 0., 1.) == doctest::Approx(in_b).epsilon(1e-6));
        // u + change is a solution of the same slope as long as the change is less than the margin
        double const margin = rule.margin(u, u - t, b);
        CHECK(margin > 0);
        if (rule.slope(u) != 0)
          for (double p : {-1., 1.}) CHECK((rule.kink(u, p) - u) * p >= margin);
        else
          for (double e : {-.99, .99}) CHECK(rule(t + e * margin, b) == u);
      }
    }
  for (double bad : {std::numeric_limits<double>::quiet_NaN()}) {
    CHECK(!(std::abs(rule(bad, .1)) <= 1e300));
    CHECK(!(std::abs(rule.subgradient(points[0], bad, .1)) <= 1e300));
  }
}

}  // namespace

TEST_CASE("(M1) what a penalty owes: prox, its derivative from its result, subgradient, kinks, margin") {
  std::vector<double> const points{-3, -1.2, -.5, -.1, 0, .1, .4, .77, 1.5, 4};
  rule_laws(formula::NonnegativeShrinkage{}, points);
  rule_laws(formula::SoftShrinkage{}, points);
  rule_laws(BoxRule<double>(-.6, .9), {-3, -.61, -.59, 0, .2, .89, .91, 5});
  // infinite weights: u = 0, for which they cost nothing
  for (double u : {0., .5}) {
    double const infinity = std::numeric_limits<double>::infinity();
    CHECK(formula::PenaltyTerm<true>{}(u, infinity, infinity) == (u == 0 ? 0 : infinity));
    CHECK(formula::PenaltyTerm<false>{}(u, infinity, 0.) == (u == 0 ? 0 : infinity));
    CHECK(formula::SoftShrinkage::subgradient(u, 3., infinity) == (u == 0 ? 0 : infinity));
    CHECK(formula::NonnegativeShrinkage::subgradient(u, -3., infinity) == (u == 0 ? 0 : infinity));
  }
}

TEST_CASE_TEMPLATE("(M3) (A2) a box, which exact/ has never heard of: solution, certificate, adjoint, margin",
                   B, BACKENDS) {
  B b;
  Index const k = 2, images = 2;
  double const low = -.3, high = .5, beta = .1;
  ConvolutionalBlocks const shape{3, 3, 3, 1};
  Index const sites = shape.unit(), n = k * sites;
  auto kernel = symmetric_part(
      shape, mapped([](double w) { return .06 * w; }, normal_matrix<double>(k, 9 * k, seed(30))));
  for (Index c = 0; c < k; ++c) kernel(c, 4 * k + c) += 1;
  ConvolutionalMetric<B> const Q(b, shape, to_device(b, kernel));
  auto const psi = box(b, k, low, high, beta);
  auto const z = normal_matrix<double>(k, images * sites, seed(31));
  auto const result = exact_prox(b, Q, psi, to_device(b, z));
  CHECK(result.status == ExactStatus::optimal);
  auto const u = to_host(b, ConstView<B>(result.u));
  auto const dense = to_host(b, detrame::dense(b, Q));
  auto const expected = by_projection(dense, reshaped(z, n, images), low, high, beta);
  Index at_low = 0, at_high = 0, free = 0;
  for (Index j = 0; j < u.cols(); ++j)
    for (Index i = 0; i < k; ++i) (u(i, j) == low ? at_low : u(i, j) == high ? at_high : free) += 1;
  REQUIRE((at_low > 0 && at_high > 0 && free > 0));
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
    return inner(to_host(b, ConstView<B>(exact_prox(b, Q, box(b, k, low, high, e), to_device(b, z)).u)),
                 u_bar);
  };
  auto const beta_bar = to_host(b, ConstView<B>(bar.beta_bar));
  CHECK(beta_bar(0, 0) + beta_bar(1, 0) ==
        doctest::Approx((with_beta(beta + h) - with_beta(beta - h)) / (2 * h)).epsilon(1e-6));
  CHECK(max_abs(to_host(b, ConstView<B>(bar.lambda_bar))) == 0);  // rho is flat inside
}

TEST_CASE_TEMPLATE("(M1) (A3) (K4) a box on the codes of images", B, BACKENDS) {
  B b;
  Window const w{4, 4, 2, 2, 0};  // patches that do not overlap: every position is a problem of its own
  auto const D = normal_matrix<double>(4, 3, seed(40));
  ConvolutionalSynthesis<B> const synthesis{w, to_device(b, D), .2, 0, 0, zeros(b, 3, 1)};
  auto const psi = box(b, 3, -.2, .3, 0);
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

TEST_CASE_TEMPLATE("(M3) (M4) recursions take any rule without data: the box [0, 1]", B, BACKENDS) {
  B b;
  auto const Q = definite_matrix<double>(6, 10, seed(50));
  auto const z = mapped([](double t) { return 2 * t; }, normal_matrix<double>(6, 5, seed(51)));
  auto const u_star = by_projection(Q, z, 0, 1, .05);
  Index inside = 0, at_0 = 0, at_1 = 0;
  for (Index j = 0; j < 5; ++j)
    for (Index i = 0; i < 6; ++i) ++(u_star(i, j) == 0 ? at_0 : u_star(i, j) == 1 ? at_1 : inside);
  REQUIRE((inside > 2 && at_0 > 2 && at_1 > 2));
  DenseMetric<B> const metric(b, to_device(b, Q));
  UnitBox<B> const psi(b, 6, .05);
  auto const check = [&](auto const& scheme) {
    auto const result = metric_prox(b, metric, psi, to_device(b, z), scheme);
    CHECK(result.status == Status::residual_reached);
    CHECK(max_abs_difference(to_host(b, ConstView<B>(result.u)), u_star) <= result.bound + 1e-12);
    CHECK(result.bound < 1e-8);
  };
  check(Gershgorin{});
  check(GaussSeidel{});
  check(Fista{});
}

}  // namespace detrame
