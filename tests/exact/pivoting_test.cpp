// SPDX-License-Identifier: Apache-2.0
#include "detrame/exact/pivoting.hpp"

#include <doctest/doctest.h>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/exact/exact_synthesis.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

using namespace detrame::test;

namespace {

template <Backend B>
Synthesis<B> coherent_problem(B& b, Index m, Index k, double alpha, double lambda) {
  using Scalar = typename B::Scalar;
  auto D = unit_norm_dictionary<Scalar>(m, k, seed(1));
  for (Index j = 1; j < k; j += 3)
    for (Index i = 0; i < m; ++i) D(i, j) = D(i, j - 1);  // pairs of equal atoms
  return {to_device(b, D), Scalar(alpha), Scalar(0), Scalar(lambda), zeros(b, k, 1)};
}

}  // namespace

TEST_CASE_TEMPLATE("(M1) where block pivoting cycles, descent ends: few data, nearly dependent atoms", B,
                   Cpu<double>, archetype::Loops<double>) {
  B b;
  Index const m = 8, k = 32, N = 9;
  auto const X = random_matrix(b, m, N, seed(2));
  for (double alpha : {1e-4, 1e-8}) {
    auto const problem = coherent_problem(b, m, k, alpha, 1e-3);
    ElasticNet<B> const two_sided(b, k, 1e-3, 0);
    auto const u = exact_synthesis(b, problem, problem.penalty(b), X);
    auto const v = exact_synthesis(b, problem, two_sided, X);
    REQUIRE(u.iterations + v.iterations > 2 * 15);  // block pivoting alone gave up
    for (auto const* result : {&u, &v}) {
      CHECK(result->status == ExactStatus::optimal);
      CHECK(result->largest_residual <= tolerance<double>(k, 4));
    }
  }
}

/// What is 0 only up to rounding must not become a tiny code: lambda_max of the caller may be rounded down.
TEST_CASE_TEMPLATE("(M8) u = 0 exactly for lambda = lambda_max less a few units of rounding", B, Cpu<double>,
                   Cpu<float>, archetype::Loops<double>) {
  using Scalar = typename B::Scalar;
  B b;
  Index const m = 9, k = 14;
  auto const D = unit_norm_dictionary<Scalar>(m, k, seed(6));
  auto const X = normal_matrix<Scalar>(m, 1, seed(7));
  Scalar lambda_max(0);
  for (Index i = 0; i < k; ++i) lambda_max = std::max(lambda_max, product(transposed(D), X)(i, 0));
  REQUIRE(lambda_max > Scalar(0));
  auto const solve = [&](Scalar lambda) {
    Synthesis<B> const problem{to_device(b, D), Scalar(.1), Scalar(0), lambda, zeros(b, k, 1)};
    return exact_synthesis(b, problem, to_device(b, X));
  };
  constexpr Scalar eps = std::numeric_limits<Scalar>::epsilon();
  auto const at_zero = solve(lambda_max * (1 - 4 * eps));
  CHECK(at_zero.status == ExactStatus::optimal);
  CHECK(max_abs(to_host(b, at_zero.u)) == Scalar(0));
  auto const below = solve(lambda_max * (1 - 1000 * eps));
  CHECK(below.status == ExactStatus::optimal);
  CHECK(max_abs(to_host(b, below.u)) > Scalar(0));
}

}  // namespace detrame
