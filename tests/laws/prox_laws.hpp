// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/prox/unrolled.hpp"
#include "prox/problem.hpp"

/// What metric_prox promises of every problem, run over backends and penalties; p is a medium_problem.
namespace detrame::laws {

using namespace detrame::test;

inline Index count_zeros(HostMatrix<double> const& u) {
  Index count = 0;
  for (Index j = 0; j < u.cols(); ++j)
    for (Index i = 0; i < u.rows(); ++i) count += u(i, j) == 0;
  return count;
}

/// (M3) <Q (z - u), y - u> + psi(u) <= psi(y) for every y in the domain
template <class P>
void variational_inequality(P const& p) {
  for (By recursion : safe_recursions) {
    CAPTURE(recursion);
    auto const result = p.solve(recursion, Until{.limit = 5000});
    REQUIRE(result.status == Status::residual_reached);
    auto const u = p.on_host(result.u);  // 12 x 9
    REQUIRE((count_zeros(u) > 0 && count_zeros(u) < 12 * 9));
    auto const g = p.gradient(u);
    for (std::uint64_t n = 0; n < 30; ++n) {
      auto y = normal_matrix<double>(12, 9, seed(210 + n));
      if (n % 2) y = mapped([](double ui, double yi) { return ui + .01 * yi; }, u, y);  // near by, too
      if (!P::Activation::two_sided) y = mapped([](double yi) { return std::max(yi, 0.); }, y);
      for (Index j = 0; j < 9; ++j) {
        double lhs = p.value(u, j), distance = 0;
        for (Index i = 0; i < 12; ++i) {
          lhs -= g(i, j) * (y(i, j) - u(i, j));
          distance += (y(i, j) - u(i, j)) * (y(i, j) - u(i, j));
        }
        double const slack =
            static_cast<double>(result.residual) * p.terms() * std::sqrt(distance);  // by its definition
        CHECK(lhs <= p.value(y, j) + slack + static_cast<double>(tolerance<typename P::Scalar>(12, 10)));
      }
    }
  }
}

/// (C4) |u - u*| <= residual / (lambda_min + beta), wherever a run is stopped
template <class P>
void residual_bounds_the_distance(P const& p) {
  auto& b = p.b;
  using Scalar = typename P::Scalar;
  auto const u_star = p.solution();
  double const own = P::reachable / .1;  // how far u_star itself may be: lambda_min + beta = .1
  for (By recursion : {By::jacobi, By::forward_backward, By::gershgorin, By::gauss_seidel, By::fista})
    for (Index limit : {0, 1, 2, 3, 7, 20, 60}) {
      auto const result = p.solve(recursion, Until{.tolerance = 0, .limit = limit});
      auto const u = p.on_host(result.u);
      double farthest = 0;
      for (Index j = 0; j < 9; ++j) {
        double square = 0;
        for (Index i = 0; i < 12; ++i) square += (u(i, j) - u_star(i, j)) * (u(i, j) - u_star(i, j));
        farthest = std::max(farthest, std::sqrt(square));
      }
      double const size = max_abs(u) + max_abs(u_star);
      CHECK(farthest <=
            static_cast<double>(result.bound) + own + static_cast<double>(tolerance<Scalar>(12 * 20, size)));
      if (limit == 0) CHECK(farthest > static_cast<double>(result.bound) / 100);  // not vacuous
      auto const r = to_host(b, ConstView<typename P::Backend>(residual(b, p.Q, p.psi, p.z, result.u)));
      CHECK(max_abs(r) == doctest::Approx(static_cast<double>(result.residual)).epsilon(1e-3));
    }
}

/// (M5) T updates of metric_prox are T updates of eq. (20) with the tied parameters
template <class P>
void updates_are_eq_20(P const& p) {
  auto& b = p.b;
  using Scalar = typename P::Scalar;
  auto const check = [&](auto const& recursion, auto unroll) {
    auto const result = metric_prox(b, p.Q, p.psi, p.z, recursion, unroll);
    CHECK(result.status == Status::unrolled);
    CHECK(result.iterations == decltype(unroll)::updates);
    auto const tied = tie(b, p.Q, p.psi, recursion.tied_step(b, p.Q));
    auto U = zeros(b, 12, 40);
    unrolled_prox(b, tied.structure, typename P::Activation{}, tied.W_tilde, tied.h, tied.b, p.z,
                  result.iterations, U);
    auto const size = static_cast<double>(max_abs(to_host(b, ConstView<typename P::Backend>(U))));
    CHECK(max_abs_difference(b, result.u, U) <= tolerance<Scalar>(12 * 8, size));
  };
  check(Jacobi{}, Unroll<0>{});
  check(Jacobi{}, Unroll<1>{});
  check(Jacobi{}, Unroll<6>{});
  check(Gershgorin{}, Unroll<5>{});
  check(ForwardBackward{.1}, Unroll<5>{});
}

}  // namespace detrame::laws
