// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/exact/exact_prox.hpp"
#include "detrame/exact/exact_synthesis.hpp"
#include "detrame/metric/block_metric.hpp"
#include "detrame/metric/dense_metric.hpp"
#include "detrame/metric/penalty.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

using namespace detrame::test;

#define BACKENDS Cpu<double>, Cpu<float>, archetype::Loops<double>, archetype::Loops<float>
#define CPUS Cpu<double>, Cpu<float>

namespace {

/// The KKT violation of u in double, from Q, z, psi alone: the largest |u - A(u - g, lambda)|.
double violation(HostMatrix<double> const& Q, HostMatrix<double> const& z, double lambda, double beta,
                 bool two_sided, HostMatrix<double> const& u) {
  auto const g = product(Q, mapped([](double a, double b) { return a - b; }, u, z));
  double largest = 0;
  for (Index j = 0; j < u.cols(); ++j)
    for (Index i = 0; i < u.rows(); ++i) {
      double const t = u(i, j) - g(i, j) - beta * u(i, j);
      double const next = two_sided ? formula::soft_threshold(t, lambda) : formula::relu(t - lambda);
      double const distance = std::abs(u(i, j) - next);
      if (!(distance <= largest)) largest = distance;
    }
  return largest;
}

/// The solution of one column by trying all supports (and signs):
/// the one that satisfies the KKT conditions best.
template <Backend B>
HostMatrix<double> by_enumeration(B& b, HostMatrix<double> const& Q, HostMatrix<double> const& z,
                                  double lambda, double beta) {
  Index const k = Q.rows();
  auto const r = product(Q, z);
  HostMatrix<double> best(k, 1);
  double least = violation(Q, z, lambda, beta, false, best);
  for (Index mask = 1; mask < (Index{1} << k); ++mask) {
    std::vector<Index> A;
    for (Index i = 0; i < k; ++i)
      if (mask >> i & 1) A.push_back(i);
    Index const n = static_cast<Index>(A.size());
    auto const at = [&](Index p) { return A[static_cast<std::size_t>(p)]; };
    auto const H =
        host_matrix<double>(n, n, [&](Index p, Index q) { return Q(at(p), at(q)) + (p == q ? beta : 0); });
    auto const rhs = host_matrix<double>(n, 1, [&](Index p, Index) { return r(at(p), 0) - lambda; });
    auto x = zeros(b, n, 1);
    REQUIRE(definite_solve(b, to_device(b, H), to_device(b, rhs), x));
    auto const found = to_host(b, x);
    HostMatrix<double> u(k, 1);
    bool feasible = true;
    for (Index p = 0; p < n; ++p) {
      u(at(p), 0) = found(p, 0);
      feasible = feasible && found(p, 0) >= 0;
    }
    double const v = feasible ? violation(Q, z, lambda, beta, false, u) : least;
    if (v < least) {
      least = v;
      best = u;
    }
  }
  return best;
}

/// Solves and checks what every answer promises.
template <class Psi, Backend B>
HostMatrix<double> certified(B& b, HostMatrix<double> const& Q, HostMatrix<double> const& z, double lambda,
                             double beta) {
  using Scalar = typename B::Scalar;
  DenseMetric<B> const metric(b, in_memory_of(b, Q));
  Psi const psi(b, Q.rows(), static_cast<Scalar>(lambda), static_cast<Scalar>(beta));
  auto const result = exact_prox(b, metric, psi, in_memory_of(b, z));
  CHECK(result.status == ExactStatus::optimal);
  auto const u = in_double(b, ConstView<B>(result.u));
  // the certificate is true: recomputed here in double from the rounded data, up to the scalar's rounding
  auto const Q_seen = in_double(b, metric.weights()), z_seen = rounded<double>(rounded<Scalar>(z));
  double const scale = max_abs(Q_seen) * (max_abs(z_seen) + max_abs(u)) * static_cast<double>(Q.rows());
  double const here =
      violation(Q_seen, z_seen, static_cast<double>(static_cast<Scalar>(lambda)),
                static_cast<double>(static_cast<Scalar>(beta)), Psi::Activation::two_sided, u);
  CHECK(here <=
        static_cast<double>(result.largest_residual) + static_cast<double>(tolerance<Scalar>(8, scale)));
  CHECK(here <= static_cast<double>(tolerance<Scalar>(16, scale)));
  return u;
}

}  // namespace

TEST_CASE("(M3) the active-set solution is the best of all supports, k <= 10") {
  Cpu<double> b(1);
  Index active = 0, all = 0;
  for (Index k = 1; k <= 10; ++k)
    for (std::uint64_t n = 0; n < (k < 9 ? 6u : 2u); ++n) {
      auto const Q = definite_matrix<double>(k, 30, seed(100 * n + static_cast<std::uint64_t>(k)));
      auto const z = normal_matrix<double>(k, 1, seed(7000 + 100 * n + static_cast<std::uint64_t>(k)));
      auto const u = certified<NonnegativeElasticNet<Cpu<double>>>(b, Q, z, .05, .02);
      CHECK(max_abs_difference(u, by_enumeration(b, Q, z, .05, .02)) <=
            tolerance<double>(k, 30 * 30 * max_abs(z)));
      for (Index i = 0; i < k; ++i) active += u(i, 0) > 0;
      all += k;
    }
  REQUIRE(active > all / 10);
  REQUIRE(active < all * 9 / 10);
}

TEST_CASE_TEMPLATE("(M3) thousands of random problems end optimal, both penalties, any conditioning", B,
                   CPUS) {
  B b;
  for (Index k : {1, 2, 3, 7, 16, 33, 65})
    for (double condition : {1., 50., 2000.}) {
      auto const Q = definite_matrix<double>(k, condition, seed(300 + static_cast<std::uint64_t>(k)));
      auto const z = normal_matrix<double>(k, 60, seed(301 + static_cast<std::uint64_t>(k)));
      certified<NonnegativeElasticNet<B>>(b, Q, z, .1, .01);
      certified<ElasticNet<B>>(b, Q, z, .1, .01);
      certified<NonnegativeElasticNet<B>>(b, Q, z, 0, 0);
    }
}

TEST_CASE_TEMPLATE("(M3) k = 1 and diagonal Q in closed form; both backends", B, BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  for (Index k : {1, 5}) {
    auto const q = uniform_matrix<double>(k, 1, seed(400), .5, 2);
    auto const Q = host_matrix<double>(k, k, [&](Index i, Index j) { return i == j ? q(i, 0) : 0; });
    auto const z = normal_matrix<double>(k, 7, seed(401));
    auto const u = certified<NonnegativeElasticNet<B>>(b, Q, z, .3, .1);
    auto const v = certified<ElasticNet<B>>(b, Q, z, .3, .1);
    for (Index j = 0; j < 7; ++j)
      for (Index i = 0; i < k; ++i) {
        double const t = q(i, 0) * z(i, j), h = q(i, 0) + .1;
        CHECK(std::abs(u(i, j) - formula::relu(t - .3) / h) <= tolerance<Scalar>(4, 4));
        CHECK(std::abs(v(i, j) - formula::soft_threshold(t, .3) / h) <= tolerance<Scalar>(4, 4));
      }
  }
}

TEST_CASE_TEMPLATE("(M1) m < k, equal atoms, zero atoms: one solution, split evenly", B, CPUS) {
  using Scalar = typename B::Scalar;
  B b;
  HostMatrix<double> D = normal_matrix<double>(6, 14, seed(410));
  for (Index i = 0; i < 6; ++i) {
    D(i, 3) = D(i, 8) = D(i, 0);
    D(i, 5) = 0;
  }
  Synthesis<B> const problem{in_memory_of(b, D), Scalar(.05), Scalar(.01), Scalar(.02), zeros(b, 14, 1)};
  auto const result =
      exact_synthesis(b, problem, in_memory_of(b, product(D, uniform_matrix<double>(14, 20, seed(411)))));
  CHECK(result.status == ExactStatus::optimal);
  auto const u = in_double(b, ConstView<B>(result.u));
  REQUIRE(max_abs(u) > 0);
  for (Index j = 0; j < 20; ++j) {
    CHECK(std::abs(u(3, j) - u(0, j)) <= tolerance<Scalar>(14, 200));
    CHECK(std::abs(u(8, j) - u(0, j)) <= tolerance<Scalar>(14, 200));
    CHECK(u(5, j) == 0);
  }
}

TEST_CASE_TEMPLATE("(M8) lambda >= lambda_max gives exactly zero, a little less does not", B, CPUS) {
  using Scalar = typename B::Scalar;
  B b;
  auto const Q = definite_matrix<double>(9, 20, seed(420));
  auto const z = uniform_matrix<double>(9, 1, seed(421), .5, 1);
  auto const r = product(Q, z);
  double largest = 0;
  for (Index i = 0; i < 9; ++i) largest = std::max(largest, r(i, 0));
  REQUIRE(largest > 0);
  CHECK(max_abs(certified<NonnegativeElasticNet<B>>(b, Q, z, largest * (1 + 1e-5), 0)) == 0);
  CHECK(max_abs(certified<NonnegativeElasticNet<B>>(b, Q, z, largest * .99, 0)) > 0);
  // full support: lambda = 0 and a z that is feasible is its own prox
  CHECK(max_abs_difference(certified<NonnegativeElasticNet<B>>(b, Q, z, 0, 0), z) <=
        static_cast<double>(tolerance<Scalar>(9, 400)));
}

TEST_CASE_TEMPLATE("(M3) ties: z on the boundary of the active set", B, CPUS) {
  B b;
  auto const Q = host_matrix<double>(
      8, 8, [](Index i, Index j) { return i == j ? 2. : (std::abs(i - j) == 1 ? -1. : 0.); });
  auto const z = host_matrix<double>(8, 1, [](Index i, Index) { return i % 2 == 0 ? 1. : 0.; });
  certified<NonnegativeElasticNet<B>>(b, Q, z, 2, 0);  // (Q z)_i = 2 = lambda in every other row
  certified<ElasticNet<B>>(b, Q, z, 2, 0);
}

TEST_CASE_TEMPLATE("(M3) a warm start changes the way, not the answer", B, CPUS) {
  using Scalar = typename B::Scalar;
  B b;
  auto const Q = definite_matrix<double>(24, 100, seed(430));
  DenseMetric<B> const metric(b, in_memory_of(b, Q));
  NonnegativeElasticNet<B> const psi(b, 24, Scalar(.05), Scalar(.01));
  auto const z = in_memory_of(b, normal_matrix<double>(24, 10, seed(431)));
  auto const cold = exact_prox(b, metric, psi, z);
  for (std::uint64_t n : {0u, 1u, 2u}) {
    auto warm = cold;
    if (n > 0)
      warm.u = in_memory_of(
          b, uniform_matrix<double>(24, 10, seed(440 + n), n == 1 ? 0 : -1));  // any guess will do
    exact_prox(b, metric, psi, z, warm, {.warm_start = true});
    CHECK(warm.status == ExactStatus::optimal);
    CHECK(max_abs_difference(b, warm.u, cold.u) <= tolerance<Scalar>(24, 400));
  }
}

TEST_CASE_TEMPLATE("(M3) a block-diagonal metric is solved block by block", B, BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  auto const Q1 = definite_matrix<double>(4, 10, seed(450)), Q2 = definite_matrix<double>(4, 10, seed(451));
  auto const blocks =
      host_matrix<double>(4, 8, [&](Index i, Index j) { return j < 4 ? Q1(i, j) : Q2(i, j - 4); });
  auto const z = normal_matrix<double>(8, 6, seed(452));
  BlockDiagonalMetric<B> const Q(b, in_memory_of(b, blocks));
  NonnegativeElasticNet<B> const psi(b, 8, Scalar(.1), Scalar(.05));
  auto const u = exact_prox(b, Q, psi, in_memory_of(b, z));
  auto const whole = exact_prox(b, DenseMetric<B>(b, dense(b, Q)), psi, in_memory_of(b, z));
  CHECK(u.status == ExactStatus::optimal);
  CHECK(max_abs_difference(b, u.u, whole.u) <= tolerance<Scalar>(8, 100));
}

TEST_CASE_TEMPLATE("NaN and infinity come out, are never called optimal, and leave other columns alone", B,
                   BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  auto const Q = definite_matrix<double>(5, 10, seed(460));
  DenseMetric<B> const metric(b, in_memory_of(b, Q));
  NonnegativeElasticNet<B> const psi(b, 5, Scalar(.1), Scalar(.05));
  auto z = normal_matrix<double>(5, 4, seed(461));
  auto const clean = in_double(b, ConstView<B>(exact_prox(b, metric, psi, in_memory_of(b, z)).u));
  for (double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    z(2, 1) = bad;
    auto const result = exact_prox(b, metric, psi, in_memory_of(b, z));
    CHECK(result.status == ExactStatus::not_finite);
    CHECK(!(result.largest_residual <= 1));
    CHECK_THROWS_AS(require_optimal(result), NotConverged);
    auto const u = in_double(b, ConstView<B>(result.u));
    for (Index i = 0; i < 5; ++i) {
      CHECK(std::isnan(u(i, 1)));
      for (Index j : {0, 2, 3}) CHECK(u(i, j) == clean(i, j));
    }
  }
}

TEST_CASE_TEMPLATE("N = 0, bad shapes and bad numbers", B, BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  DenseMetric<B> const Q(b, in_memory_of(b, identity<double>(5)));
  NonnegativeElasticNet<B> const psi(b, 5, Scalar(.1), Scalar(0));
  auto const none = exact_prox(b, Q, psi, zeros(b, 5, 0));
  CHECK(none.status == ExactStatus::optimal);
  CHECK(none.largest_residual == 0);
  CHECK(none.u.cols() == 0);
  check_throws_with<ShapeError>([&] { exact_prox(b, Q, psi, zeros(b, 4, 2)); }, "exact_prox: z has 4 rows");
  ExactResult<B> guess;
  check_throws_with<ShapeError>([&] { exact_prox(b, Q, psi, zeros(b, 5, 2), guess, {.warm_start = true}); },
                                "the guess is 0 x 0, the solution 5 x 2");
  check_throws_with<DomainError>([&] { exact_prox(b, Q, psi, zeros(b, 5, 2), {.pivot_limit = -1}); },
                                 "pivot_limit = -1, must be >= 0");
  Synthesis<B> const flat{zeros(b, 3, 5), Scalar(0), Scalar(0), Scalar(0), zeros(b, 5, 1)};
  check_throws_with<DomainError>([&] { exact_synthesis(b, flat, zeros(b, 3, 1)); }, "alpha = 0, must be > 0");
}

TEST_CASE("(M3) the same bits for 1, 2, 3 threads and for a column alone") {
  auto const Q = definite_matrix<double>(40, 200, seed(470)), z = normal_matrix<double>(40, 37, seed(471));
  Cpu<double> one(1);
  DenseMetric<Cpu<double>> const metric(one, in_memory_of(one, Q));
  NonnegativeElasticNet<Cpu<double>> const psi(one, 40, .05, .01);
  auto const u = exact_prox(one, metric, psi, in_memory_of(one, z)).u;
  for (int threads = 2; threads <= 3 && Cpu<double>::available_threads() > 0; ++threads) {
    Cpu<double> more(threads);
    CHECK(exact_prox(more, metric, psi, in_memory_of(more, z)).u == u);
  }
  for (Index j : {0, 5, 36}) CHECK(exact_prox(one, metric, psi, in_memory_of(one, z).col(j)).u == u.col(j));
}

}  // namespace detrame
