// SPDX-License-Identifier: Apache-2.0
#include "detrame/layer/convolutional_dictionary.hpp"

#include "laws/everywhere.hpp"

namespace detrame {

using laws::LayerAt;
using laws::LayerModel;
using Host = HostMatrix<double>;

TEST_CASE("(K4) (A3) ConvolutionalDictionary solved exactly obeys the laws of a layer") {
  laws::everywhere<ConvolutionalDictionary<3, 3, Exact, Stride<2>>, Shape{2, 5, 4}>(
      {.conditioning = 60, .predict_allocates = true});
}

namespace {
template <class Solver>
using Coding =
    LayerModel<Bind<ConvolutionalDictionary<4, 3, Solver, Stride<2>>, Shape{2, 5, 6}, Cpu<double>>>;
}

TEST_CASE("(K4) as T grows, T steps and their implicit gradient become those of the exact code") {
  auto const outcome = [](auto&& layer) { return LayerAt<double>(layer, 3, 2).outcome(); };
  auto const exact = outcome(Coding<Exact>()), short_of = outcome(Coding<ImplicitUnroll<8>>()),
             there = outcome(Coding<ImplicitUnroll<2000>>());
  REQUIRE(test::max_abs_difference(short_of.y, exact.y) > 1e-3);  // 8 steps are not yet there
  CHECK(test::max_abs_difference(there.y, exact.y) <= 1e-9);
  CHECK(test::max_abs_difference(there.x_bar, exact.x_bar) <= 1e-8);
  for (std::size_t i = 0; i < 5; ++i)
    CHECK(test::relative_difference(there.theta_bar[i], exact.theta_bar[i]) <= 1e-7);
}

TEST_CASE("(K4) |u_T - u_star| <= (1 - (alpha + beta) / L)^T |u_star|, also where L can hardly be less") {
  Coding<Exact> exact;
  Coding<ImplicitUnroll<60>> sixty;
  LayerAt<double> solved(exact, 3, 2), unrolled(sixty, 3, 2);
  // Where D >= 0, the row sums of D^T D come close to its largest eigenvalue.
  solved.theta[0] = unrolled.theta[0] = test::mapped([](double t) { return std::abs(t); }, solved.theta[0]);
  Host const &D = solved.theta[0], u_star = solved.outcome().y, u = unrolled.outcome().y;
  double const s = solved.theta[3](0, 0) + solved.theta[4](0, 0);
  double atom = 0, pixel = 0;  // largest sums of |D| over an atom, and over what reaches a number of a patch
  for (Index o = 0; o < D.cols(); ++o) {
    double sum = 0;
    for (Index i = 0; i < D.rows(); ++i) sum += D(i, o);
    atom = std::max(atom, sum);
  }
  for (Index i = 0; i < D.rows(); ++i) {
    double sum = 0;
    for (Index o = 0; o < D.cols(); ++o) sum += D(i, o);
    pixel = std::max(pixel, sum);
  }
  double const L = 4 * atom * pixel + s;  // with stride 2 a pixel is in at most 4 patches of 3 x 3
  Host const error = test::mapped([](double a, double b) { return a - b; }, u, u_star);
  double const distance = std::sqrt(test::inner(error, error)),
               start = std::sqrt(test::inner(u_star, u_star));
  REQUIRE((start > 1 && std::pow(1 - s / L, 60) < .8));
  CHECK(distance <= std::pow(1 - s / L, 60) * start);
}

TEST_CASE("(K4) the code is nonnegative, and satisfies the optimality conditions written out") {
  Coding<Exact> layer;
  LayerAt<double> const at(layer, 2, 1);
  Host const &D = at.theta[0], &d = at.theta[1];
  double const lambda = at.theta[2](0, 0), s = at.theta[3](0, 0) + at.theta[4](0, 0);
  Host const u = at.outcome().y;  // 4 x (3 * 3 * 2)
  Host E = test::mapped([](double t) { return -t; }, at.x);
  auto const visit = [&](auto&& f) {  // f(column of u, column of x, place in the patch, channel)
    for (Index n = 0; n < 2; ++n)
      for (Index y = 0; y < 3; ++y)
        for (Index x = 0; x < 3; ++x)
          for (Index tap = 0; tap < 9; ++tap) {
            Index const row = 2 * y + tap / 3 - 1, col = 2 * x + tap % 3 - 1;
            if (row < 0 || row >= 5 || col < 0 || col >= 6) continue;
            for (Index c = 0; c < 2; ++c) f(n * 9 + y * 3 + x, n * 30 + row * 6 + col, tap * 2 + c, c);
          }
  };
  visit([&](Index j, Index t, Index place, Index c) {
    for (Index o = 0; o < 4; ++o) E(c, t) += D(place, o) * u(o, j);
  });
  Host g = test::mapped([&](double a) { return s * a + lambda; }, u);
  visit([&](Index j, Index t, Index place, Index c) {
    for (Index o = 0; o < 4; ++o) g(o, j) += D(place, o) * E(c, t);
  });
  Index active = 0;
  for (Index j = 0; j < 18; ++j)
    for (Index o = 0; o < 4; ++o) {
      double const slope = g(o, j) + d(o, 0);
      CHECK(u(o, j) >= 0);
      CHECK(slope >= -1e-12);
      if (u(o, j) > 0) CHECK(std::abs(slope) <= 1e-12);
      active += u(o, j) > 0;
    }
  REQUIRE((active > 3 && active < 69));
}

}  // namespace detrame
