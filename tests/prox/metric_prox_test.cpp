// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "laws/archetype.hpp"
#include "laws/prox_laws.hpp"

namespace detrame {

using namespace detrame::test;

using formula::NonnegativeShrinkage;

#define TWO Problem<Cpu<double>, NonnegativeShrinkage>, Problem<archetype::Loops<float>, NonnegativeShrinkage>

TEST_CASE_TEMPLATE("(M3) <Q (z - u), y - u> + psi(u) <= psi(y) for every y in the domain", P, TWO) {
  typename P::Backend b;
  laws::variational_inequality(medium_problem<P>(b));
}

TEST_CASE_TEMPLATE("(C4) |u - u*| <= residual / (lambda_min + beta), wherever a run is stopped", P, TWO) {
  typename P::Backend b;
  laws::residual_bounds_the_distance(medium_problem<P>(b));
}

TEST_CASE_TEMPLATE("(M5) T updates of metric_prox are T updates of eq. (20) with the tied parameters", P,
                   TWO) {
  typename P::Backend b;
  laws::updates_are_eq_20(medium_problem<P>(b, 40));
}

TEST_CASE_TEMPLATE("(M4) u is the prox if and only if it is a fixed point of Theorem 4.1, row by row", P,
                   TWO) {
  typename P::Backend b;
  using A = typename P::Activation;
  using Scalar = typename P::Scalar;
  auto const p = medium_problem<P>(b);
  auto const defect =
      [&](HostMatrix<double> const& u) {  // (q_ii + beta) (u_i - the right side of the theorem)
        auto const g = p.gradient(u);
        return host_matrix<double>(12, 9, [&](Index i, Index j) {
          double const s = p.Q_host(i, i) + p.beta;
          return s * (u(i, j) - A{}((p.Q_host(i, i) * u(i, j) - g(i, j)) / s, p.lambda / s));
        });
      };
  auto const subgradient = [&](HostMatrix<double> const& u) {
    auto const g = p.gradient(u);
    return mapped([&](double ui, double v) { return formula::Subgradient<A>{}(ui, v, p.lambda, p.beta); }, u,
                  g);
  };
  auto const u_star = p.solution();
  CHECK(max_abs(defect(u_star)) <= P::reachable + static_cast<double>(tolerance<Scalar>(12, 10)));
  for (std::uint64_t n = 0; n < 20;
       ++n) {  // elsewhere: the defect is 0 where the subgradient is, and only there
    auto const y =
        mapped([](double a, double x) { return A::two_sided ? a * x : std::max(a * x, 0.); },
               normal_matrix<double>(12, 9, seed(240 + n)),
               mapped([](double x) { return double(x > 0); }, normal_matrix<double>(12, 9, seed(270 + n))));
    auto const e = defect(y), r = subgradient(y);
    REQUIRE(max_abs(r) > .1);
    for (Index j = 0; j < 9; ++j)
      for (Index i = 0; i < 12; ++i) {
        CHECK(std::abs(e(i, j)) <= std::abs(r(i, j)) + tolerance<double>(12, 10));
        CHECK((std::abs(e(i, j)) > 1e-9) == (std::abs(r(i, j)) > 1e-9));
      }
  }
}

TEST_CASE_TEMPLATE("(F1) the fixed points of the recursion solve w = M u + q >= 0, u >= 0, <u, w> = 0", P,
                   TWO) {
  typename P::Backend b;
  auto const p = medium_problem<P>(b);
  auto const u = p.solution();
  auto const tied = tie(b, p.Q, p.psi, coordinate_step(b, p.Q));
  auto const host = [&](Matrix<typename P::Backend> const& m) {
    return rounded<double>(to_host(b, ConstView<typename P::Backend>(m)));
  };
  auto const W = host(tied.W_tilde), h = host(tied.h), shift = host(tied.b), z = host(p.z);
  auto const Wu = product(W, u), Wz = product(W, z);
  auto const w = [&](Index i, Index j, double ui) {
    return ui - Wu(i, j) - (h(i, 0) * z(i, j) - Wz(i, j) - shift(i, 0));
  };
  double const tol =
      P::reachable / .2 + static_cast<double>(tolerance<typename P::Scalar>(12, 10));  // q_ii + beta > .2
  Index complementary = 0;
  for (Index j = 0; j < 9; ++j)
    for (Index i = 0; i < 12; ++i) {
      CHECK(w(i, j, u(i, j)) >= -tol);
      CHECK(std::abs(u(i, j) * w(i, j, u(i, j))) <= tol);
      complementary += u(i, j) == 0 && w(i, j, 0) > tol;
    }
  CHECK(complementary > 0);
}

TEST_CASE_TEMPLATE("(M3) alpha into beta, scale, permutation, split and blocks change nothing", P, TWO) {
  typename P::Backend b;
  using B = typename P::Backend;
  using Scalar = typename P::Scalar;
  auto const p = medium_problem<P>(b);
  auto const solved = [&](P const& q) { return q.solution(); };
  auto const u = solved(p);
  // |u - u'| <= bound + bound', and one rounding of the data
  double const tol =
      4 * (sizeof(Scalar) == 8 ? 1e-12 : 2e-5) / .1 + static_cast<double>(tolerance<Scalar>(12 * 20, 3));

  // alpha -> beta: Q - .02 I and beta + .02 with the same Q z
  auto const lower =
      host_matrix<double>(12, 12, [&](Index i, Index j) { return p.Q_host(i, j) - (i == j ? .02 : 0); });
  Matrix<typename P::Backend> z = zeros(b, 12, 9);
  REQUIRE(definite_solve(b, to_device(b, rounded<Scalar>(lower)),
                         to_device(b, rounded<Scalar>(product(p.Q_host, p.z_host))), z));
  P const shifted(b, lower, rounded<double>(to_host(b, ConstView<B>(z))), p.lambda, p.beta + .02);
  CHECK(max_abs_difference(solved(shifted), u) <= tol);

  // (Q, lambda, beta) -> 4 (Q, lambda, beta)
  P const scaled(b, mapped([](double q) { return 4 * q; }, p.Q_host), p.z_host, 4 * p.lambda, 4 * p.beta);
  CHECK(max_abs_difference(solved(scaled), u) <= tol);

  // atoms in reverse
  auto const reversed = [](HostMatrix<double> const& m, bool both) {
    return host_matrix<double>(m.rows(), m.cols(), [&](Index i, Index j) {
      return m(m.rows() - 1 - i, both ? m.cols() - 1 - j : j);
    });
  };
  P const backwards(b, reversed(p.Q_host, true), reversed(p.z_host, false), p.lambda, p.beta);
  CHECK(max_abs_difference(solved(backwards), reversed(u, false)) <= tol);

  // a column alone
  P const alone(b, p.Q_host, host_matrix<double>(12, 1, [&](Index i, Index) { return p.z_host(i, 4); }),
                p.lambda, p.beta);
  CHECK(max_abs_difference(solved(alone),
                           host_matrix<double>(12, 1, [&](Index i, Index) { return u(i, 4); })) <= tol);

  // blocks: each as if it were alone
  HostMatrix<double> blocks(4, 12);
  for (Index g = 0; g < 3; ++g) {
    auto const Q_g = definite_matrix<double>(4, 10, seed(static_cast<std::uint64_t>(420 + g)));
    for (Index j = 0; j < 4; ++j)
      for (Index i = 0; i < 4; ++i) blocks(i, 4 * g + j) = Q_g(i, j);
  }
  BlockDiagonalMetric<B> const block_metric(b, to_device(b, rounded<Scalar>(blocks)));
  for (By scheme : {By::gershgorin, By::gauss_seidel, By::fista}) {
    Until const seven{.tolerance = 0, .limit = 7};
    auto const all = p.on_host(p.solve(block_metric, scheme, seven).u);
    for (Index g = 0; g < 3; ++g) {
      P const one(b, host_matrix<double>(4, 4, [&](Index i, Index j) { return blocks(i, 4 * g + j); }),
                  host_matrix<double>(4, 9, [&](Index i, Index j) { return p.z_host(4 * g + i, j); }),
                  p.lambda, p.beta);
      CHECK(max_abs_difference(one.on_host(one.solve(scheme, seven).u),
                               host_matrix<double>(4, 9, [&](Index i, Index j) {
                                 return all(4 * g + i, j);
                               })) <= static_cast<double>(tolerance<Scalar>(4 * 8, 3)));
    }
  }
}

TEST_CASE("(M3) the bits do not depend on the number of threads, nor z on the call") {
  Cpu<double> one(1);
  Problem<Cpu<double>, NonnegativeShrinkage> const p =
      gaussian_problem(one, 64, 64, 300, Signals::of_30_percent_of_the_atoms, 430);
  auto const z_before = to_host(one, Cpu<double>::ConstView(p.z));
  for (By scheme : safe_schemes) {
    auto const u = p.solve(scheme, Until{.limit = 20});
    for (int threads : {2, 3}) {
      Cpu<double> team(threads);
      auto const v = Problem<Cpu<double>, NonnegativeShrinkage>(team, p.Q_host, p.z_host, p.lambda, p.beta)
                         .solve(scheme, Until{.limit = 20});
      CHECK(u.u == v.u);
      CHECK(u.residual == v.residual);
    }
  }
  CHECK(to_host(one, Cpu<double>::ConstView(p.z)) == z_before);
}

}  // namespace detrame
