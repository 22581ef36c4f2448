// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/metric/convolutional_metric.hpp"
#include "detrame/metric/gram_metric.hpp"
#include "detrame/prox/contraction.hpp"
#include "detrame/prox/unrolled_prox.hpp"
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
  for (By scheme : safe_schemes) {
    CAPTURE(scheme);
    auto const result = p.solve(scheme, Until{.limit = 5000});
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
  for (By scheme : {By::jacobi, By::forward_backward, By::gershgorin, By::gauss_seidel, By::fista})
    for (Index limit : {0, 1, 2, 3, 7, 20, 60}) {
      auto const result = p.solve(scheme, Until{.tolerance = 0, .limit = limit});
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
  auto const check = [&](auto const& scheme, auto unroll) {
    auto const result = metric_prox(b, p.Q, p.psi, p.z, scheme, unroll);
    CHECK(result.status == Status::unrolled);
    CHECK(result.iterations == decltype(unroll)::updates);
    auto const tied = tie(b, p.Q, p.psi, scheme.tied_step(b, p.Q));
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

// ---- units ------------------------------------------------------------------------------------------------

/// The answer in other units: u and its bound times `scale`, all else to the last bit.
template <Backend B>
void same_in_other_units(B& b, ProxResult<B> const& here, ProxResult<B> const& there, double scale) {
  auto const s = static_cast<typename B::Scalar>(scale);
  CHECK(mapped([=](auto u) { return s * u; }, to_host(b, ConstView<B>(here.u))) ==
        to_host(b, ConstView<B>(there.u)));
  CHECK(here.column_status == there.column_status);
  CHECK(here.iterations == there.iterations);
  CHECK(here.residual == there.residual);
  CHECK(here.bound * s == there.bound);
}

constexpr By all_schemes[] = {By::jacobi, By::forward_backward, By::gershgorin, By::gauss_seidel, By::fista};

/// How runs end in the laws of units: by default, by rounding alone, by the limit.
inline Until const ends[] = {Until{}, Until{.tolerance = 0, .limit = 600}, Until{.limit = 5}};

/// (U2) Q, beta, lambda -> 4^n (Q, beta, lambda)
template <class P>
void scaled_metric_gives_the_same_bits(P const& p) {
  for (int n : {-15, 14}) {
    double const s = std::ldexp(1., 2 * n);
    P const q(p.b, mapped([=](double x) { return s * x; }, p.Q_host), p.z_host, s * p.lambda, s * p.beta);
    for (By scheme : all_schemes)
      for (Until const& until : ends) {
        CAPTURE(n);
        same_in_other_units(p.b, p.solve(scheme, until), q.solve(scheme, until), 1);
      }
  }
}

/// (U2) z, lambda -> 2^n (z, lambda): also by so much that squares of z would leave the range of a float
template <class P>
void scaled_data_give_the_same_bits(P const& p) {
  for (int n : {-70, 80}) {
    double const s = std::ldexp(1., n);
    P const q(p.b, p.Q_host, mapped([=](double x) { return s * x; }, p.z_host), s * p.lambda, p.beta);
    for (By scheme : all_schemes)
      for (Until const& until : ends) {
        CAPTURE(n);
        same_in_other_units(p.b, p.solve(scheme, until), q.solve(scheme, until), s);
      }
  }
}

/// (U2) the metric of a dictionary, applied through Q (m = 9, k = 12) and through D (m = 5)
template <class P>
void scaled_dictionary_gives_the_same_bits(typename P::Backend& b) {
  using B = typename P::Backend;
  for (Index m : {5, 9}) {
    auto const D = normal_matrix<double>(m, 12, seed(730));
    auto Q = product(transposed(D), D);
    for (Index i = 0; i < 12; ++i) Q(i, i) += .25;
    for (int n : {-11, 10}) {
      double const s = std::ldexp(1., n);
      P const p(b, Q, normal_matrix<double>(12, 4, seed(731)), .125, .0625),
          q(b, Q, p.z_host, s * s * p.lambda, s * s * p.beta);
      auto const metric = [&](double scale) {
        return GramMetric<B>(b, in_memory_of(b, mapped([=](double x) { return scale * x; }, D)),
                             static_cast<typename B::Scalar>(scale * scale / 4));
      };
      auto const here = metric(1), there = metric(s);
      for (By scheme : all_schemes)
        same_in_other_units(b, p.solve(here, scheme, {}), q.solve(there, scheme, {}), 1);
    }
  }
}

/// (U2) a convolutional metric: images of 3 x 4, two channels
template <class P>
void scaled_images_give_the_same_bits(typename P::Backend& b) {
  using B = typename P::Backend;
  ConvolutionalBlocks const shape{3, 4, 3, 1};
  auto const weights = host_matrix<double>(2, 18, [](Index i, Index column) {
    return column / 2 == 4 && column % 2 == i ? 2. : (column % 2 == i ? .09375 : -.03125);
  });
  auto const z = normal_matrix<double>(2, 36, seed(732));  // three images
  for (double s : {std::ldexp(1., -30), 8., std::ldexp(1., 26)})
    for (bool data : {false, true}) {
      auto const times = [](double c) { return [=](double x) { return c * x; }; };
      auto const solve = [&](double scale, auto const& scheme) {
        double const of_Q = data ? 1 : scale, of_z = data ? scale : 1;
        ConvolutionalMetric<B> const Q(b, shape, in_memory_of(b, mapped(times(of_Q), weights)));
        SeparablePenalty<B, typename P::Activation> const psi(
            b, 2, static_cast<typename B::Scalar>(.25 * scale), static_cast<typename B::Scalar>(.125 * of_Q));
        return metric_prox(b, Q, psi, in_memory_of(b, mapped(times(of_z), z)), scheme);
      };
      auto const check = [&](auto const& scheme) {
        same_in_other_units(b, solve(1, scheme), solve(s, scheme), data ? s : 1);
      };
      check(Jacobi{});
      check(Gershgorin{});
      check(Fista{});
    }
}

/// (U2) units that are no powers of two: |u s - u'| <= s bound + bound', up to the rounding of the data
template <class P>
void any_unit_gives_the_same_answer(P const& p) {
  using Scalar = typename P::Scalar;
  for (double of_Q : {3.7e-9, 1e8})
    for (double of_z : {3e-7, 7.3e8}) {
      P const q(p.b, mapped([=](double x) { return of_Q * x; }, p.Q_host),
                mapped([=](double x) { return of_z * x; }, p.z_host), of_Q * of_z * p.lambda, of_Q * p.beta);
      for (By scheme : safe_schemes) {
        auto const here = p.solve(scheme), there = q.solve(scheme);
        CHECK(here.status == Status::residual_reached);
        CHECK(there.status == Status::residual_reached);
        double const rounding = static_cast<double>(tolerance<Scalar>(12 * 20, 3)),
                     apart = max_abs_difference(
                         p.on_host(here.u), mapped([=](double u) { return u / of_z; }, q.on_host(there.u)));
        CHECK(apart <= static_cast<double>(here.bound) + static_cast<double>(there.bound) / of_z + rounding);
        CHECK(static_cast<double>(here.bound) < (sizeof(Scalar) == 8 ? 1e-7 : .05));  // not vacuous
      }
    }
}

}  // namespace detrame::laws
