// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/exact/duality_gap.hpp"
#include "detrame/metric/objective.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

using namespace detrame::test;

TEST_CASE_TEMPLATE("(D1) objective and gap(a) = P(a) - D(x - D a), term by term", B, Cpu<double>,
                   archetype::Loops<double>) {
  B b;
  Index const m = 6, k = 9, N = 4;
  double const alpha = .2, beta = .1, lambda = .3, s = alpha + beta;
  auto const D = unit_norm_dictionary<double>(m, k, seed(1)), d = normal_matrix<double>(k, 1, seed(2));
  auto const X = normal_matrix<double>(m, N, seed(3)), A = uniform_matrix<double>(k, N, seed(4));
  Synthesis<B> const problem{to_device(b, D), alpha, beta, lambda, to_device(b, d)};
  auto const gap = to_host(b, duality_gap(b, problem, to_device(b, X), to_device(b, A)));
  auto const value = to_host(b, objective(b, problem, to_device(b, X), to_device(b, A)));
  auto const DA = product(D, A);
  Index negative = 0;  // slopes w_i < 0: one of the two branches
  for (Index j = 0; j < N; ++j) {
    double primal = 0, dual = 0;
    for (Index i = 0; i < m; ++i) {
      double const nu = X(i, j) - DA(i, j);
      primal += nu * nu / 2;
      dual += nu * X(i, j) - nu * nu / 2;
    }
    for (Index l = 0; l < k; ++l) {
      double w = -lambda - d(l, 0);
      for (Index i = 0; i < m; ++i) w += D(i, l) * (X(i, j) - DA(i, j));
      primal += s / 2 * A(l, j) * A(l, j) + (lambda + d(l, 0)) * A(l, j);
      dual -= w > 0 ? w * w / (2 * s) : 0;
      negative += w < 0;
    }
    CHECK(std::abs(value(0, j) - primal) <= tolerance<double>(m * k, primal));
    CHECK(std::abs(gap(0, j) - (primal - dual)) <= tolerance<double>(m * k, primal + std::abs(dual)));
  }
  REQUIRE(negative > 0);
  REQUIRE(negative < k * N);
}

}  // namespace detrame
