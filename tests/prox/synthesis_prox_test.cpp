// SPDX-License-Identifier: Apache-2.0
#include "detrame/prox/synthesis_prox.hpp"

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/metric/transform.hpp"
#include "laws/archetype.hpp"
#include "laws/prox_laws.hpp"

namespace detrame {

using namespace detrame::test;

#define FOUR                                                  \
  NonnegativeElasticNet<Cpu<double>>, ElasticNet<Cpu<float>>, \
      NonnegativeElasticNet<archetype::Loops<float>>, ElasticNet<archetype::Loops<double>>

namespace {

/// Seven data, twelve atoms, shifts of both signs, five columns.
template <class P>
struct Codes {
  using B = typename P::Backend;
  using Scalar = typename P::Scalar;
  B b;
  HostMatrix<double> D = normal_matrix<double>(7, 12, seed(740)),
                     d = mapped([](double v) { return .1 * v; }, normal_matrix<double>(12, 1, seed(741))),
                     x = normal_matrix<double>(7, 5, seed(742));
  double alpha = .25, beta = .0625, lambda = .2;

  /// Atoms times s, data times s t, penalties times s^2, lambda and d times t besides.
  template <class R>
  ProxResult<B> solve(R const& scheme, double s = 1, double t = 1, Until const& until = {}) {
    auto const times = [](double c) { return [=](double a) { return c * a; }; };
    Synthesis<B> const p{in_memory_of(b, mapped(times(s), D)), static_cast<Scalar>(s * s * alpha), 0, 0,
                         in_memory_of(b, mapped(times(s * s * t), d))};
    P const psi(b, 12, static_cast<Scalar>(s * s * t * lambda), static_cast<Scalar>(s * s * beta));
    return synthesis_prox(b, p, psi, in_memory_of(b, mapped(times(s * t), x)), scheme, until);
  }
};

}  // namespace

TEST_CASE_TEMPLATE(
    "(M2) the codes are prox^Q_psi(F x - c), by every recursion that converges, within both bounds", P,
    FOUR) {
  using B = typename P::Backend;
  using Scalar = typename P::Scalar;
  Codes<P> codes;
  auto& b = codes.b;
  Synthesis<B> const p{in_memory_of(b, codes.D), static_cast<Scalar>(codes.alpha), 0, 0,
                       in_memory_of(b, codes.d)};
  auto const [F, c] = transform(b, p);
  auto const z = mapped(
      [](double f, double shift) { return f - shift; }, product(in_double<B>(b, ConstView<B>(F)), codes.x),
      host_matrix<double>(
          12, 5, [c_host = in_double<B>(b, ConstView<B>(c))](Index i, Index) { return c_host(i, 0); }));
  P const psi(b, 12, static_cast<Scalar>(codes.lambda), static_cast<Scalar>(codes.beta));
  auto const Q = p.metric(b);
  auto const by_z = metric_prox(b, Q, psi, in_memory_of(b, z), GaussSeidel{});
  REQUIRE(by_z.status == Status::residual_reached);
  REQUIRE(laws::count_zeros(in_double<B>(b, ConstView<B>(by_z.u))) > 0);
  auto const check = [&](auto const& scheme) {
    auto const codes_by = codes.solve(scheme);
    CHECK(codes_by.status == Status::residual_reached);
    double const apart = static_cast<double>(max_abs_difference(b, codes_by.u, by_z.u));
    double const rounding = static_cast<double>(tolerance<Scalar>(12 * 100, 3));  // cond(Q) < 100 goes into z
    CHECK(apart <= static_cast<double>(codes_by.bound + by_z.bound) + rounding);
    CHECK(static_cast<double>(codes_by.bound) < (sizeof(Scalar) == 8 ? 1e-6 : .1));  // not vacuous
  };
  check(Gershgorin{});
  check(GaussSeidel{});
  check(Fista{});
}

TEST_CASE_TEMPLATE("(U2) D, x by 2^n and alpha, beta, lambda, d by 4^n; x, lambda, d by 2^n: the same bits",
                   P, FOUR) {
  Codes<P> codes;
  auto const check = [&](auto const& scheme) {
    for (Until const& until : {Until{.tolerance = 1e-3}, Until{.tolerance = 0, .limit = 200}}) {
      auto const here = codes.solve(scheme, 1, 1, until);
      for (double s : {std::ldexp(1., -12), 4., std::ldexp(1., 11)}) {
        laws::same_in_other_units(codes.b, here, codes.solve(scheme, s, 1, until), 1);
        laws::same_in_other_units(codes.b, here, codes.solve(scheme, 1, s, until), s);
      }
    }
  };
  check(Jacobi{});
  check(Gershgorin{});
  check(GaussSeidel{});
  check(Fista{});
}

TEST_CASE_TEMPLATE(
    "(U1) |r| <= tolerance |t(0)| in the terms of D, x and d, and one huge d_i does not void it", P, FOUR) {
  using B = typename P::Backend;
  using Scalar = typename P::Scalar;
  Codes<P> codes;
  auto& b = codes.b;
  constexpr bool two_sided = P::Activation::two_sided;
  if (!two_sided) codes.d(3, 0) = 1e12;
  auto const result = codes.solve(Gershgorin{}, 1, 1, Until{.tolerance = 1e-3});
  REQUIRE(result.status == Status::residual_reached);
  auto const u = in_double<B>(b, ConstView<B>(result.u));
  auto const Du = product(codes.D, u);
  double largest = 0;
  for (Index j = 0; j < 5; ++j) {
    double r2 = 0, t2 = 0;
    for (Index i = 0; i < 12; ++i) {
      double const d_i = codes.d(i, 0);
      double v = codes.alpha * u(i, j) + d_i, p = two_sided ? std::abs(d_i) : std::max(-d_i, 0.);
      for (Index l = 0; l < 7; ++l) {
        v += codes.D(l, i) * (Du(l, j) - codes.x(l, j));
        p += std::abs(codes.D(l, i) * codes.x(l, j));
      }
      double const shrinkage = codes.lambda + (two_sided ? 0 : std::max(d_i, 0.));
      double const r = formula::Subgradient<typename P::Activation>{}(u(i, j), v, codes.lambda, codes.beta);
      r2 += r * r, t2 += (p + std::min(shrinkage, p)) * (p + std::min(shrinkage, p));
    }
    largest = std::max(largest, std::sqrt(r2 / t2));
  }
  CHECK(largest <= 1e-3 + static_cast<double>(tolerance<Scalar>(12, 10)));
  CHECK(std::abs(largest - static_cast<double>(result.residual)) <=
        static_cast<double>(tolerance<Scalar>(12, 10)));
}

TEST_CASE("synthesis_prox refuses what does not fit, and gives products out of range no good status") {
  Cpu<float> b(1);
  Synthesis<Cpu<float>> p{Matrix<Cpu<float>>::Identity(2, 2), .1f, 0, 0, Matrix<Cpu<float>>::Zero(2, 1)};
  NonnegativeElasticNet<Cpu<float>> const psi(b, 2, .1f, 0), three(b, 3, .1f, 0);
  Matrix<Cpu<float>> const x = Matrix<Cpu<float>>::Ones(2, 1), long_x = Matrix<Cpu<float>>::Ones(3, 1);
  check_throws_with<ShapeError>([&] { synthesis_prox(b, p, psi, long_x, Gershgorin{}); },
                                "synthesis_prox: x has 3 rows, D has 2");
  check_throws_with<ShapeError>([&] { synthesis_prox(b, p, three, x, Gershgorin{}); },
                                "synthesis_prox: psi has 3 rows, D has 2 atoms");
  p.D *= 1e-25f;
  CHECK(synthesis_prox(b, p, psi, Matrix<Cpu<float>>(1e-25f * x), Gershgorin{}).status == Status::not_finite);
  p.D *= 0;
  CHECK(synthesis_prox(b, p, psi, x, Gershgorin{}).status == Status::all_zero);
  p.D(1, 1) = 1;  // x where D is 0: u = 0; a product that underflows beside atoms of usual size: no telling
  Matrix<Cpu<float>> first = x;
  first(1, 0) = 0;
  CHECK(synthesis_prox(b, p, psi, first, Gershgorin{}).status == Status::all_zero);
  p.D(0, 0) = 1e-25f;
  p.alpha = 1e-36f;
  NonnegativeElasticNet<Cpu<float>> const none(b, 2, 0, 0);
  auto const lost = synthesis_prox(b, p, none, Matrix<Cpu<float>>(1e-25f * first), Gershgorin{});
  CHECK(lost.status == Status::not_finite);  // u_0 = 1e-14
  CHECK(std::isnan(lost.u(0, 0)));
}

}  // namespace detrame
