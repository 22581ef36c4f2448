// SPDX-License-Identifier: Apache-2.0
#include "detrame/layer/reflected_update.hpp"

#include "detrame/operator/definite.hpp"
#include "laws/everywhere.hpp"
#include "layer/nonexpansive.hpp"

namespace detrame {

using laws::LayerAt;
using laws::LayerModel;
using Host = HostMatrix<double>;
using ByRows = Unrolled<Gershgorin, Unroll<1>>;
using ByNorm = Unrolled<SpectralNorm, Unroll<1>>;

TEST_CASE("(L6) the reflected layer of one update obeys the laws of a layer") {
  laws::everywhere<ReflectedDictionary<7, ByRows>, Shape{5, 2, 3}>({.predict_allocates = true});
  laws::everywhere<ReflectedDictionary<7, ByNorm>, Shape{5}>({.predict_allocates = true});
  laws::everywhere<ReflectedConvolutionalDictionary<9, 3, ByRows>, Shape{8, 5, 4}>(
      {.predict_allocates = true});
  laws::everywhere<ReflectedConvolutionalDictionary<6, 3, ByRows, Stride<2>>, Shape{3, 5, 4}>(
      {.predict_allocates = true});
  laws::everywhere<ReflectedConvolutionalDictionary<6, 2, ByNorm, Stride<2>, Padding<1>>, Shape{3, 4, 4}>(
      {.predict_allocates = true});
}

TEST_CASE("(L6) one update with |D|^2 is the convex potential layer, x - 2/|W|^2 W^T ReLU(W x + b)") {
  LayerModel<Bind<ReflectedDictionary<7, ByNorm>, Shape{5}, Cpu<double>>> layer;
  LayerAt<double> at(layer, 6, 1);
  at.theta[2] = at.theta[3] = at.theta[4] = Host(1, 1);
  Cpu<double> cpu;
  Host const &D = at.theta[0], W = test::transposed(D);
  double const norm = detail::norm_from_above(cpu, D);  // but for rounding
  Host code = test::product(W, at.x);
  for (Index j = 0; j < 6; ++j)
    for (Index i = 0; i < 7; ++i) code(i, j) = std::max(0., code(i, j) - at.theta[1](i, 0));
  Host const step = test::product(D, code), y = at.outcome().y;
  for (Index j = 0; j < 6; ++j)
    for (Index i = 0; i < 5; ++i) {
      double const exact = at.x(i, j) - 2 / (norm * norm) * step(i, j);
      double const at_most = std::pow(7, 1. / 512) - 1;  // Theta is at most so much more than |D|^2
      CHECK(std::abs(y(i, j) - exact) <= at_most * std::abs(exact - at.x(i, j)) + 1e-12);
    }
}

TEST_CASE(
    "(L6) one update with orthonormal atoms, alpha = beta = 0, is the convex potential layer to rounding") {
  LayerModel<Bind<ReflectedDictionary<5, ByRows>, Shape{5}, Cpu<double>>> rows;
  LayerModel<Bind<ReflectedDictionary<5, ByNorm>, Shape{5}, Cpu<double>>> norm;
  LayerAt<double> at(rows, 6, 1), other(norm, 6, 1);
  at.theta[0] = test::orthogonal_matrix(5, test::seed(2));
  at.theta[2] = at.theta[3] = at.theta[4] = Host(1, 1);
  other.theta = at.theta;
  Host const& D = at.theta[0];
  Host code = test::product(test::transposed(D), at.x);
  for (Index j = 0; j < 6; ++j)
    for (Index i = 0; i < 5; ++i) code(i, j) = std::max(0., code(i, j) - at.theta[1](i, 0));
  Host const step = test::product(D, code);
  Host const y = test::mapped([](double x, double v) { return x - 2 * v; }, at.x, step);
  CHECK(test::max_abs_difference(at.outcome().y, y) <= 1e-13);
  double const of_norm = std::pow(5, 1. / 512) - 1;  // |I^256|_F^(1/256)
  CHECK(test::max_abs_difference(other.outcome().y, y) <= 2.1 * of_norm * test::max_abs(step));
}

TEST_CASE_TEMPLATE("(L6) no pair is further apart behind a reflected layer than before it", Recipe,
                   ReflectedDictionary<7, ByRows>, ReflectedDictionary<7, ByNorm>,
                   ReflectedConvolutionalDictionary<5, 3, ByRows>,
                   ReflectedConvolutionalDictionary<6, 2, ByNorm, Stride<2>, Padding<0>>,
                   ReflectedDictionary<7, Exact>, ReflectedConvolutionalDictionary<3, 3, Exact, Stride<2>>) {
  bool const exact = Bind<Recipe, Shape{3, 4, 4}, Cpu<double>>::name().ends_with("exact");
  LayerModel<Bind<Recipe, Shape{3, 4, 4}, Cpu<double>>> layer;
  LayerAt<double> const at(layer, 1, 4);
  for (double const size : {.3, 1., 5.}) {
    auto theta = at.theta;
    theta[0] = test::mapped([&](double d) { return size * d; }, at.theta[0]);
    for (std::size_t const number : {2, 4}) theta[number] = Host(1, 1);
    theta[3] = Host(1, 1, exact ? 1e-3 : 0);
    double const found = test::largest_expansion(layer, theta, 1, exact ? 12 : 24);
    CHECK(found <= 1 + 1e-10);
    CHECK(found > .97);  // and the bound is not far away
  }
}

namespace {

/// x - 2 D u_T, u_T of T updates from 0 with Theta = |D|^2 I, d as given: its Jacobian at x.
Host reflected_jacobian(Host const& D, Host const& x, Host const& d, int T) {
  Host const G = test::product(test::transposed(D), D), v = test::product(test::transposed(D), x);
  double const a = G(0, 0) + G(1, 1), b = G(0, 0) * G(1, 1) - G(0, 1) * G(1, 0);
  double const norm = (a + std::sqrt(std::max(a * a - 4 * b, 0.))) / 2;  // |D|^2, k = 2
  Host u(2, 1), J(2, D.rows());
  for (int t = 0; t < T; ++t) {
    Host const before = u, J_before = J;
    for (Index i = 0; i < 2; ++i) {
      double const g = G(i, 0) * before(0, 0) + G(i, 1) * before(1, 0) - v(i, 0) + d(i, 0);
      u(i, 0) = std::max(0., before(i, 0) - g / norm);
      for (Index l = 0; l < D.rows(); ++l)
        J(i, l) = u(i, 0) > 0 ? J_before(i, l) -
                                    (G(i, 0) * J_before(0, l) + G(i, 1) * J_before(1, l) - D(l, i)) / norm
                              : 0;
    }
  }
  Host const D_J = test::product(D, J);
  return host_matrix<double>(D.rows(), D.rows(), [&](Index i, Index j) { return (i == j) - 2 * D_J(i, j); });
}

double norm_of_2_by_2(Host const& A) {
  double const a = test::inner(A, A), b = A(0, 0) * A(1, 1) - A(0, 1) * A(1, 0);
  return std::sqrt((a + std::sqrt(std::max(a * a - 4 * b * b, 0.))) / 2);
}

/// The largest that climbing from random points finds, two atoms in the plane.
double worst_expansion(int T) {
  double worst = 0;
  for (std::uint64_t start = 0; start < 8; ++start) {
    Host at = test::normal_matrix<double>(8, 1, test::seed(start));  // D, x, d
    auto const value = [&](Host const& p) {
      return norm_of_2_by_2(
          reflected_jacobian(host_matrix<double>(2, 2, [&](Index i, Index j) { return p(i + 2 * j, 0); }),
                             host_matrix<double>(2, 1, [&](Index i, Index) { return p(4 + i, 0); }),
                             host_matrix<double>(2, 1, [&](Index i, Index) { return p(6 + i, 0); }), T));
    };
    double best = value(at), step = .5;
    for (std::uint64_t n = 0; n < 1500; ++n) {
      Host const move = test::normal_matrix<double>(8, 1, test::seed(1000 * (start + 1) + n));
      Host const next = test::mapped([&](double a, double b) { return a + step * b; }, at, move);
      double const there = value(next);
      step = std::clamp(step * (there >= best ? 1.2 : .96), 1e-3, 1.);
      if (there >= best) at = next, best = there;
    }
    worst = std::max(worst, best);
  }
  return worst;
}

}  // namespace

TEST_CASE("(L6) truncated at T = 2 ... 10 the reflected map expands, by more than the figures known") {
  CHECK(worst_expansion(1) <= 1 + 1e-7);  // a root of what is near 0
  double const known[][2] = {{2, 1.10}, {3, 1.24}, {5, 1.44}, {10, 1.75}};
  for (auto const& [T, ratio] : known) CHECK(worst_expansion(static_cast<int>(T)) > ratio);
}

TEST_CASE("(L6) two updates on two atoms in the plane can expand by sqrt(5) / 2") {
  double const a = std::sqrt(2. / 3), b = std::sqrt(1. / 6), c = std::sqrt(1. / 3);
  Host D(2, 2), x(2, 1), d(2, 1);  // |D| = 1; both atoms are active in the first update, one in the second
  D(0, 0) = a, D(1, 0) = b, D(0, 1) = c, D(1, 1) = -c;
  d(0, 0) = -1, d(1, 0) = -.05;
  CHECK(std::abs(norm_of_2_by_2(reflected_jacobian(D, x, d, 2)) - std::sqrt(5.) / 2) <= 1e-12);
  CHECK(std::abs(norm_of_2_by_2(reflected_jacobian(D, x, d, 1))) <= 1 + 1e-12);
}

TEST_CASE("(L6) an atom of zeros leaves x as it is; negative numbers of the problem are refused") {
  LayerModel<Bind<ReflectedDictionary<3, ByRows>, Shape{4}, Cpu<double>>> layer;
  LayerAt<double> at(layer, 2, 1);
  at.theta[0] = Host(4, 3), at.theta[1] = Host(3, 1, -1.), at.theta[3] = at.theta[4] = Host(1, 1);
  auto const out = at.outcome();
  CHECK((out.y == at.x && out.x_bar == at.y_bar));
  at.theta[3](0, 0) = -.1;
  test::check_throws_with<DomainError>([&] { at.outcome(); }, "ReflectedDictionary: alpha = -0.1");
}

}  // namespace detrame
