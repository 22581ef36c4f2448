// SPDX-License-Identifier: Apache-2.0
#include "detrame/layer/inference_pullback.hpp"

#include "detrame/layer/batch_norm.hpp"
#include "detrame/layer/convolution.hpp"
#include "detrame/layer/dense.hpp"
#include "detrame/layer/dropout.hpp"
#include "detrame/layer/q_metric.hpp"
#include "detrame/layer/relu.hpp"
#include "detrame/layer/reshape.hpp"
#include "detrame/network/any.hpp"
#include "detrame/network/repeat.hpp"
#include "detrame/network/residual.hpp"
#include "laws/everywhere.hpp"

/// inference_pullback where it is not what pullback is: BatchNorm, Dropout, and networks of them.
namespace detrame {
namespace {

using laws::LayerAt;
using laws::LayerModel;
using B = Cpu<double>;
using Host = HostMatrix<double>;

TEST_CASE("(B1) inference_pullback of BatchNorm is by the running statistics, however far the batch's are") {
  LayerModel<Bind<BatchNorm, Shape{3, 2, 3}, B>> layer;
  LayerAt<double> at(layer, 40, 1);
  Host const &gain = at.theta[0], &variance = at.theta[3];
  for (Index j = 0; j < at.x.cols(); ++j)
    for (Index i = 0; i < 3; ++i) at.x(i, j) = 30 * at.x(i, j) - 100;
  Host const x_bar = at.inference().x_bar;
  Host const expected = host_matrix<double>(3, 240, [&](Index i, Index j) {
    return gain(i, 0) / std::sqrt(variance(i, 0) + 1e-5) * at.y_bar(i, j);
  });
  CHECK(test::relative_difference(x_bar, expected) <= test::tolerance<double>(3, 4));
  REQUIRE(test::max_abs(at.outcome().x_bar) < .1 * test::max_abs(x_bar));  // pullback is another map
}

TEST_CASE("inference_pullback of Dropout is the identity") {
  LayerModel<Bind<Dropout<Rate{.4}>, Shape{5}, B>> layer;
  LayerAt<double> const at(layer, 7, 1);
  CHECK(at.inference().x_bar == at.y_bar);
  REQUIRE_FALSE(at.outcome().x_bar == at.y_bar);
}

using Block = Stack<Convolution<4, 3, NoBias>, BatchNorm, ReLU, Dropout<Rate{.3}>>;
using Net =
    Stack<Block, Residual<Block, BatchNorm>, ReLU, Repeat<2, Residual<Convolution<4, 3, NoBias>, BatchNorm>>,
          QMetricReLU<Full, Unroll<3>, RecomputeStates>, Dropout<Rate{.5}>, Flatten, Dense<5>>;

TEST_CASE("inference_pullback goes through Stack, Residual, Repeat; so does pullback behind it, for theta") {
  laws::double_layer_on<Net, Shape{2, 3, 4}, Cpu>({.of_the_batch = true});
  LayerModel<Bind<Net, Shape{2, 3, 4}, B>> net;
  LayerAt<double> const at(net, 4, 1);
  int compared = 0;
  for (auto const& check : net.check(at.theta, at.x, {.seed = test::seed(1), .draw = {.inference = true}}))
    if (check.same_support && check.argument.find("running") == std::string::npos) {
      CHECK_MESSAGE(check.agrees(), check);
      ++compared;
    }
  CHECK(compared >= 40);  // three directions for each of 20 arguments, without those across a kink
}

/// A layer whose adjoint of predict is another one's.
struct OfTraining : Bind<BatchNorm, Shape{4}, B> {
  void inference_pullback(B& b, Parameters const& theta, Tape const& tape, ConstView<B> y_bar,
                          View<B> x_bar) const {
    Tape own = tape;
    Parameters bar = parameters(b);
    forward(b, theta, tape.x, own, {});
    each(b.lane(), formula::Assign(), x_bar, pullback(b, theta, own, y_bar, bar));
  }
};

TEST_CASE("check_inference_pullback tells the adjoint of predict from that of forward") {
  B b;
  auto const agree = [&]<class L>(L const& layer) {
    auto theta = layer.parameters(b);
    theta.gain.setConstant(1.5);
    theta.running_variance.setConstant(4);
    auto const x = to_device(b, test::normal_matrix<double>(4, 6, test::seed(1)));
    auto const checks = check_inference_pullback(b, layer, theta, x);
    REQUIRE(checks.size() == 3);
    return std::all_of(checks.begin(), checks.end(), [](auto const& c) { return c.agrees(); });
  };
  CHECK(agree(Bind<BatchNorm, Shape{4}, B>()));
  CHECK_FALSE(agree(OfTraining()));
}

TEST_CASE("inference_forward leaves the running statistics to training") {
  using L = Bind<BatchNorm, Shape{3}, B>;
  B b;
  auto theta = L().parameters(b);
  L::Tape tape;
  auto const x = to_device(b, test::normal_matrix<double>(3, 1, test::seed(1)));
  inference_forward(b, L(), theta, ConstView<B>(x), tape);  // one sample
  absorb(b, L(), theta, tape);
  CHECK(theta.running_mean.norm() + theta.running_variance.norm() == 0);
}

template <class L>
void refused_behind_training(char const* who) {
  B b;
  auto const theta = L().parameters(b);
  typename L::Tape tape;
  auto const x = to_device(b, test::normal_matrix<double>(4, 6, test::seed(1)));
  auto x_bar = x;
  L().forward(b, theta, ConstView<B>(x), tape, {});
  test::check_throws_with<DomainError>(
      [&] { inference_pullback(b, L(), theta, tape, ConstView<B>(x), View<B>(x_bar)); },
      message(who, ": inference_pullback stands behind inference_forward alone"));
}

TEST_CASE("inference_pullback behind a forward in training is refused where that is another map") {
  refused_behind_training<Bind<BatchNorm, Shape{4}, B>>("BatchNorm");
  refused_behind_training<Bind<Dropout<Rate{.4}>, Shape{4}, B>>("Dropout");
}

TEST_CASE("inference_pullback refuses an x_bar of another shape, or one that overlaps y_bar") {
  using L = Bind<Dense<4>, Shape{4}, B>;
  B b;
  auto const theta = L().parameters(b);
  L::Tape tape;
  auto x = to_device(b, test::normal_matrix<double>(4, 8, test::seed(1)));
  View<B> const half = View<B>(x).middle_cols(0, 4), rest = View<B>(x).middle_cols(3, 4);
  inference_forward(b, L(), theta, ConstView<B>(half), tape);
  test::check_throws_with<DomainError>([&] { inference_pullback(b, L(), theta, tape, half, rest); },
                                       "inference_pullback: x_bar overlaps y_bar");
  test::check_throws_with<ShapeError>(
      [&] { inference_pullback(b, L(), theta, tape, half, View<B>(x).middle_cols(4, 3)); },
      "inference_pullback: x_bar is 4 x 3, must be 4 x 4");
}

/// A user's layer without the adjoint of predict.
struct Without {
  static constexpr Shape output(Shape in) { return in; }
  template <Shape in, Backend Bk>
  struct Layer {
    using Backend = Bk;
    using Parameters = NoParameters;
    struct Tape {};
    static constexpr Shape input = in, output = in;
    Parameters parameters(Bk&) const { return {}; }
    ConstView<Bk> forward(Bk&, Parameters const&, ConstView<Bk> x, Tape&, Draw) const { return x; }
    ConstView<Bk> pullback(Bk&, Parameters const&, Tape&, ConstView<Bk> y_bar, Parameters&) const {
      return y_bar;
    }
    void predict(Bk& b, Parameters const&, ConstView<Bk> x, View<Bk> y) const {
      each(b.lane(), formula::Assign(), y, x);
    }
  };
};

TEST_CASE("a network with a layer that has no inference_pullback has none, and AnyNetwork says so") {
  using Whole = Bind<Stack<Dense<3>, Repeat<2, Residual<Dense<3>, ReLU>>>, Shape{4}, B>;
  using Lacking = Bind<Stack<Dense<3>, Repeat<2, Residual<Dense<3>, Without>>>, Shape{4}, B>;
  static_assert(has::inference_pullback<Whole> && !has::inference_pullback<Lacking>);
  B b;
  AnyNetwork<B> const net("lacking", Lacking());
  auto const theta = net.parameters(b);
  AnyTape tape;
  auto const x = to_device(b, test::normal_matrix<double>(4, 2, test::seed(1)));
  auto x_bar = x;
  auto const y = to_host(b, inference_forward(b, net, theta, ConstView<B>(x), tape));
  test::check_throws_with<DomainError>(
      [&] { inference_pullback(b, net, theta, tape, ConstView<B>(to_device(b, y)), View<B>(x_bar)); },
      "lacking: a layer of this network has no inference_pullback");
}

}  // namespace
}  // namespace detrame
