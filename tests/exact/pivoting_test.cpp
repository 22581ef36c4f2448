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

/// Rows of H_AA are lost in rounding on the way: m < k and alpha far below the rounding of D^T D.
TEST_CASE_TEMPLATE("(M1) atoms that depend on each other in rounding: an end within a few hundred pivots", B,
                   Cpu<float>, archetype::Loops<float>) {
  B b;
  Index const m = 32, k = 64, N = 20;
  Synthesis<B> const problem{in_memory_of(b, uniform_matrix<double>(m, k, seed(10), -1, 1)), 1e-6f, 0, 1e-3f,
                             zeros(b, k, 1)};
  auto const X = in_memory_of(b, normal_matrix<double>(m, N, seed(11)));
  ElasticNet<B> const two_sided(b, k, 1e-3f, 0);
  auto const u = exact_synthesis(b, problem, problem.penalty(b), X);
  auto const v = exact_synthesis(b, problem, two_sided, X);
  for (auto const* result : {&u, &v}) {
    CHECK(result->status == ExactStatus::optimal);
    CHECK(result->iterations < 1000);
  }
}

TEST_CASE_TEMPLATE("(M1) a guess of any size changes no bit", B, Cpu<double>, Cpu<float>,
                   archetype::Loops<double>) {
  using Scalar = typename B::Scalar;
  B b;
  auto const D = host_matrix<double>(2, 4, [](Index i, Index j) {
    constexpr double entries[2][4] = {{-.1, .9, -1.5, .6}, {-1.3, 1.1, -1, -.4}};
    return entries[i][j];
  });
  auto const x = host_matrix<double>(2, 1, [](Index i, Index) { return i == 0 ? .6 : -1.9; });
  Synthesis<B> const problem{in_memory_of(b, D), Scalar(.01), Scalar(0), Scalar(.1), zeros(b, 4, 1)};
  auto const X = in_memory_of(b, x);
  auto const cold = exact_synthesis(b, problem, X);
  auto const u = to_host(b, cold.u);
  CHECK(cold.status == ExactStatus::optimal);
  double const right[] = {1.0869, 0, 0, .9811};  // to four places
  for (Index i = 0; i < 4; ++i) CHECK(std::abs(static_cast<double>(u(i, 0)) - right[i]) <= 5e-5);
  Scalar const large = sizeof(Scalar) == 4 ? Scalar(1e20) : static_cast<Scalar>(1e200L);
  for (Scalar guess : {large, -large, limits::infinity<Scalar>, -limits::infinity<Scalar>,
                       limits::nan<Scalar>, Scalar(-1), Scalar(1)}) {
    auto warm = cold;
    warm.u = to_device(b, HostMatrix<Scalar>(4, 1, guess));
    exact_synthesis(b, problem, problem.penalty(b), X, warm, {.warm_start = true});
    CHECK(warm.status == ExactStatus::optimal);
    CHECK(to_host(b, warm.u) == u);
  }
}

}  // namespace detrame
