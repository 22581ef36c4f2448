// SPDX-License-Identifier: Apache-2.0
#include "detrame/layer/batch_norm.hpp"
#include "detrame/layer/dense.hpp"
#include "detrame/layer/pad_channels.hpp"
#include "detrame/layer/q_metric.hpp"
#include "detrame/layer/relu.hpp"
#include "detrame/layer/reshape.hpp"
#include "detrame/network/initialise.hpp"
#include "detrame/network/repeat.hpp"
#include "detrame/network/residual.hpp"
#include "laws/everywhere.hpp"

namespace detrame {

using laws::LayerAt;
using laws::LayerModel;
using laws::outcome_of;

using Padded = PadChannels<5, Stride<2>>;
using Down = Convolution<5, 3, Stride<2>>;
using Projection = Convolution<5, 1, Stride<2>>;

TEST_CASE("(N2) Residual with a Shortcut is g(x) + f(x), its gradients those of both; the same bits") {
  constexpr Shape in{3, 3, 4};
  auto const f = outcome_of<Down, in>(9, 2), padded = outcome_of<Padded, in>(9, 2);
  auto const sum = [](double a, double b) { return a + b; };
  auto const both = outcome_of<Residual<Shortcut<Padded>, Down>, in>(9, 2);
  CHECK(both.y == test::mapped(sum, padded.y, f.y));
  CHECK(both.x_bar == test::mapped(sum, padded.x_bar, f.x_bar));
  CHECK(both.theta_bar == f.theta_bar);

  using Projected = Residual<Shortcut<Projection>, Down, ReLU>;
  LayerModel<Bind<Projected, in, Cpu<double>>> residual;
  LayerModel<Bind<Stack<Down, ReLU>, in, Cpu<double>>> branch;
  LayerModel<Bind<Projection, in, Cpu<double>>> shortcut;
  LayerAt<double> const at(residual, 9, 3);
  LayerAt<double> at_branch(branch, 9, 3), at_shortcut(shortcut, 9, 3);
  at_branch.theta = {at.theta[0], at.theta[1]}, at_shortcut.theta = {at.theta[2], at.theta[3]};
  auto const all = at.outcome(), g = at_shortcut.outcome(), h = at_branch.outcome();
  CHECK(all.y == test::mapped(sum, g.y, h.y));
  CHECK(all.x_bar == test::mapped(sum, g.x_bar, h.x_bar));
  CHECK(all.theta_bar == std::vector{h.theta_bar[0], h.theta_bar[1], g.theta_bar[0], g.theta_bar[1]});
  CHECK(at.predicted(at.x) == all.y);
}

TEST_CASE("a Residual with PadChannels and a BatchNorm obeys the laws of a layer") {
  using Normalised = Residual<Shortcut<Padded>, Convolution<5, 3, Stride<2>, NoBias>, BatchNorm, ReLU>;
  laws::everywhere<Normalised, Shape{3, 3, 4}>({.of_the_batch = true});
}

/// A layer without `inference`, as a user's may be: what contains it predicts layer by layer.
template <Recipe R>
struct WithoutInference {
  static constexpr Shape output(Shape in) { return R::output(in); }
  template <Shape in, Backend B>
  struct Layer : Bind<R, in, B> {
    static constexpr Index samples_at_once = 0;
  };
};

template <Recipe Last>
using Network =
    Stack<Convolution<9, 3, NoBias>, BatchNorm, ReLU,
          Residual<Shortcut<PadChannels<10, Stride<2>>>, Convolution<10, 3, Stride<2>, NoBias>, BatchNorm,
                   QMetricReLU<Convolutional<3>, Unroll<2>>, Convolution<10, 3>, BatchNorm>,
          ReLU, Repeat<3, Residual<Convolution<10, 3, NoBias>, BatchNorm>>, Flatten, Dense<3>, Last>;

TEST_CASE_TEMPLATE("a few samples through all layers in place are all samples through layer after layer",
                   Scalar, float, double) {
  LayerModel<Bind<Network<ReLU>, Shape{3, 8, 8}, Cpu<Scalar>>> together(2);
  LayerModel<Bind<Network<WithoutInference<ReLU>>, Shape{3, 8, 8}, Cpu<Scalar>>> one_by_one(2);
  LayerAt<Scalar> const at(together, 70, 4);
  REQUIRE(test::norm(at.predicted(at.x)) > 0);
  CHECK(at.predicted(at.x) == LayerAt<Scalar>(one_by_one, 70, 4).predicted(at.x));
}

TEST_CASE_TEMPLATE("with_inference: prepared once, each call has the bits of predict", Last, ReLU,
                   WithoutInference<ReLU>) {
  using B = Cpu<float>;
  using L = Bind<Network<Last>, Shape{3, 8, 8}, B>;
  B b(2);
  L const net;
  auto theta = net.parameters(b);
  initialise(b, theta, ReluStart(), 1);
  auto const x = to_device(b, test::normal_matrix<float>(3, 64 * 70, 1));
  auto const expected = predict(b, net, theta, x);
  REQUIRE(expected.norm() > 0);
  with_inference(b, net, theta, [&](auto const& map) {
    B::Matrix y(L::output.channels, 70), one(L::output.channels, 1);
    for (int call = 0; call < 2; ++call) {
      y.setZero();
      map(x, y);
      CHECK(y == expected);
      map(ConstView<B>(x).middle_cols(64 * 69, 64), one);
      CHECK((one - expected.col(69)).norm() <= test::tolerance<float>(100, 1.) * expected.norm());
      typename L::Tape tape;  // the backend serves others meanwhile
      net.forward(b, theta, ConstView<B>(x), tape, Draw());
    }
    test::check_throws_with<ShapeError>([&] { map(ConstView<B>(x).middle_cols(1, 64), y); },
                                        message("y is ", L::output.channels, " x 70"));
  });
}

TEST_CASE("Residual: parameters are named by the way through branch or shortcut") {
  using L = Bind<Residual<Shortcut<Projection>, Down, ReLU, BatchNorm>, Shape{3, 3, 4}, Cpu<float>>;
  Cpu<float> b;
  auto const theta = L().parameters(b);
  std::string names;
  visit([&](std::string_view path, Role const&, auto const&) { names += std::string(path) + " "; }, theta);
  CHECK(names ==
        "branch.0.W branch.0.c branch.2.gain branch.2.offset branch.2.running_mean "
        "branch.2.running_variance shortcut.W shortcut.c ");
  CHECK(parameter_count(theta) == (5 * 27 + 5) + 2 * 5 + (5 * 3 + 5));
}

}  // namespace detrame
