// SPDX-License-Identifier: Apache-2.0
#include "detrame/network/any.hpp"

#include "detrame/layer/batch_norm.hpp"
#include "detrame/layer/dense.hpp"
#include "detrame/layer/dropout.hpp"
#include "detrame/layer/host_parameters.hpp"
#include "detrame/layer/q_metric.hpp"
#include "detrame/loss/softmax_cross_entropy.hpp"
#include "detrame/network/initialise.hpp"
#include "detrame/network/residual.hpp"
#include "detrame/train/fit.hpp"
#include "laws/everywhere.hpp"

namespace detrame {
namespace {

/// A recipe whose layer is an AnyNetwork of what another recipe becomes: to run the laws of layers on it.
template <Recipe R>
struct Chosen {
  static constexpr Shape output(Shape in) { return R::output(in); }

  template <Shape in, Backend B>
  struct Layer : AnyNetwork<B> {
    static constexpr Shape input = in, output = R::output(in);
    Layer() : AnyNetwork<B>("chosen", Bind<R, in, B>()) {}
  };
};

template <int T>
using Net = Stack<Dense<6>, QMetricReLU<Blocks<2>, Unroll<T>>, Dropout<Rate{.3}>,
                  Residual<Dense<6>, QMetricReLU<Full, Unroll<T>>>, Dense<3>>;
constexpr Shape in{5};

TEST_CASE("(N2) a network that is chosen at run time obeys the laws of a layer, on each backend") {
  laws::everywhere<Chosen<Net<3>>, in>();
}

TEST_CASE("AnyNetwork: forward, both pullbacks and predict have the bits of the network's own type") {
  using B = Cpu<double>;
  laws::LayerModel<Bind<Net<3>, in, B>> own;
  laws::LayerModel<Bind<Chosen<Net<3>>, in, B>> chosen;
  laws::LayerAt<double> const at(own, 70, 1);
  auto const expected = at.outcome(), found = laws::LayerAt<double>(chosen, 70, 1).outcome();
  REQUIRE(test::norm(expected.theta_bar[2]) > 0);  // of a W~
  CHECK(found.y == expected.y);
  CHECK(found.x_bar == expected.x_bar);
  CHECK(found.theta_bar == expected.theta_bar);
  CHECK(*chosen.parameters_alone(at.theta, at.x, at.y_bar, at.draw) ==
        *own.parameters_alone(at.theta, at.x, at.y_bar, at.draw));
  CHECK(chosen.predict(at.theta, at.x, 70) == own.predict(at.theta, at.x, 70));
}

/// Ten steps of Algorithm 2 on 40 random samples: the parameters, the loss afterwards.
template <class B, class N>
std::pair<HostParameters<typename B::Scalar>, double> trained(B& b, N const& net) {
  using Scalar = typename B::Scalar;
  auto theta = net.parameters(b);
  initialise(b, theta, RandomStart(), 3);
  std::vector<int> labels(40);
  for (std::size_t j = 0; j < labels.size(); ++j) labels[j] = static_cast<int>(j % 3);
  auto const data = dataset(b, in, test::normal_matrix<Scalar>(5, 40, test::seed(1)), labels, 3);
  TrainingOptions const options{.epochs = 5, .schedule = StepSchedule{.1, 1, {}}, .seed = 7};
  auto const result = fit(b, net, theta, Batches(b, data, {.size = 20, .seed = 7}), options);
  REQUIRE(result.status == FitStatus::finished);
  return {to_host(b, theta), evaluate(b, net, SoftmaxCrossEntropy(), theta, data).loss};
}

template <class Scalar>
void trains_alike() {
  using B = Cpu<Scalar>;
  using Own = Bind<Stack<Net<2>, BatchNorm>, in, B>;
  B b(1);
  auto const own = trained(b, Own()), chosen = trained(b, AnyNetwork("chosen", Own()));
  REQUIRE(test::max_abs(own.first.at("1.running_mean")) > 0);  // absorbed
  CHECK(chosen == own);
}

TEST_CASE("(F3) AnyNetwork trains and is evaluated as the network's own type: the same bits") {
  trains_alike<float>();
  trains_alike<double>();
}

TEST_CASE("AnyNetwork: what it says of itself; copies of parameters are deep; maps are prepared") {
  using B = Cpu<float>;
  using Own = Bind<Net<2>, in, B>;
  B b(1);
  AnyNetwork const net("small", Own());
  CHECK(net.name == "small");
  CHECK(net.input == in);
  CHECK(net.output == Shape{3});
  CHECK(net.multiply_adds() == multiply_adds<Own>());

  auto theta = net.parameters(b);
  initialise(b, theta, RandomStart(), 1);
  auto const copy = theta;
  auto const before = to_host(b, copy);
  visit([&](std::string_view, Role const&, auto& p) { p = zeros(b, p.rows(), p.cols()); }, theta);
  CHECK(to_host(b, copy) == before);
  CHECK_FALSE(to_host(b, theta) == before);
  CHECK(parameter_count(copy) == parameter_count(copy.as<Own::Parameters>("test")));

  auto const other = net;  // shares what is const
  auto const x = to_device(b, test::normal_matrix<float>(5, 9, test::seed(2)));
  auto y = zeros(b, 3, 9);
  with_inference(b, other, copy, [&](auto const& map) { map(x, y); });
  CHECK(to_host(b, y) == to_host(b, predict(b, Own(), copy.as<Own::Parameters>("test"), x)));
}

TEST_CASE("AnyNetwork refuses other shapes, parameters and tapes, in a sentence with its name") {
  using B = Cpu<float>;
  B b(1);
  AnyNetwork const three("three", Bind<Net<3>, in, B>()), five("five", Bind<Net<5>, in, B>());
  auto const theta = three.parameters(b);
  auto theta_bar = three.parameters(b), other_bar = five.parameters(b);
  AnyTape tape, other;
  auto const x = zeros(b, 5, 4), wrong = zeros(b, 6, 4), y_bar = zeros(b, 3, 4);
  auto y = zeros(b, 3, 3), right = zeros(b, 3, 4);
  CHECK_THROWS_WITH_AS(
      three.forward(b, theta, wrong, tape, {}),
      "three: x is 6 x 4, a batch of samples of shape 5 has 5 rows and a multiple of 1 columns", ShapeError);
  CHECK_THROWS_WITH_AS(three.predict(b, theta, x, y), "three: y is 3 x 3, must be 3 x 4", ShapeError);
  CHECK_THROWS_WITH_AS(three.pullback(b, theta, tape, y_bar, theta_bar), "three: forward comes first",
                       DomainError);
  CHECK_THROWS_WITH_AS(
      five.predict(b, theta, x, right),
      "five: these are another network's parameters; assign_parameters copies those of the same "
      "names and shapes",
      DomainError);
  CHECK_THROWS_AS(five.predict(b, {}, x, y), ShapeError);
  three.forward(b, theta, x, tape, {});
  CHECK_THROWS_WITH_AS(five.forward(b, other_bar, x, tape, {}), "five: the tape is another network's",
                       DomainError);
  CHECK_THROWS_AS(three.pullback(b, theta, tape, y_bar, other_bar), DomainError);
  CHECK_THROWS_AS(three.pullback(b, theta, tape, wrong, theta_bar), ShapeError);
  AnyParameters<B> none;
  auto const visit_both = [](auto& a, auto& b_) { visit([](auto&&...) {}, a, b_); };
  for (auto* rest : {&other_bar, &none})
    CHECK_THROWS_WITH_AS(visit_both(theta_bar, *rest), "visit: these are parameters of different networks",
                         DomainError);
  CHECK_THROWS_AS(visit_both(none, theta_bar), DomainError);
  CHECK_NOTHROW(visit_both(none, none));
  CHECK_THROWS_AS(three.forward(b, other_bar, x, other, {}), DomainError);  // which leaves the tape empty
  CHECK_NOTHROW(five.forward(b, other_bar, x, other, {}));
}

TEST_CASE("(M5) the parameters of T = 3 in a network of T = 5 give the unroll of T = 5 with them") {
  Cpu<double> b(1);
  using Three = Bind<Net<3>, in, Cpu<double>>;
  using Five = Bind<Net<5>, in, Cpu<double>>;
  auto from = Three().parameters(b);
  initialise(b, from, RandomStart(), 5);
  auto to = Five().parameters(b);
  assign_parameters(b, from, b, to);
  CHECK(to_host(b, to) == to_host(b, from));

  auto const x = to_device(b, test::normal_matrix<double>(5, 9, test::seed(3)));
  auto const y = to_host(b, predict(b, Five(), to, x));
  // By hand: the layers one by one, each with what `from` has.
  auto const host = to_host(b, from);
  auto const dense = [&](HostMatrix<double> const& W, auto const& v) { return test::product(W, v); };
  auto const unroll = [&](std::string const& at, HostMatrix<double> const& z, Index groups) {
    auto const &W = host.at(at + "W_tilde"), &h = host.at(at + "h"), &c = host.at(at + "b");
    Index const kg = z.rows() / groups;
    HostMatrix<double> u(z.rows(), z.cols());
    for (int t = 0; t < 5; ++t) {
      HostMatrix<double> next(z.rows(), z.cols());
      for (Index j = 0; j < z.cols(); ++j)
        for (Index i = 0; i < z.rows(); ++i) {
          double v = h(i, 0) * z(i, j) - c(i, 0);
          for (Index l = i / kg * kg; l < (i / kg + 1) * kg; ++l) v += W(i % kg, l) * (u(l, j) - z(l, j));
          next(i, j) = std::max(0., v);
        }
      u = next;
    }
    return u;
  };
  auto const first = unroll("1.", dense(host.at("0.W"), to_host(b, ConstView<Cpu<double>>(x))), 2);
  auto const second = unroll("3.branch.1.", dense(host.at("3.branch.0.W"), first), 1);
  auto const sum = host_matrix<double>(6, 9, [&](Index i, Index j) { return first(i, j) + second(i, j); });
  CHECK(test::max_abs_difference(y, dense(host.at("4.W"), sum)) <=
        test::tolerance<double>(100, test::max_abs(y)));
  auto const with_three = to_host(b, predict(b, Three(), from, x));
  REQUIRE(test::max_abs_difference(y, with_three) > 1e-3 * test::max_abs(y));  // T matters here
}

TEST_CASE("assign_parameters goes between types, backends, scalars and AnyNetwork, and changes no entry") {
  Cpu<float> single(1);
  Cpu<double> twice(1);
  archetype::Loops<double> loops;
  AnyNetwork const net("float", Bind<Net<3>, in, Cpu<float>>());
  Bind<Net<5>, in, archetype::Loops<double>> const on_loops;
  AnyNetwork const last("double", Bind<Net<2>, in, Cpu<double>>());
  auto from = net.parameters(single), back = net.parameters(single);
  initialise(single, from, RandomStart(), 5);
  auto between = on_loops.parameters(loops);
  auto to = last.parameters(twice);
  assign_parameters(single, from, loops, between);
  assign_parameters(loops, between, twice, to);
  assign_parameters(twice, to, single, back);  // every float is a double
  REQUIRE(test::max_abs(to_host(single, from).at("1.W_tilde")) > 0);
  CHECK(to_host(twice, to) == to_host(loops, between));
  CHECK(to_host(single, back) == to_host(single, from));
}

TEST_CASE("assign_parameters names the first that differs, and has then written nothing") {
  using B = Cpu<double>;
  B b(1);
  auto const refused = [&](auto const& from_net, auto const& to_net, char const* sentence) {
    auto from = from_net.parameters(b);
    auto to = to_net.parameters(b);
    initialise(b, from, RandomStart(), 1);
    initialise(b, to, RandomStart(), 2);
    auto const before = to_host(b, to);
    CHECK_THROWS_WITH_AS(assign_parameters(b, from, b, to), sentence, ShapeError);
    CHECK(to_host(b, to) == before);
  };
  Bind<Stack<Dense<4>, Dense<2>>, in, B> const plain;
  Bind<Stack<Dense<4>, Dense<3>>, in, B> const wider;
  Bind<Stack<Dense<4>, Dense<2>, Dense<2>>, in, B> const deeper;
  refused(plain, wider, "assign_parameters: 1.W is 3 x 4, given is 2 x 4");
  refused(plain, deeper, "assign_parameters: 2.W, 2 x 2, is not given");
  refused(deeper, plain, "assign_parameters: 2.W, 2 x 2, is given, and is no parameter of the network");
  refused(AnyNetwork("plain", plain), AnyNetwork("wider", wider),
          "assign_parameters: 1.W is 3 x 4, given is 2 x 4");
}

}  // namespace
}  // namespace detrame
