// SPDX-License-Identifier: Apache-2.0
#include "detrame/layer/convolution.hpp"

#include "detrame/layer/dense.hpp"
#include "laws/everywhere.hpp"

namespace detrame {

using laws::everywhere;
using laws::LayerAt;
using laws::LayerModel;
using Host = HostMatrix<double>;

TEST_CASE("(N2) (K1) Convolution obeys the laws of a layer, at every stride, kernel and size") {
  everywhere<Convolution<4, 3>, Shape{3, 3, 5}>();
  everywhere<Convolution<3, 5, NoBias, Stride<2>>, Shape{2, 5, 4}>();
  everywhere<Convolution<4, 1, Stride<3>>, Shape{3, 5, 4}>();
}

TEST_CASE("(K1) Convolution: shapes by stride and padding") {
  static_assert(Convolution<7, 3>::output({3, 32, 31}) == Shape{7, 32, 31});
  static_assert(Convolution<7, 3, Stride<2>>::output({3, 32, 31}) == Shape{7, 16, 16});
  static_assert(Convolution<7, 5, Stride<3>>::output({3, 7, 9}) == Shape{7, 3, 3});
  static_assert(Convolution<7, 3, Padding<0>, Stride<2>>::output({3, 32, 31}) == Shape{7, 15, 15});
  static_assert(Convolution<7, 1, Stride<2>>::output({3, 8, 7}) == Shape{7, 4, 4});
  static_assert(!Convolution<7, 5, Padding<0>>::window({3, 4, 9}).fits());
  Cpu<float> b;
  CHECK(parameter_count(Bind<Convolution<7, 3>, Shape{5, 4, 4}, Cpu<float>>().parameters(b)) ==
        7 * 5 * 9 + 7);
  CHECK(parameter_count(Bind<Convolution<7, 3, NoBias>, Shape{5, 4, 4}, Cpu<float>>().parameters(b)) ==
        7 * 5 * 9);
}

/// (K1), written out.
template <class L>
void is_its_definition() {
  LayerModel<L> layer;
  LayerAt<double> const at(layer, 3, 1);
  constexpr Shape in = L::input, out = L::output;
  constexpr Window w = L::window;
  Host const &W = at.theta[0], &c = at.theta[1];
  REQUIRE(test::norm(c) > 0);
  Host const z = host_matrix<double>(out.channels, 3 * out.sites(), [&](Index o, Index j) {
    Index const sample = j / out.sites(), y = j % out.sites() / out.width, x = j % out.width;
    double v = -c(o, 0);
    for (Index dy = 0; dy < w.kernel; ++dy)
      for (Index dx = 0; dx < w.kernel; ++dx) {
        Index const row = w.stride * y + dy - w.padding, column = w.stride * x + dx - w.padding;
        if (row < 0 || row >= in.height || column < 0 || column >= in.width) continue;
        for (Index i = 0; i < in.channels; ++i)
          v += W(o, (dy * w.kernel + dx) * in.channels + i) *
               at.x(i, sample * in.sites() + row * in.width + column);
      }
    return v;
  });
  CHECK(test::max_abs_difference(at.outcome().y, z) <= test::tolerance<double>(w.taps() * in.channels, 4));
}

TEST_CASE("(N2) (K1) Convolution is its definition, written out") {
  is_its_definition<Bind<Convolution<4, 3>, Shape{3, 3, 5}, Cpu<double>>>();
  is_its_definition<Bind<Convolution<4, 3, Stride<2>>, Shape{3, 7, 6}, Cpu<double>>>();
  is_its_definition<Bind<Convolution<2, 5, Stride<3>>, Shape{3, 7, 8}, Cpu<double>>>();
  is_its_definition<Bind<Convolution<2, 2, Padding<1>>, Shape{3, 3, 4}, Cpu<double>>>();  // more out than in
}

TEST_CASE(
    "(K1) a 1 x 1 Convolution is Dense at every site: the same bits, but for the order of sums over sites") {
  auto const convolution = laws::outcome_of<Convolution<4, 1>, Shape{5, 2, 3}>(40, 2),
             dense = laws::outcome_of<Dense<4>, Shape{5, 2, 3}>(40, 2);
  CHECK((convolution.y == dense.y && convolution.x_bar == dense.x_bar));
  for (std::size_t i = 0; i < 2; ++i)
    CHECK(test::relative_difference(convolution.theta_bar[i], dense.theta_bar[i]) <=
          test::tolerance<double>(240, 4));
}

}  // namespace detrame
