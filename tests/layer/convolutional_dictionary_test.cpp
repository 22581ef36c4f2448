// SPDX-License-Identifier: Apache-2.0
#include "detrame/layer/convolutional_dictionary.hpp"

#include "laws/everywhere.hpp"
#include "layer/fallback.hpp"

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

TEST_CASE("(K4) an infinite beta holds the code at 0, but for NaN, however it is solved") {
  double const infinity = std::numeric_limits<double>::infinity();
  auto const check = [&](auto&& layer, double lambda) {
    LayerAt<double> at(layer, 3, 2);
    at.theta[2](0, 0) = lambda;
    at.theta[4](0, 0) = infinity;
    at.x(0, 31) = std::numeric_limits<double>::quiet_NaN();  // of the second image of three
    Host u = at.outcome().y;
    CHECK(std::isnan(u(0, 9)));
    for (Index j = 9; j < 18; ++j)
      for (Index i = 0; i < u.rows(); ++i) u(i, j) = 0;
    CHECK(test::max_abs(u) == 0);
  };
  for (double lambda : {.1, infinity}) {
    check(Coding<Exact>(), lambda);
    check(Coding<ImplicitUnroll<8>>(), lambda);
  }
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

namespace {

using test::Fallback;

template <Backend B>
Fallback fallback(B b, Host const& D, Host const& images, Host const& u_bar) {
  using Layer = Bind<ConvolutionalDictionary<4, 3, Exact, Stride<2>>, Shape{2, 5, 6}, B>;
  return test::fallback<Layer>(b, D, images, u_bar);
}

/// The columns of all images but one.
Host without(Host const& A, Index image, Index sites) {
  return host_matrix<double>(A.rows(), A.cols() - sites,
                             [&](Index i, Index j) { return A(i, j < image * sites ? j : j + sites); });
}

}  // namespace

TEST_CASE("(K4) (A3) images that float cannot certify are solved in double, and counted") {
  Index const sites = 30, codes = 9, N = 3, tiny = 1;
  Host const D = test::unit_norm_dictionary<double>(18, 4, test::seed(80));
  Host x = test::normal_matrix<double>(2, N * sites, test::seed(81));
  for (Index j = tiny * sites; j < (tiny + 1) * sites; ++j)
    for (Index i = 0; i < 2; ++i) x(i, j) *= 3e-42;  // its code is subnormal in float
  Host const u_bar = test::normal_matrix<double>(4, N * codes, test::seed(82));
  Host const seen = test::rounded<double>(test::rounded<float>(x));
  Fallback const wide = fallback(Cpu<double>(1), D, seen, u_bar);
  Fallback const narrow = fallback(Cpu<float>(1), D, seen, u_bar);
  CHECK(wide.again.empty());
  CHECK(narrow.again == std::vector<Index>{tiny});
  CHECK(test::max_abs_difference(narrow.predicted, narrow.u) == 0);
  double largest = 0;
  for (Index j = tiny * codes; j < (tiny + 1) * codes; ++j)
    for (Index i = 0; i < 4; ++i) {  // but for the rounding of D and alpha
      double const expected = wide.u(i, j), unit = std::numeric_limits<float>::denorm_min();
      CHECK(std::abs(narrow.u(i, j) - expected) <= .51 * unit + 1e-4 * expected);
      largest = std::max(largest, expected);
    }
  REQUIRE(largest > 0);
  double const close = static_cast<double>(test::tolerance<float>(18, 40));
  CHECK(test::max_abs_difference(narrow.x_bar, wide.x_bar) <= close);
  CHECK(test::max_abs_difference(narrow.inference_x_bar, narrow.x_bar) == 0);
  CHECK(test::relative_difference(narrow.D_bar, wide.D_bar) <= close);
  CHECK(test::relative_difference(narrow.d_bar, wide.d_bar) <= close);
  CHECK(test::relative_difference(narrow.alpha_bar, wide.alpha_bar) <= close);
  CHECK(test::relative_difference(narrow.lambda_bar, wide.lambda_bar) <= close);
  // an image that is not finite goes through, hides nothing that failed, and leaves the others as they are
  Host spoilt = x;
  spoilt(1, 7) = std::numeric_limits<double>::quiet_NaN();
  Fallback const both = fallback(Cpu<float>(1), D, spoilt, u_bar);
  CHECK(std::isnan(both.u(0, 0)));
  CHECK(both.again == std::vector<Index>{tiny});
  CHECK(test::max_abs_difference(without(both.u, 0, codes), without(narrow.u, 0, codes)) == 0);
  CHECK(test::max_abs_difference(without(both.x_bar, 0, sites), without(narrow.x_bar, 0, sites)) == 0);
  // double has nothing wider to turn to
  for (Index j = tiny * sites; j < (tiny + 1) * sites; ++j)
    for (Index i = 0; i < 2; ++i) x(i, j) *= 1e-280;
  test::check_throws_with<NotCertified>([&] { fallback(Cpu<double>(1), D, x, u_bar); },
                                        "ConvolutionalDictionary: the exact solver ended with inaccurate");
}

}  // namespace detrame
