// SPDX-License-Identifier: Apache-2.0
#include "detrame/layer/dictionary_exact.hpp"
#include "detrame/layer/dictionary_unrolled.hpp"
#include "laws/everywhere.hpp"
#include "layer/fallback.hpp"

namespace detrame {

using laws::everywhere;
using laws::LayerAt;
using laws::LayerModel;
using Host = HostMatrix<double>;

/// alpha >= .3 and |D| <= 2, so the condition of D^T D + alpha I is at most 15; predict has no tape.
constexpr laws::LayerFacts solved{.conditioning = 15, .predict_allocates = true};

TEST_CASE("(M1) (A3) Dictionary solved exactly obeys the laws of a layer") {
  everywhere<Dictionary<6, Exact>, Shape{5}>(solved);
  everywhere<Dictionary<4, Exact>, Shape{5, 2, 3}>(solved);
}

using Jacobi3 = Unrolled<Jacobi, Unroll<3>>;
using Gershgorin3 = Unrolled<Gershgorin, Unroll<3>>;

template <class Solver>
using Coding = LayerModel<Bind<Dictionary<8, Solver>, Shape{5}, Cpu<double>>>;

TEST_CASE("(M1) Dictionary<k, Exact> satisfies the optimality conditions of its problem") {
  Coding<Exact> layer;
  LayerAt<double> const at(layer, 20, 1);
  Host const &D = at.theta[0], &d = at.theta[1];
  double const lambda = at.theta[2](0, 0), alpha = at.theta[3](0, 0), beta = at.theta[4](0, 0);
  Host const u = at.outcome().y;  // 8 x 20
  Host const misfit = test::mapped([](double a, double b) { return a - b; }, test::product(D, u), at.x);
  Host const D_misfit = test::product(test::transposed(D), misfit);
  Index active = 0;
  for (Index j = 0; j < 20; ++j)
    for (Index i = 0; i < 8; ++i) {
      double const g = D_misfit(i, j) + (alpha + beta) * u(i, j) + d(i, 0) + lambda;
      CHECK(u(i, j) >= 0);
      CHECK(g >= -test::tolerance<double>(13, 8));
      if (u(i, j) > 0) CHECK(std::abs(g) <= test::tolerance<double>(13, 8));
      active += u(i, j) > 0;
    }
  REQUIRE((active > 20 && active < 140));  // not vacuous: some are, some are not
}

TEST_CASE("(A4) as T grows, map and gradient of the unrolled dictionary become those of the exact one") {
  auto const outcome = [](auto&& layer) { return LayerAt<double>(layer, 20, 2).outcome(); };
  auto const exact = outcome(Coding<Exact>()), short_of = outcome(Coding<Unrolled<Gershgorin, Unroll<8>>>()),
             there = outcome(Coding<Unrolled<Gershgorin, Unroll<400>>>());
  REQUIRE(test::max_abs_difference(short_of.y, exact.y) > 1e-3);  // 8 updates are not yet there
  double const rounding = test::tolerance<double>(400, 15);
  CHECK(test::max_abs_difference(there.y, exact.y) <= rounding);
  CHECK(test::max_abs_difference(there.x_bar, exact.x_bar) <= rounding);
  for (std::size_t i = 0; i < 5; ++i)
    CHECK(test::relative_difference(there.theta_bar[i], exact.theta_bar[i]) <= 400 * rounding);
}

TEST_CASE_TEMPLATE("(M1) a dictionary layer depends on alpha and beta only through alpha + beta", Solver,
                   Exact, Jacobi3, Gershgorin3) {
  Coding<Solver> layer;
  LayerAt<double> at(layer, 20, 3);
  auto const before = at.outcome();
  double const shift = 0.03125;
  at.theta[3](0, 0) += shift, at.theta[4](0, 0) -= shift;
  auto const after = at.outcome();
  CHECK(test::max_abs_difference(after.y, before.y) <= test::tolerance<double>(40, 15));
  CHECK(test::max_abs_difference(after.x_bar, before.x_bar) <= test::tolerance<double>(40, 15));
  CHECK(test::relative_difference(before.theta_bar[3], before.theta_bar[4]) <=
        test::tolerance<double>(160, 15));
}

using test::Fallback;

template <Backend B>
Fallback fallback(B b, Host const& D, Host const& samples, Host const& u_bar) {
  return test::fallback<Bind<Dictionary<8, Exact>, Shape{5}, B>>(b, D, samples, u_bar);
}

TEST_CASE("(M1) (A3) what float cannot certify, Dictionary<k, Exact> solves in double, and counts it") {
  Index const m = 5, k = 8, N = 4, tiny = 2;
  Host const D = test::unit_norm_dictionary<double>(m, k, test::seed(70));
  Host x = test::normal_matrix<double>(m, N, test::seed(71));
  for (Index i = 0; i < m; ++i) x(i, tiny) *= 3e-41;  // its code is subnormal in float: most digits are lost
  Host const u_bar = test::normal_matrix<double>(k, N, test::seed(72));
  Host const seen = test::rounded<double>(test::rounded<float>(x));
  Fallback const wide = fallback(Cpu<double>(1), D, seen, u_bar);
  Fallback const narrow = fallback(Cpu<float>(1), D, seen, u_bar);
  CHECK(wide.again.empty());
  CHECK(narrow.again == std::vector<Index>{tiny});
  CHECK(test::max_abs_difference(narrow.predicted, narrow.u) == 0);
  double largest = 0;
  for (Index i = 0; i < k; ++i) {  // but for the rounding of D and alpha
    double const expected = wide.u(i, tiny), unit = std::numeric_limits<float>::denorm_min();
    CHECK(std::abs(narrow.u(i, tiny) - expected) <= .51 * unit + 1e-4 * expected);
    largest = std::max(largest, expected);
  }
  REQUIRE(largest > 0);
  double const close = static_cast<double>(test::tolerance<float>(8, 40));
  CHECK(test::max_abs_difference(narrow.x_bar, wide.x_bar) <= close);
  CHECK(test::max_abs_difference(narrow.inference_x_bar, narrow.x_bar) == 0);
  CHECK(test::max_abs_difference(narrow.D_bar, wide.D_bar) <= 4 * close);
  CHECK(test::max_abs_difference(narrow.alpha_bar, wide.alpha_bar) <= 40 * close);
  CHECK(test::max_abs_difference(narrow.lambda_bar, wide.lambda_bar) <= 40 * close);
  // what is not finite goes through, and does not hide what failed
  Host spoilt = x;
  spoilt(1, 0) = std::numeric_limits<double>::quiet_NaN();
  Fallback const both = fallback(Cpu<float>(1), D, spoilt, u_bar);
  CHECK(std::isnan(both.u(0, 0)));
  CHECK(both.again == std::vector<Index>{tiny});
  // double has nothing wider to turn to
  for (Index i = 0; i < m; ++i) x(i, tiny) *= 1e-281;
  test::check_throws_with<NotCertified>([&] { fallback(Cpu<double>(1), D, x, u_bar); },
                                        "Dictionary: the exact solver ended with inaccurate");
}

TEST_CASE_TEMPLATE("Dictionary refuses alpha <= 0, beta < 0 and lambda < 0, by name and value", Solver, Exact,
                   Jacobi3) {
  Coding<Solver> layer;
  auto const refused = [&](std::size_t i, double value, char const* text) {
    LayerAt<double> at(layer, 2, 4);
    at.theta[i](0, 0) = value;
    test::check_throws_with<DomainError>([&] { layer.forward(at.theta, at.x, {}); }, text);
    test::check_throws_with<DomainError>([&] { layer.predict(at.theta, at.x, 2); }, text);
  };
  refused(3, 0, "alpha = 0, must be > 0");
  refused(4, -0.5, "beta = -0.5, must be >= 0");
  refused(2, -0.5, "lambda = -0.5, must be >= 0");
}

}  // namespace detrame
