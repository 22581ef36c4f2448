// SPDX-License-Identifier: Apache-2.0
#include "detrame/layer/dense.hpp"
#include "detrame/layer/dropout.hpp"
#include "detrame/layer/q_metric.hpp"
#include "detrame/layer/relu.hpp"
#include "detrame/layer/reshape.hpp"
#include "detrame/network/repeat.hpp"
#include "detrame/network/residual.hpp"
#include "laws/everywhere.hpp"

namespace detrame {

using laws::everywhere;
using laws::LayerAt;
using laws::LayerModel;
using laws::outcome_of;

/// A layer of a user: y = s o x with a trained scale s, and its recipe.
struct Scaling {
  static constexpr Shape output(Shape in) { return in; }

  template <Shape in, Backend B>
  struct Layer {
    using Backend = B;
    static constexpr Shape input = in, output = in;

    struct Parameters {
      Matrix<B> s;  // channels x 1
      template <class F, class Theta, class... Rest>
      static void visit(F&& f, Path const& path, Theta&& theta, Rest&&... rest) {
        f(path / "s", Role{.name = "scale"}, theta.s, rest.s...);
      }
    };
    struct Tape {
      ConstView<B> x{};
      Matrix<B> y, x_bar;
    };
    struct Multiply {
      void operator()(typename B::Scalar& y, typename B::Scalar x, typename B::Scalar s) const { y = x * s; }
    };

    Parameters parameters(B& b) const { return {zeros(b, in.channels, 1)}; }
    ConstView<B> forward(B& b, Parameters const& theta, ConstView<B> x, Tape& tape, Draw) const {
      resize(b, tape.y, x.rows(), x.cols());
      tape.x = x;
      predict(b, theta, x, tape.y);
      return tape.y;
    }
    void predict(B& b, Parameters const& theta, ConstView<B> x, View<B> y) const {
      samples<Layer>("Scaling", x, y);
      require_shape("Scaling", "s", theta.s, in.channels, 1);
      each(b.lane(), Multiply(), y, x, PerRow{ConstView<B>(theta.s)});
    }
    ConstView<B> pullback(B& b, Parameters const& theta, Tape& tape, ConstView<B> y_bar,
                          Parameters& theta_bar) const {
      require_shape("Scaling", "s_bar", theta_bar.s, in.channels, 1);
      resize(b, tape.x_bar, tape.x.rows(), tape.x.cols());
      inference_pullback(b, theta, tape, y_bar, tape.x_bar);
      row_sums(b.lane(), theta_bar.s, formula::Product(), y_bar, tape.x);
      return tape.x_bar;
    }
    void inference_pullback(B& b, Parameters const& theta, Tape const& tape, ConstView<B> y_bar,
                            View<B> x_bar) const {
      require_cotangent("Scaling", tape.y, y_bar);
      each(b.lane(), Multiply(), x_bar, y_bar, PerRow{ConstView<B>(theta.s)});
    }
  };
};

using Block = Stack<Dense<4>, QMetricReLU<Full, Unroll<2>>>;
using Mixed = Stack<Dense<6>, QMetricReLU<Blocks<2>, Unroll<3>>, Dropout<Rate{.3}>, Residual<Scaling, ReLU>,
                    Flatten, Dense<3>>;

TEST_CASE("(N2) networks obey the laws of a layer; Dropout, Residual and a user's layer among their layers") {
  everywhere<Mixed, Shape{2, 1, 3}>();
  everywhere<Repeat<2, Block>, Shape{4}>();
}

TEST_CASE("parameters are named by the way to them, counted, and visited in order") {
  using Net = Stack<Dense<4>, ReLU, Residual<Dense<4>, QMetricReLU<Blocks<2>, Unroll<2>>>,
                    Repeat<2, Stack<ReLU, Scaling>>>;
  Cpu<float> b;
  Bind<Net, Shape{5, 2, 3}, Cpu<float>> const net;
  auto const theta = net.parameters(b);
  std::string names, kinds;
  Index zero = 0;
  visit(
      [&](std::string_view path, Role const& role, auto const& p, auto const& again) {
        names += std::string(path) + " ";
        kinds += std::string(role.name) + " ";
        CHECK(&p == &again);
        zero += test::max_abs(to_host(b, p)) == 0;
      },
      theta, theta);
  CHECK(names ==
        "0.W 0.c 2.branch.0.W 2.branch.0.c 2.branch.1.W_tilde 2.branch.1.h 2.branch.1.b 3.0.1.s 3.1.1.s ");
  CHECK(kinds == "weight bias weight bias W_tilde h b scale scale ");
  CHECK(zero == 9);  // all start at zero
  CHECK(parameter_count(theta) == (20 + 4) + (16 + 4) + (8 + 4 + 4) + 4 + 4);
}

TEST_CASE("(N2) shapes go down the list") {
  using L = Bind<Mixed, Shape{2, 1, 3}, Cpu<double>>;
  constexpr auto shapes = Mixed::shapes(Shape{2, 1, 3});
  static_assert(shapes[0] == Shape{2, 1, 3} && shapes[1] == Shape{6, 1, 3} && shapes[4] == Shape{6, 1, 3} &&
                shapes[5] == Shape{18} && shapes[6] == Shape{3});
  static_assert(L::input == Shape{2, 1, 3} && L::output == Shape{3});
  CHECK(Mixed::depth == 6);
}

TEST_CASE("a Stack of one layer, and a Stack in a Stack, are the layers: the same bits") {
  CHECK(outcome_of<Stack<Dense<4>>, Shape{5}>(70, 1) == outcome_of<Dense<4>, Shape{5}>(70, 1));
  using Nested = Stack<Stack<Dense<4>, ReLU>, Stack<Stack<Scaling>>>;
  CHECK(outcome_of<Nested, Shape{5}>(70, 1) == outcome_of<Stack<Dense<4>, ReLU, Scaling>, Shape{5}>(70, 1));
}

TEST_CASE("Repeat<n> is n copies in a Stack: the same parameters, draws and bits") {
  using Copy = Stack<Dense<4>, ReLU, Dropout<Rate{.5}>>;
  auto const repeated = outcome_of<Repeat<3, Copy>, Shape{4}>(70, 2);
  REQUIRE(repeated.theta_bar.size() == 6);
  REQUIRE(test::norm(repeated.theta_bar[0]) > 0);
  CHECK(repeated == outcome_of<Stack<Copy, Copy, Copy>, Shape{4}>(70, 2));
}

TEST_CASE("two Dropouts of a network have masks of their own, wherever they stand") {
  auto const mask = [](auto layer, int depth) {  // of ones: 1 where all layers keep
    auto const y = layer.forward({}, HostMatrix<double>(50, 40, 1.), Draw{.seed = 4});
    double kept = 0;
    for (Index i = 0; i < 2000; ++i) kept += y.data()[i] != 0;
    double const p = std::pow(.5, depth);  // independent masks keep 2^-depth
    CHECK(std::abs(kept / 2000 - p) <= 4 * std::sqrt(p * (1 - p) / 2000));
  };
  using Half = Dropout<Rate{.5}>;
  using B = Cpu<double>;
  mask(LayerModel<Bind<Stack<Half, Half>, Shape{50}, B>>(), 2);
  mask(LayerModel<Bind<Stack<Half, Stack<Half>, Repeat<2, Half>>, Shape{50}, B>>(), 4);
}

TEST_CASE("(N2) Residual is x + f(x), its gradient y_bar + f's; the same bits") {
  auto const branch = outcome_of<Block, Shape{4}>(70, 3),
             residual = outcome_of<Residual<Dense<4>, QMetricReLU<Full, Unroll<2>>>, Shape{4}>(70, 3);
  LayerModel<Bind<Block, Shape{4}, Cpu<double>>> model;
  LayerAt<double> const at(model, 70, 3);
  auto const sum = [](double a, double b) { return a + b; };
  CHECK(residual.y == test::mapped(sum, at.x, branch.y));
  CHECK(residual.x_bar == test::mapped(sum, at.y_bar, branch.x_bar));
  CHECK(residual.theta_bar == branch.theta_bar);
}

/// Dense and ReLU, one after the other.
template <std::size_t i>
struct AlternatingRecipe {
  using type = ReLU;
};
template <std::size_t i>
  requires(i % 2 == 0)
struct AlternatingRecipe<i> {
  using type = Dense<4>;
};
template <class Indices>
struct AlternatingStack;
template <std::size_t... i>
struct AlternatingStack<std::index_sequence<i...>> {
  using type = Stack<typename AlternatingRecipe<i>::type...>;
};

TEST_CASE("a Stack of 60 recipes compiles, and is Repeat<30> of a block: the same bits") {
  using Deep = AlternatingStack<std::make_index_sequence<60>>::type;
  static_assert(Deep::depth == 60);
  auto const deep = outcome_of<Deep, Shape{4}>(3, 4);
  REQUIRE(deep.theta_bar.size() == 60);
  CHECK(deep == outcome_of<Repeat<30, Stack<Dense<4>, ReLU>>, Shape{4}>(3, 4));
}

TEST_CASE("one alias runs on several backends, side by side in one program") {
  Cpu<float> cpu_float;
  Cpu<double> cpu(1), cpu_two(1);
  archetype::Loops<double> loops;
  auto const x = test::rounded<double>(test::normal_matrix<float>(4, 5, test::seed(5)));
  auto const predicted = [&]<class B>(B& b) {
    using Net = Bind<Repeat<2, Block>, Shape{4}, B>;
    using Scalar = typename B::Scalar;
    auto theta = Net().parameters(b);
    visit(
        [&](std::string_view, Role const&, auto& p) {
          p = to_device(b,
                        test::rounded<Scalar>(test::normal_matrix<float>(p.rows(), p.cols(), test::seed(6))));
        },
        theta);
    return test::rounded<double>(
        to_host(b, predict(b, Net(), theta, to_device(b, test::rounded<Scalar>(x)))));
  };
  auto const y = predicted(cpu);
  REQUIRE(test::max_abs(y) > 0);
  CHECK(predicted(cpu_two) == y);
  CHECK(test::relative_difference(predicted(loops), y) <= test::tolerance<double>(40, 10));
  CHECK(test::relative_difference(predicted(cpu_float), y) <= test::tolerance<float>(40, 10));
}

}  // namespace detrame
