// SPDX-License-Identifier: Apache-2.0
#include "detrame/layer/patches.hpp"

#include "detrame/layer/dense.hpp"
#include "detrame/layer/pixel_unshuffle.hpp"
#include "detrame/learn/patches.hpp"
#include "detrame/network/stack.hpp"
#include "laws/everywhere.hpp"

namespace detrame {

using laws::everywhere;
using laws::LayerAt;
using laws::LayerModel;
using laws::outcome_of;
using Host = HostMatrix<double>;

TEST_CASE("(N1) Patches obeys the laws of a layer, at every stride, kernel and size") {
  everywhere<Patches<3>, Shape{2, 3, 5}>();
  everywhere<Patches<5, Stride<2>>, Shape{1, 5, 4}>();
  everywhere<Patches<2, Padding<1>, Stride<3>>, Shape{3, 5, 4}>();  // sites that no window reads
}

TEST_CASE("Patches: shapes by stride and padding") {
  static_assert(Patches<3>::output({3, 32, 31}) == Shape{27, 32, 31});
  static_assert(Patches<3, Stride<2>>::output({96, 32, 31}) == Shape{864, 16, 16});
  static_assert(Patches<5, Padding<0>>::output({2, 7, 9}) == Shape{50, 3, 5});
  static_assert(Patches<1, Stride<2>>::output({3, 8, 7}) == Shape{3, 4, 4});
}

/// Dense<4> behind Patches and the Convolution of the same choices at one point, with the same W and c.
template <Index K, Shape in, class... Choices>
void is_a_convolution() {
  auto const patches = outcome_of<Stack<Patches<K, Choices...>, Dense<4>>, in>(5, 2),
             convolution = outcome_of<Convolution<4, K, Choices...>, in>(5, 2);
  Index const terms = K * K * in.channels;
  CHECK(test::relative_difference(patches.y, convolution.y) <= test::tolerance<double>(terms, 4));
  CHECK(test::relative_difference(patches.x_bar, convolution.x_bar) <= test::tolerance<double>(4 * K * K, 4));
  for (std::size_t i = 0; i < 2; ++i)
    CHECK(test::relative_difference(patches.theta_bar[i], convolution.theta_bar[i]) <=
          test::tolerance<double>(patches.y.cols(), 4));
}

TEST_CASE("(N1) (K1) Dense behind Patches is the Convolution with the same W: y and all gradients") {
  is_a_convolution<1, Shape{3, 4, 5}>();
  is_a_convolution<3, Shape{3, 4, 5}>();
  is_a_convolution<5, Shape{2, 6, 5}>();
  is_a_convolution<3, Shape{3, 7, 6}, Stride<2>>();
  is_a_convolution<5, Shape{1, 8, 7}, Stride<2>>();
  is_a_convolution<3, Shape{2, 5, 4}, Padding<0>>();
  is_a_convolution<2, Shape{2, 3, 4}, Padding<1>>();
  is_a_convolution<3, Shape{3, 1, 5}>();  // a row of pixels
  is_a_convolution<1, Shape{3, 5, 4}, Stride<3>>();
}

/// x and P^T y_bar of whole numbers: no rounding anywhere.
template <Recipe P, Shape in>
void has_its_exact_adjoint() {
  LayerModel<Bind<P, in, Cpu<float>>> layer;
  Shape const out = P::output(in);
  auto const whole = [](Index rows, Index cols, std::uint64_t n) {
    return test::mapped([](float t) { return std::round(4 * t); },
                        test::normal_matrix<float>(rows, cols, test::seed(n)));
  };
  auto const x = whole(in.channels, 3 * in.sites(), 1), y_bar = whole(out.channels, 3 * out.sites(), 2);
  LayerAt<float> const at(layer, 3, 1);
  auto const result = at.outcome(x, y_bar, {});
  double forward = 0, back = 0;
  for (Index i = 0; i < y_bar.rows() * y_bar.cols(); ++i)
    forward += double{result.y.data()[i]} * double{y_bar.data()[i]};
  for (Index i = 0; i < x.rows() * x.cols(); ++i)
    back += double{x.data()[i]} * double{result.x_bar.data()[i]};
  REQUIRE(forward != 0);
  CHECK(forward == back);
}

TEST_CASE("(N1) Patches: <P x, y> = <x, P^T y>, to the last digit in whole numbers") {
  has_its_exact_adjoint<Patches<3>, Shape{2, 4, 5}>();
  has_its_exact_adjoint<Patches<3, Stride<2>>, Shape{2, 7, 6}>();
  has_its_exact_adjoint<Patches<5, Stride<2>>, Shape{3, 5, 4}>();
  has_its_exact_adjoint<Patches<2, Stride<3>, Padding<1>>, Shape{1, 6, 7}>();
}

TEST_CASE(
    "(N1) Patches: P^T P of ones counts the windows that cover a site; without padding P is patches()") {
  using B = Cpu<double>;
  B b(1);
  Bind<Patches<3>, Shape{1, 4, 5}, B> const layer;
  decltype(layer)::Tape tape;
  NoParameters none;
  Matrix<B> const ones = to_device(b, Host(1, 20, 1.));
  auto const y = to_host(b, layer.forward(b, none, ones, tape, {}));
  double covered = 0;
  for (Index i = 0; i < 9 * 20; ++i) covered += y.data()[i];
  CHECK(covered == (3 * 4 - 2) * (3 * 5 - 2));
  Matrix<B> const y_bar = to_device(b, y);
  Host const counts = to_host(b, layer.pullback(b, none, tape, y_bar, none));
  CHECK(counts == host_matrix<double>(1, 20, [](Index, Index s) {
          Index const row = s / 5, col = s % 5;
          return (row == 0 || row == 3 ? 2. : 3.) * (col == 0 || col == 4 ? 2. : 3.);
        }));

  Bind<Patches<3, Padding<0>>, Shape{2, 4, 5}, B> const inner;
  Matrix<B> const x = to_device(b, test::normal_matrix<double>(2, 40, test::seed(3)));
  CHECK(to_host(b, predict(b, inner, none, x)) == to_host(b, patches(b, Shape{2, 4, 5}, 3, x)));
}

TEST_CASE("PixelUnshuffle obeys the laws of a layer, and is an isometry: each number once, in its place") {
  laws::everywhere<PixelUnshuffle<2>, Shape{3, 4, 6}>();
  static_assert(PixelUnshuffle<2>::output({3, 4, 6}) == Shape{12, 2, 3});
  laws::LayerModel<Bind<PixelUnshuffle<2>, Shape{3, 4, 6}, Cpu<double>>> layer;
  laws::LayerAt<double> const at(layer, 2, 1);
  auto const out = at.outcome();
  CHECK(out.y == host_matrix<double>(12, 12, [&](Index i, Index j) {
          Index const c = i % 3, dx = i / 3 % 2, dy = i / 6, x = j % 3, y = j / 3 % 2, n = j / 6;
          return at.x(c, 24 * n + 6 * (2 * y + dy) + 2 * x + dx);
        }));
  CHECK(at.outcome(at.x, out.y, at.draw).x_bar == at.x);  // the adjoint is the inverse
}

}  // namespace detrame
