// SPDX-License-Identifier: Apache-2.0
#include "detrame/layer/output_memory.hpp"

#include "detrame/layer/batch_norm.hpp"
#include "detrame/layer/convolution.hpp"
#include "detrame/layer/dense.hpp"
#include "detrame/layer/dropout.hpp"
#include "detrame/layer/global_average_pool.hpp"
#include "detrame/layer/pad_channels.hpp"
#include "detrame/layer/q_metric.hpp"
#include "detrame/layer/relu.hpp"
#include "detrame/network/repeat.hpp"
#include "detrame/network/residual.hpp"
#include "laws/everywhere.hpp"

/// x_bar over y, and y over x: who does it, and that nobody can tell but by the memory.
namespace detrame {
namespace {

using laws::LayerAt;
using laws::LayerModel;
using B = Cpu<double>;
using Host = HostMatrix<double>;
constexpr Shape image{4, 3, 3};

template <Recipe R>
inline constexpr bool lends = LendsOutput<Bind<R, image, B>>;
static_assert(lends<BatchNorm> && lends<Dropout<Rate{.5}>> && lends<Residual<Dense<4>>> &&
              lends<Stack<Dense<4>, BatchNorm>>);
static_assert(!lends<ReLU> && !lends<Dense<4>> && !lends<Convolution<4, 3>> &&
              !lends<PadChannels<4, Stride<1>>> && !lends<GlobalAveragePool> &&
              !lends<QMetricReLU<Full, Unroll<2>>> && !lends<Stack<BatchNorm, ReLU>>);
static_assert(RunsInPlace<Bind<ReLU, image, B>> && !RunsInPlace<Bind<Dense<4>, image, B>>);

TEST_CASE("y and x_bar stand in one memory, whose size is that of the larger one") {
  B b(1);
  OutputMemory<Shape{2, 3, 4}, Shape{3, 2, 2}, B> small, empty;
  OutputMemory<Shape{3, 2, 2}, Shape{2, 3, 4}, B> large;
  B::View const y = small.y(b, 5), Y = large.y(b, 5);
  CHECK((y.rows() == 3 && y.cols() == 20 && Y.rows() == 2 && Y.cols() == 60));
  CHECK((small.x_bar().rows() == 2 && small.x_bar().cols() == 60));
  CHECK((large.x_bar().rows() == 3 && large.x_bar().cols() == 20));
  CHECK((small.x_bar().data() == y.data() && large.x_bar().data() == Y.data()));
  CHECK((empty.y(b, 0).cols() == 0 && empty.x_bar().cols() == 0));
}

/// What pullback returns for y_bar = y, where y_bar is y itself and where it is a copy.
template <Recipe R>
std::pair<Host, Host> pullbacks_of_y() {
  B b(1);
  Bind<R, image, B> const layer;
  LayerModel<Bind<R, image, B>> model;
  LayerAt<double> const at(model, 6, 1);
  auto theta = layer.parameters(b);
  visit([&, i = std::size_t(0)](std::string_view, Role const&,
                                auto& p) mutable { p = to_device(b, at.theta[i++]); },
        theta);
  auto theta_bar = theta;
  auto const x = to_device(b, at.x);
  typename Bind<R, image, B>::Tape tape;
  auto const y = to_device(b, to_host(b, layer.forward(b, theta, x, tape, {})));
  Host const of_copy = to_host(b, layer.pullback(b, theta, tape, y, theta_bar));
  B::ConstView const itself = layer.forward(b, theta, x, tape, {});
  return {of_copy, to_host(b, layer.pullback(b, theta, tape, itself, theta_bar))};
}

template <Recipe R>
void same_for_y_itself() {
  auto const [of_copy, of_itself] = pullbacks_of_y<R>();
  REQUIRE(test::norm(of_copy) > 0);
  CHECK(of_copy == of_itself);
}
TEST_CASE("y itself as y_bar: the pullback of |y|^2 / 2, where the pullback goes entry by entry") {
  same_for_y_itself<ReLU>();
  same_for_y_itself<QMetricReLU<Full, Unroll<3>>>();
  same_for_y_itself<BatchNorm>();
  same_for_y_itself<Dropout<Rate{.5}>>();
  same_for_y_itself<Residual<Convolution<4, 3>>>();
  same_for_y_itself<Residual<Shortcut<Dense<4>>, Convolution<4, 3>>>();
}

template <Recipe R>
void refused_for_y_itself() {
  test::check_throws_with<DomainError>([] { pullbacks_of_y<R>(); }, "y_bar lies in the memory of y");
}
TEST_CASE("y itself as y_bar is refused where x_bar would be written over what is still to be read") {
  refused_for_y_itself<Dense<4>>();
  refused_for_y_itself<Convolution<4, 3>>();
  refused_for_y_itself<PadChannels<5, Stride<2>>>();
  refused_for_y_itself<GlobalAveragePool>();
}

/// What reads its input after it has lent it: nothing does,
/// so that a Stack gives the same bits as its layers alone.
template <Recipe Lender>
void in_place_as_apart() {
  B b(1);
  using First = Bind<Lender, image, B>;
  using Second = Bind<ReLU, image, B>;
  LayerModel<Bind<Stack<Lender, ReLU>, image, B>> both;
  LayerModel<First> first;
  LayerModel<Second> second;
  LayerAt<double> const at(both, 40, 2);
  auto const together = at.outcome();
  laws::Outcome<double> apart;
  for (auto const& p : at.theta) apart.theta_bar.emplace_back(p.rows(), p.cols());
  std::vector<Host> none;
  apart.y = second.forward({}, first.forward(at.theta, at.x, at.draw), at.draw);
  apart.x_bar = first.pullback(at.theta, second.pullback({}, at.y_bar, none), apart.theta_bar);
  apart.support = together.support;
  CHECK(together == apart);
}
TEST_CASE("ReLU in place of what it reads gives the same bits as apart from it") {
  in_place_as_apart<BatchNorm>();
  in_place_as_apart<Residual<Convolution<4, 3>, BatchNorm>>();
  in_place_as_apart<Convolution<4, 3>>();

  using Net = Bind<Stack<BatchNorm, ReLU>, image, B>;
  B b(1);
  Net const net;
  Net::Tape tape;
  auto const x = to_device(b, Host(4, 18, 1.));
  auto const y = net.forward(b, net.parameters(b), x, tape, {});
  CHECK(y.data() == leaf<0>(tape).y.data());
  CHECK(leaf<1>(tape).memory.size() == 0);
}

TEST_CASE("layers in place of one another obey the laws of a layer") {
  using Block = Stack<Residual<Convolution<4, 3, NoBias>, BatchNorm, ReLU, Dropout<Rate{.3}>>, ReLU>;
  laws::everywhere<Stack<BatchNorm, ReLU, Repeat<2, Block>, BatchNorm>, Shape{4, 2, 3}>(
      {.conditioning = 4, .of_the_batch = true});
}

}  // namespace
}  // namespace detrame
