// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/exact/exact_margin.hpp"
#include "detrame/exact/exact_prox.hpp"
#include "detrame/exact/exact_synthesis.hpp"
#include "detrame/metric/dense_metric.hpp"
#include "detrame/metric/transform.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

using namespace detrame::test;

TEST_CASE_TEMPLATE("(A2) margin: the distance to the kink, in closed form for Q = I", B, Cpu<double>,
                   archetype::Loops<double>) {
  B b;
  // lambda = 1: u = (z - 1)_+, and off the support lambda + g = 1 - z
  auto const z = host_matrix<double>(3, 4, [](Index i, Index j) {
    double const columns[4][3] = {{3, .25, 2}, {1, 4, -5}, {-1, -2, 0}, {std::nan(""), 3, 3}};
    return columns[j][i];
  });
  DenseMetric<B> const Q(b, to_device(b, identity<double>(3)));
  NonnegativeElasticNet<B> const psi(b, 3, 1, 0);
  auto const Z = to_device(b, z);
  auto const u = exact_prox(b, Q, psi, Z);
  auto const margin = to_host(b, exact_margin(b, Q, psi, Z, u.u));
  CHECK(margin(0, 0) == .75);
  CHECK(margin(0, 1) == 0);  // a kink
  CHECK(margin(0, 2) == 1);
  CHECK(std::isnan(margin(0, 3)));
  ElasticNet<B> const two_sided(b, 3, 1, 0);
  auto const v = exact_prox(b, Q, two_sided, Z);
  auto const signed_margin = to_host(b, exact_margin(b, Q, two_sided, Z, v.u));
  CHECK(signed_margin(0, 0) == .75);
  CHECK(signed_margin(0, 2) == 0);  // |z| = lambda
  check_throws_with<ShapeError>([&] { exact_margin(b, Q, psi, Z, zeros(b, 2, 4)); },
                                "exact_margin: z is 3 x 4, u is 2 x 4, psi has 3 rows, Q is 3 x 3");
}

TEST_CASE_TEMPLATE("(A3) margin of M_D is that of the prox it is", B, Cpu<double>, archetype::Loops<double>) {
  B b;
  Index const m = 7, k = 12, N = 5;
  Synthesis<B> const problem{to_device(b, unit_norm_dictionary<double>(m, k, seed(3))), .1, .05, .1,
                             random_matrix(b, k, 1, seed(4))};
  auto const X = random_matrix(b, m, N, seed(5));
  auto const psi = problem.penalty(b);
  auto const u = require_optimal(exact_synthesis(b, problem, psi, X));
  auto const t = transform(b, problem);
  auto const FX = product(to_host(b, t.W), to_host(b, X));
  auto const c = to_host(b, t.c);
  auto const Z = host_matrix<double>(k, N, [&](Index i, Index j) { return FX(i, j) - c(i, 0); });
  auto const expected = to_host(b, exact_margin(b, problem.metric(b), psi, to_device(b, Z), u.u));
  auto const margin = to_host(b, exact_margin(b, problem, psi, X, u.u));
  REQUIRE(max_abs(expected) > 1e-6);
  CHECK(max_abs_difference(margin, expected) <= tolerance<double>(k, 100));
}

TEST_CASE_TEMPLATE("(A2) (A3) margins of images are those of the materialised problems", B, Cpu<double>,
                   archetype::Loops<double>) {
  B b;
  Index const k = 3, images = 2;
  ConvolutionalBlocks const shape{3, 4, 3, 1};
  Index const sites = shape.unit(), n = k * sites;
  auto kernel = symmetric_part(
      shape, mapped([](double w) { return .05 * w; }, normal_matrix<double>(k, 9 * k, seed(20))));
  for (Index c = 0; c < k; ++c) kernel(c, 4 * k + c) += 1;
  ConvolutionalMetric<B> const Q(b, shape, to_device(b, kernel));
  DenseMetric<B> const Q_dense(b, dense(b, Q));
  ElasticNet<B> const psi(b, k, .2, .1), psi_dense(b, n, .2, .1);
  auto const z = normal_matrix<double>(k, images * sites, seed(21));
  auto const u = exact_prox(b, Q, psi, to_device(b, z)).u;
  auto const columns = [&](auto const& V) { return to_device(b, reshaped(V, n, images)); };
  auto const expected =
      to_host(b, exact_margin(b, Q_dense, psi_dense, columns(z), columns(to_host(b, ConstView<B>(u)))));
  auto const margin = to_host(b, exact_margin(b, Q, psi, to_device(b, z), u));
  REQUIRE(std::min(expected(0, 0), expected(0, 1)) > 1e-6);
  CHECK(max_abs_difference(margin, expected) <= tolerance<double>(n, 10));

  // a window of one pixel: an image of two pixels is two columns
  auto const D = unit_norm_dictionary<double>(2, 5, seed(22));
  Window const one{1, 2, 1, 1, 0};
  ConvolutionalSynthesis<B> const image{one, to_device(b, D), .2, .1, .3, zeros(b, 5, 1)};
  Synthesis<B> const column{to_device(b, D), .2, .1, .3, zeros(b, 5, 1)};
  auto const x = random_matrix(b, 2, 4, seed(23));
  auto const code = exact_synthesis(b, image, x).u;
  auto const rho = column.penalty(b);
  auto const by_column = to_host(b, exact_margin(b, column, rho, x, code));
  auto const by_image = to_host(b, exact_margin(b, image, rho, x, code));
  REQUIRE(max_abs(by_column) > 1e-6);
  for (Index j = 0; j < 2; ++j)
    CHECK(std::abs(by_image(0, j) - std::min(by_column(0, 2 * j), by_column(0, 2 * j + 1))) <=
          tolerance<double>(5, 4));
  check_throws_with<ShapeError>([&] { exact_margin(b, Q, psi, to_device(b, z), zeros(b, 3, 4)); },
                                "exact_margin: z is 3 x 24, u is 3 x 4");
  check_throws_with<ShapeError>([&] { exact_margin(b, image, rho, x, zeros(b, 5, 3)); },
                                "exact_margin: X is 2 x 4, u is 5 x 3");
}

}  // namespace detrame
