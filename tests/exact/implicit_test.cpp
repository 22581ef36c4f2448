// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/exact/exact_prox.hpp"
#include "detrame/exact/exact_prox_pullback.hpp"
#include "detrame/exact/exact_synthesis.hpp"
#include "detrame/exact/exact_synthesis_pullback.hpp"
#include "detrame/metric/block_metric.hpp"
#include "detrame/metric/dense_metric.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

using namespace detrame::test;

#define BACKENDS Cpu<double>, archetype::Loops<double>

namespace {

HostMatrix<double> along(HostMatrix<double> const& A, double step, HostMatrix<double> const& d) {
  return mapped([step](double a, double e) { return a + step * e; }, A, d);
}

/// What the derivative of f is compared with: f(step) at both sides, on one support.
template <class F>
double central_difference(HostMatrix<double> const& u_bar, double h, F&& f) {
  HostMatrix<double> const up = f(h), down = f(-h), here = f(0);
  for (Index j = 0; j < up.cols(); ++j)
    for (Index i = 0; i < up.rows(); ++i) {
      REQUIRE((up(i, j) != 0) == (here(i, j) != 0));  // no kink on the way, else the comparison means nothing
      REQUIRE((down(i, j) != 0) == (here(i, j) != 0));
    }
  return (inner(u_bar, up) - inner(u_bar, down)) / (2 * h);
}

constexpr double h = 1e-6;
/// O(h^2) and rounding over h, for data and derivatives of size about 10.
constexpr double difference_error = 1e-7;

template <Backend B>
HostMatrix<double> host(B& b, ConstView<B> v) {
  return to_host(b, v);
}

/// The metric problem: Q with two blocks, per-row lambda and beta.
template <template <class> class Psi, Backend B>
void check_metric_adjoint(B& b) {
  Index const k = 8, N = 5;
  HostMatrix<double> blocks(4, k);
  for (std::uint64_t g = 0; g < 2; ++g) {
    auto const Q = definite_matrix<double>(4, 8, seed(610 + g));
    for (Index j = 0; j < 4; ++j)
      for (Index i = 0; i < 4; ++i) blocks(i, 4 * static_cast<Index>(g) + j) = Q(i, j);
  }
  auto const z = normal_matrix<double>(k, N, seed(612));
  auto const lambda = uniform_matrix<double>(k, 1, seed(613), .05, .2),
             beta = uniform_matrix<double>(k, 1, seed(614), .01, .1);
  auto const u_bar = normal_matrix<double>(k, N, seed(615));
  auto const solve = [&](HostMatrix<double> const& q, HostMatrix<double> const& at,
                         HostMatrix<double> const& l, HostMatrix<double> const& e) {
    BlockDiagonalMetric<B> const Q(b, to_device(b, q));
    return host(
        b,
        require_optimal(exact_prox(b, Q, Psi<B>(b, to_device(b, l), to_device(b, e)), to_device(b, at))).u);
  };
  auto const u = solve(blocks, z, lambda, beta);
  REQUIRE(max_abs(u) > 0);
  auto const bar = exact_prox_pullback(b, BlockDiagonalMetric<B>(b, to_device(b, blocks)),
                                       Psi<B>(b, to_device(b, lambda), to_device(b, beta)), to_device(b, z),
                                       to_device(b, u), to_device(b, u_bar));
  for (std::uint64_t n = 0; n < 3; ++n) {
    auto const dz = normal_matrix<double>(k, N, seed(620 + n));
    CHECK(inner(host(b, bar.z_bar), dz) == doctest::Approx(central_difference(u_bar, h, [&](double t) {
                                             return solve(blocks, along(z, t, dz), lambda, beta);
                                           })).epsilon(difference_error));
    auto const d = normal_matrix<double>(k, 1, seed(630 + n));
    CHECK(inner(host(b, bar.lambda_bar), d) == doctest::Approx(central_difference(u_bar, h, [&](double t) {
                                                 return solve(blocks, z, along(lambda, t, d), beta);
                                               })).epsilon(difference_error));
    CHECK(inner(host(b, bar.beta_bar), d) == doctest::Approx(central_difference(u_bar, h, [&](double t) {
                                               return solve(blocks, z, lambda, along(beta, t, d));
                                             })).epsilon(difference_error));
    auto const E = normal_matrix<double>(4, k, seed(640 + n));
    auto const dQ =
        host_matrix<double>(4, k, [&](Index i, Index j) { return E(i, j) + E(j % 4, j / 4 * 4 + i); });
    CHECK(inner(host(b, bar.Q_bar), dQ) == doctest::Approx(central_difference(u_bar, h, [&](double t) {
                                             return solve(along(blocks, t, dQ), z, lambda, beta);
                                           })).epsilon(difference_error));
  }
}

}  // namespace

TEST_CASE_TEMPLATE(
    "(A2) the implicit adjoint of prox^Q is the derivative, both penalties, per-row lambda and beta", B,
    BACKENDS) {
  B b;
  check_metric_adjoint<NonnegativeElasticNet>(b);
  check_metric_adjoint<ElasticNet>(b);
}

TEST_CASE_TEMPLATE("(A3) the implicit adjoint of M_D is the derivative in x, D, d, lambda, alpha, beta", B,
                   BACKENDS) {
  B b;
  Index const m = 6, k = 9, N = 5;
  auto const D = unit_norm_dictionary<double>(m, k, seed(650)), x = normal_matrix<double>(m, N, seed(651));
  auto const d = mapped([](double v) { return .1 * v; }, normal_matrix<double>(k, 1, seed(652)));
  auto const u_bar = normal_matrix<double>(k, N, seed(653));
  struct Numbers {
    double lambda = .05, alpha = .2, beta = .1;
  };
  auto const problem = [&](HostMatrix<double> const& D_, HostMatrix<double> const& d_, Numbers n) {
    return Synthesis<B>{to_device(b, D_), n.alpha, n.beta, n.lambda, to_device(b, d_)};
  };
  auto const solve = [&](HostMatrix<double> const& D_, HostMatrix<double> const& d_, Numbers n,
                         HostMatrix<double> const& x_) {
    return host(b, require_optimal(exact_synthesis(b, problem(D_, d_, n), to_device(b, x_))).u);
  };
  auto const u = solve(D, d, {}, x);
  REQUIRE(max_abs(u) > 0);
  auto const bar =
      exact_synthesis_pullback(b, problem(D, d, {}), to_device(b, x), to_device(b, u), to_device(b, u_bar));
  auto const number = [&](Matrix<B> const& v) { return host(b, v)(0, 0); };
  auto const agree = [&](double analytic, auto&& f) {
    CHECK(analytic == doctest::Approx(central_difference(u_bar, h, f)).epsilon(difference_error));
  };
  for (std::uint64_t n = 0; n < 3; ++n) {
    auto const dx = normal_matrix<double>(m, N, seed(660 + n)),
               dD = normal_matrix<double>(m, k, seed(670 + n));
    auto const dd = normal_matrix<double>(k, 1, seed(680 + n));
    agree(inner(host(b, bar.X_bar), dx), [&](double t) { return solve(D, d, {}, along(x, t, dx)); });
    agree(inner(host(b, bar.D_bar), dD), [&](double t) { return solve(along(D, t, dD), d, {}, x); });
    agree(inner(host(b, bar.d_bar), dd), [&](double t) { return solve(D, along(d, t, dd), {}, x); });
  }
  agree(number(bar.lambda_bar), [&](double t) { return solve(D, d, {.lambda = .05 + t}, x); });
  agree(number(bar.alpha_bar), [&](double t) { return solve(D, d, {.alpha = .2 + t}, x); });
  agree(number(bar.beta_bar), [&](double t) { return solve(D, d, {.beta = .1 + t}, x); });
}

TEST_CASE_TEMPLATE("(A2) an empty support has no derivative to pass on; NaN goes through; shapes are checked",
                   B, BACKENDS) {
  B b;
  DenseMetric<B> const Q(b, to_device(b, identity<double>(3)));
  NonnegativeElasticNet<B> const psi(b, 3, 5., 0.);
  auto const ones = to_device(b, HostMatrix<double>(3, 2, 1));
  auto const bar = exact_prox_pullback(b, Q, psi, ones, zeros(b, 3, 2), ones);
  CHECK(max_abs(host(b, bar.z_bar)) == 0);
  CHECK(max_abs(host(b, bar.Q_bar)) == 0);
  auto const nan = to_device(b, HostMatrix<double>(3, 2, std::numeric_limits<double>::quiet_NaN()));
  CHECK(std::isnan(host(b, exact_prox_pullback(b, Q, psi, ones, nan, ones).z_bar)(0, 0)));
  check_throws_with<ShapeError>([&] { exact_prox_pullback(b, Q, psi, ones, zeros(b, 3, 1), ones); },
                                "u is 3 x 1");
}

}  // namespace detrame
