// SPDX-License-Identifier: Apache-2.0
#include "detrame/layer/q_metric.hpp"

#include "detrame/layer/host_parameters.hpp"
#include "detrame/layer/mixed_blocks.hpp"
#include "detrame/layer/relu.hpp"
#include "detrame/network/initialise.hpp"
#include "detrame/optim/projection.hpp"
#include "laws/everywhere.hpp"

namespace detrame {

using laws::everywhere;
using laws::LayerAt;
using laws::LayerModel;
using Host = HostMatrix<double>;

TEST_CASE("(M5) (A1) QMetricReLU obeys the laws of a layer, whatever T, the blocks, the tape, the sites") {
  everywhere<QMetricReLU<Full, Unroll<1>>, Shape{6}>();
  everywhere<QMetricReLU<Full, Unroll<2>>, Shape{6, 2, 3}>();
  everywhere<QMetricReLU<Full, Unroll<5>, RecomputeStates>, Shape{6}>();
  everywhere<QMetricReLU<Blocks<3>, Unroll<2>, RecomputeStates>, Shape{6, 2, 3}>();
  everywhere<QMetricReLU<Blocks<2>, Unroll<5>>, Shape{6}>();
}

TEST_CASE("(M5) QMetricReLU is T updates of eq. (20), written out") {
  LayerModel<Bind<QMetricReLU<Blocks<2>, Unroll<3>>, Shape{6, 1, 2}, Cpu<double>>> layer;
  LayerAt<double> const at(layer, 5, 1);
  Host const &W = at.theta[0], &h = at.theta[1], &b = at.theta[2], &z = at.x;
  Host u(6, 10);  // U_0 = 0
  for (int t = 0; t < 3; ++t)
    u = host_matrix<double>(6, 10, [&](Index i, Index j) {
      double v = h(i, 0) * z(i, j) - b(i, 0);
      for (Index l = 0; l < 3; ++l)
        v += W(i % 3, i / 3 * 3 + l) * (u(i / 3 * 3 + l, j) - z(i / 3 * 3 + l, j));
      return std::max(v, 0.);
    });
  REQUIRE(test::max_abs(u) > 0);
  CHECK(test::max_abs_difference(at.outcome().y, u) <= test::tolerance<double>(3 * 4, 10));
}

TEST_CASE_TEMPLATE("(A1) to recompute the states or to store them gives the same bits", T, Unroll<1>,
                   Unroll<2>, Unroll<5>) {
  auto stored = laws::outcome_of<QMetricReLU<Full, T, StoreStates>, Shape{6, 2, 3}>(40, 1);
  auto recomputed = laws::outcome_of<QMetricReLU<Full, T, RecomputeStates>, Shape{6, 2, 3}>(40, 1);
  stored.support.clear(), recomputed.support.clear();  // the one thing the tapes differ in
  CHECK(stored == recomputed);
}

TEST_CASE("(F4) W~ = 0, h = 1, b = 0 is ReLU, whatever T; the same bits, forward and back") {
  using B = Cpu<double>;
  LayerModel<Bind<QMetricReLU<Full, Unroll<4>>, Shape{6}, B>> layer;
  LayerModel<Bind<ReLU, Shape{6}, B>> relu;
  LayerAt<double> at(layer, 40, 1), relu_at(relu, 40, 1);
  at.theta = {Host(6, 6), Host(6, 1, 1.), Host(6, 1)};
  CHECK(at.outcome().y == relu_at.outcome().y);
  CHECK(at.outcome().x_bar == relu_at.outcome().x_bar);
}

TEST_CASE("(M9) (A1) a Q-metric layer with another rule obeys the laws of a layer") {
  everywhere<QMetricSoftThreshold<Full, Unroll<2>>, Shape{6, 2, 3}>();
  everywhere<QMetricSoftThreshold<Blocks<3>, Unroll<4>, RecomputeStates>, Shape{6}>();
  everywhere<QMetric<Smooth<Delta{.25}>, Full, Unroll<3>>, Shape{6, 2, 3}>();
}

TEST_CASE("(M9) (A1) in a Q-metric layer with bounds all counts but b; its pullback is the gradient") {
  LayerModel<Bind<QMetric<Clipped<Bounds{-.5, .75}>, Full, Unroll<3>>, Shape{6}, Cpu<double>>> layer;
  LayerAt<double> const at(layer, 4, 1);
  auto const here = at.outcome();
  CHECK((test::max_abs(here.theta_bar[0]) > 0 && test::max_abs(here.theta_bar[1]) > 0));
  CHECK(test::max_abs(here.theta_bar[2]) == 0);
  REQUIRE(std::count(here.support.begin(), here.support.end(), false) > 0);
  Index compared = 0;
  for (auto const& check : layer.check(at.theta, at.x, {.draw = at.draw}))
    if (check.same_support) {
      CHECK_MESSAGE(check.agrees(), check);
      ++compared;
    }
  CHECK(compared > 6);
}

/// T = 3 updates of a layer on 6 rows, written out, with the rule A.
template <class Recipe, class A>
void written_out(A const& rule) {
  LayerModel<Bind<Recipe, Shape{6}, Cpu<double>>> layer;
  LayerAt<double> at(layer, 20, 1);
  at.theta[2] = test::mapped([](double b) { return std::abs(b); }, at.theta[2]);
  Host const &W = at.theta[0], &h = at.theta[1], &b = at.theta[2], &z = at.x;
  Host u(6, 20);  // U_0 = 0
  for (int t = 0; t < 3; ++t) {
    Host const v = test::product(W, test::mapped([](double x, double y) { return x - y; }, u, z));
    u = host_matrix<double>(6, 20,
                            [&](Index i, Index j) { return rule(h(i, 0) * z(i, j) + v(i, j), b(i, 0)); });
  }
  REQUIRE(test::max_abs(u) > 0);
  CHECK(test::max_abs_difference(at.outcome().y, u) <= test::tolerance<double>(6 * 4, 10));
}

TEST_CASE("(M9) a Q-metric layer is T updates with its rule, written out") {
  written_out<QMetricSoftThreshold<Full, Unroll<3>>>([](double t, double b) {
    return t > b ? t - b : t < -b ? t + b : 0;
  });
  written_out<QMetric<Clipped<Bounds{-.5, .75}>, Full, Unroll<3>>>(
      [](double t, double) { return std::clamp(t, -.5, .75); });
  written_out<QMetric<Smooth<Delta{.25}>, Full, Unroll<3>>>(
      [](double t, double b) { return std::abs(t) <= .25 + b ? t / (1 + b / .25) : t - (t > 0 ? b : -b); });
}

template <class TapePolicy = StoreStates>
using MixedReLU = QMetricReLU<Mixed<Channels<2, Full>, Channels<4, Convolutional<3, 2>>, Channels<1, Full>>,
                              Unroll<3>, TapePolicy>;

TEST_CASE("(M5) blocks of different structures in one Q-metric layer obey the laws of a layer") {
  everywhere<MixedReLU<>, Shape{7, 3, 4}>();
  everywhere<
      QMetricSoftThreshold<Mixed<Channels<3, Blocks<3>>, Channels<2, Full>>, Unroll<2>, RecomputeStates>,
      Shape{5}>();
}

TEST_CASE("(M5) a layer of mixed blocks has the bits of its parts, each on its rows") {
  using B = Cpu<double>;
  constexpr Index sites = 12, rows[] = {0, 2, 6, 7};
  LayerModel<Bind<MixedReLU<>, Shape{7, 3, 4}, B>> mixed;
  LayerAt<double> const at(mixed, 5, 1);
  auto const whole = at.outcome();
  REQUIRE(at.theta.size() == 9);
  auto const part = [&](auto& layer, std::size_t p) {
    Index const first = rows[p], count = rows[p + 1] - first;
    auto const cut = [&](Host const& m) {
      return host_matrix<double>(count, m.cols(), [&](Index i, Index j) { return m(first + i, j); });
    };
    LayerAt<double> alone(layer, 5, 1);
    for (std::size_t i = 0; i < 3; ++i) alone.theta[i] = at.theta[3 * p + i];
    auto const found = alone.outcome(cut(at.x), cut(at.y_bar), at.draw);
    CHECK(found.y == cut(whole.y));
    CHECK(found.x_bar == cut(whole.x_bar));
    for (std::size_t i = 0; i < 3; ++i) CHECK(found.theta_bar[i] == whole.theta_bar[3 * p + i]);
  };
  LayerModel<Bind<QMetricReLU<Full, Unroll<3>>, Shape{2, 3, 4}, B>> first;
  LayerModel<Bind<QMetricReLU<Convolutional<3, 2>, Unroll<3>>, Shape{4, 3, 4}, B>> second;
  LayerModel<Bind<QMetricReLU<Full, Unroll<3>>, Shape{1, 3, 4}, B>> third;
  part(first, 0), part(second, 1), part(third, 2);
  REQUIRE(whole.y.cols() == 5 * sites);
}

TEST_CASE("(F3) (F4) the parts of a layer of mixed blocks have names, start and stay in D0") {
  using B = Cpu<double>;
  B b;
  Bind<MixedReLU<>, Shape{7, 3, 4}, B> const layer;
  auto theta = layer.parameters(b);
  initialise(b, theta, RandomStart{.spread = .5}, 1);
  std::string names;
  Index off_diagonal = 0;
  auto const check = [&](std::string_view path, Role const& role, auto const& p) {
    names += std::string(path) + " ";
    if (role.name != "W_tilde") return;
    Index const kg = p.rows(), taps = role.taps;
    CHECK((taps == 1 || taps == 9));
    for (Index c = 0; c < p.cols() / taps; ++c)
      CHECK(to_host(b, ConstView<B>(p))(c % kg, (c / kg * taps + taps / 2) * kg + c % kg) == 0);
    off_diagonal += test::max_abs(to_host(b, ConstView<B>(p))) > 0;
  };
  visit(check, theta);
  CHECK(names == "0.W_tilde 0.h 0.b 1.W_tilde 1.h 1.b 2.W_tilde 2.h 2.b ");
  CHECK(off_diagonal == 2);  // the third part is 1 x 1
  visit([&](std::string_view, Role const&, auto& p) { p = to_device(b, Host(p.rows(), p.cols(), 2.)); },
        theta);
  project(b, Constraints{}, theta);
  visit(check, theta);
}

template <class DiagonalPolicy>
using Parts = QMetricReLU<Mixed<Channels<3, Full>, Channels<4, Convolutional<3, 2>>>, Unroll<3>, StoreStates,
                          DiagonalPolicy>;

TEST_CASE("(F3) a free diagonal of W~ is left as it is, at the start and by the projection, of parts too") {
  using B = Cpu<double>;
  B b;
  constexpr Shape in{7, 2, 3};
  auto const diagonal = [](Role const& role, Host const& W) {
    Index const kg = W.rows(), taps = role.taps;
    return host_matrix<double>(W.cols() / taps, 1, [&](Index c, Index) {
      return W(c % kg, (c / kg * taps + taps / 2) * kg + c % kg);
    });
  };
  auto const check = [&](auto const& layer, bool is_free) {
    auto theta = layer.parameters(b);
    initialise(b, theta, RandomStart{.spread = .5}, 1);
    auto const start = to_host(b, theta);
    Index seen = 0;
    visit(
        [&](std::string_view path, Role const& role, auto& p) {
          if (role.name != "W_tilde") return;
          ++seen;
          CHECK(role.free_diagonal == is_free);
          CHECK((test::max_abs(diagonal(role, start.at(std::string(path)))) > 0) == is_free);
          p = to_device(b, Host(p.rows(), p.cols(), 2.));
        },
        theta);
    CHECK(seen == 2);
    project(b, Constraints{}, theta);
    visit(
        [&](std::string_view, Role const& role, auto& p) {
          if (role.name != "W_tilde") return;
          auto const kept = diagonal(role, to_host(b, ConstView<B>(p)));
          CHECK(kept == Host(kept.rows(), 1, is_free ? 2. : 0.));
        },
        theta);
    return start;
  };
  auto const bound = check(Bind<Parts<InD0>, in, B>(), false),
             free = check(Bind<Parts<FreeDiagonal>, in, B>(), true);
  Host const &with = free.at("0.W_tilde"), &without = bound.at("0.W_tilde");
  CHECK(without == host_matrix<double>(3, 3, [&](Index i, Index j) { return i == j ? 0 : with(i, j); }));
}

TEST_CASE("(M5) (A1) a layer with a free diagonal obeys the laws, and is the same map as without") {
  everywhere<QMetricReLU<Full, Unroll<3>, RecomputeStates, FreeDiagonal>, Shape{6, 2, 3}>();
  constexpr Shape in{7, 2, 3};
  CHECK(laws::outcome_of<Parts<FreeDiagonal>, in>(5, 1) == laws::outcome_of<Parts<InD0>, in>(5, 1));
}

}  // namespace detrame
