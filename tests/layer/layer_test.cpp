// SPDX-License-Identifier: Apache-2.0
#include "detrame/layer/dense.hpp"
#include "detrame/layer/dropout.hpp"
#include "detrame/layer/relu.hpp"
#include "detrame/layer/reshape.hpp"
#include "laws/everywhere.hpp"

namespace detrame {

using laws::everywhere;
using laws::LayerAt;
using laws::LayerModel;
using Host = HostMatrix<double>;

TEST_CASE("(N2) Dense obeys the laws of a layer, at one site and at many: a 1 x 1 convolution") {
  everywhere<Dense<4>, Shape{5}>();
  everywhere<Dense<4>, Shape{5, 2, 3}>();
}

TEST_CASE("ReLU obeys the laws of a layer") {
  everywhere<ReLU, Shape{5}>();
  everywhere<ReLU, Shape{5, 2, 3}>();
}

TEST_CASE("Dropout obeys the laws of a layer: its mask depends neither on the cut nor on threads") {
  everywhere<Dropout<Rate{.4}>, Shape{5}>();
  everywhere<Dropout<Rate{.4}>, Shape{5, 2, 3}>();
}

TEST_CASE("(N1) Reshape and Flatten obey the laws of a layer") {
  everywhere<Reshape<Shape{3, 5, 2}>, Shape{5, 2, 3}>();
  everywhere<Flatten, Shape{5, 2, 3}>();
}

TEST_CASE("(N2) Dense is W x - c at every site") {
  LayerModel<Bind<Dense<4>, Shape{5, 2, 3}, Cpu<double>>> dense;
  LayerAt<double> const at(dense, 3, 1);
  Host const &W = at.theta[0], &c = at.theta[1];
  REQUIRE(test::norm(c) > 0);
  Host const Wx = test::product(W, at.x);  // 4 x 18
  Host const z = host_matrix<double>(4, 18, [&](Index i, Index j) { return Wx(i, j) - c(i, 0); });
  CHECK(test::max_abs_difference(at.outcome().y, z) <= test::tolerance<double>(6, 4));
}

TEST_CASE("ReLU is max(0, x), with derivative 0 at the kink") {
  LayerModel<Bind<ReLU, Shape{4}, Cpu<double>>> relu;
  Host const x =
      host_matrix<double>(4, 1, [](Index i, Index) { return static_cast<double>(i) - 1; });  // -1 0 1 2
  std::vector<Host> none;
  CHECK(relu.forward(none, x, {}) ==
        host_matrix<double>(4, 1, [](Index i, Index) { return i < 2 ? 0. : double(i - 1); }));
  CHECK(relu.pullback(none, Host(4, 1, 7.), none) ==
        host_matrix<double>(4, 1, [](Index i, Index) { return i < 2 ? 0. : 7.; }));
}

TEST_CASE(
    "(N1) Reshape keeps the numbers of a sample in their order: channels first, then sites row by row") {
  LayerModel<Bind<Flatten, Shape{2, 2, 3}, Cpu<double>>> flatten;
  LayerModel<Bind<Reshape<Shape{2, 2, 3}>, Shape{12}, archetype::Loops<double>>> unflatten;
  Host const x = test::normal_matrix<double>(2, 4 * 6, test::seed(1));  // 4 samples
  Host const y = flatten.predict({}, x, 4);                             // 12 x 4
  for (Index sample = 0; sample < 4; ++sample)
    for (Index site = 0; site < 6; ++site)
      for (Index channel = 0; channel < 2; ++channel)
        CHECK(y(channel + 2 * site, sample) == x(channel, site + 6 * sample));
  CHECK(unflatten.predict({}, y, 24) == x);
  CHECK(unflatten.forward({}, y, {}) == x);
}

TEST_CASE("Reshape of a view with gaps between its columns is that of its entries") {
  using L = Bind<Reshape<Shape{2, 2, 3}>, Shape{12}, Cpu<double>>;
  Cpu<double> cpu;
  Host const x = test::normal_matrix<double>(14, 4, test::seed(1));
  auto const there = to_device(cpu, x);
  Cpu<double>::ConstView const view = Cpu<double>::ConstView(there).middle_rows(1, 12);
  REQUIRE_FALSE(view.contiguous());
  L::Tape tape;
  Host const y = to_host(cpu, L().forward(cpu, {}, view, tape, {}));
  for (Index i = 0; i < 12; ++i)
    for (Index j = 0; j < 4; ++j) CHECK(y(i % 2, i / 2 + 6 * j) == x(i + 1, j));
}

/// What Dropout makes of ones: 24 channels at 2 x 2 sites, 500 samples, so 48000 entries.
template <Rate rate>
Host dropped_ones(Draw draw) {
  LayerModel<Bind<Dropout<rate>, Shape{24, 2, 2}, Cpu<double>>> dropout;
  return dropout.forward({}, Host(24, 2000, 1.), draw);
}
double share_of_zeros(Host const& A) {
  return static_cast<double>(std::count(A.data(), A.data() + A.rows() * A.cols(), 0.)) /
         static_cast<double>(A.rows() * A.cols());
}

TEST_CASE_TEMPLATE("Dropout drops its rate of the entries, keeps the mean, and is the identity in inference",
                   R, std::integral_constant<int, 0>, std::integral_constant<int, 1>,
                   std::integral_constant<int, 3>) {
  constexpr Rate rate{R::value / 4.};
  Host const y = dropped_ones<rate>(Draw{.seed = test::seed(1)});
  double const p = rate.value, four_sigma = 4 * std::sqrt(p * (1 - p) / 48000);
  CHECK(std::abs(share_of_zeros(y) - p) <= four_sigma);
  double const mean = test::inner(y, Host(24, 2000, 1.)) / 48000;
  CHECK(std::abs(mean - 1) <= four_sigma / (1 - p) + test::tolerance<double>(48000, 1));
  for (Index i = 0; i < y.rows() * y.cols(); ++i) CHECK((y.data()[i] == 0 || y.data()[i] == 1 / (1 - p)));
  LayerModel<Bind<Dropout<rate>, Shape{5}, Cpu<double>>> dropout;
  Host const x = test::normal_matrix<double>(5, 7, test::seed(2));
  CHECK(dropout.predict({}, x, 7) == x);
}

TEST_CASE("Dropout: where nothing is dropped, forward and pullback are the identity") {
  CHECK(share_of_zeros(dropped_ones<Rate{.5}>({.seed = 3})) > .4);
  CHECK(dropped_ones<Rate{.5}>({.seed = 3, .dropping = false}) == Host(24, 2000, 1.));
  using Layer = Bind<Dropout<Rate{.5}>, Shape{5}, Cpu<double>>;
  Cpu<double> cpu(1);
  Layer const dropout;
  Layer::Tape tape;
  NoParameters none;
  Host const x = test::normal_matrix<double>(5, 7, test::seed(2));
  auto const device = to_device(cpu, x);
  dropout.forward(cpu, none, device, tape, {.seed = 3, .dropping = false});
  CHECK(to_host(cpu, dropout.pullback(cpu, none, tape, device, none)) == x);
}

TEST_CASE("Dropout: seed, step, place of the layer and place of the sample each give another mask") {
  Draw const draw{.seed = 3, .step = 5, .first_sample = 0};
  Draw seed = draw, step = draw, sample = draw;
  seed.seed = 4, step.step = 6, sample.first_sample = 500;
  auto const independent = [](Host const& A, Host const& B) {  // entries agree by chance, half of them
    Host const unequal = test::mapped([](double a, double b) { return a == b ? 0. : 1.; }, A, B);
    CHECK(std::abs(share_of_zeros(unequal) - .5) <= 4 * std::sqrt(.25 / 48000));
  };
  Host const y = dropped_ones<Rate{.5}>(draw);
  CHECK(y == dropped_ones<Rate{.5}>(draw));
  std::vector<Host> const others{dropped_ones<Rate{.5}>(seed),
                                 dropped_ones<Rate{.5}>(step),
                                 dropped_ones<Rate{.5}>(draw.at(0)),
                                 dropped_ones<Rate{.5}>(draw.at(1)),
                                 dropped_ones<Rate{.5}>(draw.at(0).at(0)),
                                 dropped_ones<Rate{.5}>(sample)};
  for (std::size_t i = 0; i < others.size(); ++i) {
    independent(y, others[i]);
    for (std::size_t j = 0; j < i; ++j) independent(others[i], others[j]);
  }
  Host const shifted =
      laws::columns_of(dropped_ones<Rate{.5}>({.seed = 3, .step = 5, .first_sample = 100}), 0, 1600);
  CHECK(shifted == laws::columns_of(y, 400, 1600));  // samples keep their masks
  independent(laws::columns_of(y, 0, 1999),
              laws::columns_of(y, 1, 1999));  // neighbouring sites do not share them
}

}  // namespace detrame
