// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/prox/bounds.hpp"
#include "detrame/prox/safe_gamma.hpp"
#include "detrame/prox/unrolled_prox_pullback.hpp"
#include "detrame/robust/lipschitz.hpp"
#include "laws/archetype.hpp"
#include "prox/problem.hpp"

namespace detrame {

using namespace detrame::test;
using formula::NonnegativeShrinkage;
using formula::SoftShrinkage;

#define BACKENDS Cpu<double>, archetype::Loops<float>
#define MODELS Problem<Cpu<double>, NonnegativeShrinkage>, Problem<archetype::Loops<float>, SoftShrinkage>

namespace {

/// max over columns of |A - B|_S
double distance(HostMatrix<double> const& S, HostMatrix<double> const& A, HostMatrix<double> const& B) {
  double largest = 0;
  for (Index j = 0; j < A.cols(); ++j) {
    double square = 0;
    for (Index i = 0; i < A.rows(); ++i) square += S(i, 0) * (A(i, j) - B(i, j)) * (A(i, j) - B(i, j));
    largest = std::max(largest, std::sqrt(square));
  }
  return largest;
}

/// Q with off-diagonal entries of size `coupling`: eq. (24) contracts where it is small.
HostMatrix<double> coupled_matrix(Index k, double coupling, std::uint64_t n) {
  auto const V = normal_matrix<double>(k, 2 * k, seed(n));
  auto const gram = product(V, transposed(V));
  return host_matrix<double>(k, k, [&](Index i, Index j) {
    return i == j ? 1 + .1 * static_cast<double>(i % 3) : coupling * gram(i, j) / static_cast<double>(2 * k);
  });
}

template <class P>
P contracting_problem(typename P::Backend& b) {
  return {b, coupled_matrix(8, .5, 600), normal_matrix<double>(8, 6, seed(601)), .1, .05};
}

}  // namespace

TEST_CASE_TEMPLATE("(C1) an update draws points together by kappa in the norm of S, and W~ attains it", B,
                   BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  for (Index groups : {1, 2}) {  // W~ of any kind: not symmetric in S
    Index const kg = 6, k = groups * kg;
    auto const W = mapped([](double w) { return .3 * w; }, normal_matrix<double>(kg, k, seed(610)));
    auto const S = uniform_matrix<double>(k, 1, seed(611), .2, 3);
    auto const half = HostMatrix<Scalar>(k, 1, Scalar(.5));
    Recurrence<B> const r{{groups}, to_device(b, rounded<Scalar>(W)), to_device(b, half), to_device(b, half)};
    double const kappa = static_cast<double>(contraction_factor(b, r, to_device(b, rounded<Scalar>(S))));
    auto const dense =
        host_matrix<double>(k, k, [&](Index i, Index j) { return i / kg == j / kg ? W(i % kg, j) : 0; });
    HostMatrix<double> const zero(k, 1);
    double attained = 0;
    for (std::uint64_t n = 0; n < 20; ++n) {
      auto const u = normal_matrix<double>(k, 1, seed(620 + n)),
                 v = normal_matrix<double>(k, 1, seed(650 + n)),
                 G = normal_matrix<double>(k, 1, seed(680 + n));
      auto const update = [&](HostMatrix<double> const& x, auto activation) {
        return mapped([&](double w, double g) { return activation(w + g, .1); }, product(dense, x), G);
      };
      double const before = distance(S, u, v);
      CHECK(distance(S, update(u, NonnegativeShrinkage{}), update(v, NonnegativeShrinkage{})) <=
            kappa * before * 1.0001);
      CHECK(distance(S, update(u, SoftShrinkage{}), update(v, SoftShrinkage{})) <= kappa * before * 1.0001);
      auto x = u;  // power iteration on (S^{1/2} W~ S^{-1/2})^T (...)
      for (int step = 0; step < 200; ++step) {
        auto const y = mapped([](double w, double s) { return s * w; }, product(dense, x), S);
        x = mapped([](double w, double s) { return w / s; }, product(transposed(dense), y), S);
        double const size = distance(S, x, zero);
        x = mapped([=](double w) { return w / size; }, x);
      }
      attained = std::max(attained, distance(S, product(dense, x), zero) / distance(S, x, zero));
    }
    CHECK(kappa == doctest::Approx(attained).epsilon(1e-4));
  }
}

TEST_CASE_TEMPLATE("(C1) for eq. (24), kappa < 1 if and only if 2 diag Q + beta I - Q is positive definite",
                   B, BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  Index contracting = 0, trials = 0;
  for (std::uint64_t n = 0; n < 12; ++n)
    for (double coupling : {.3, .7, 1.}) {
      auto const Q = coupled_matrix(5, coupling, 700 + n);
      double const beta = .05;
      auto const device_Q = to_device(b, rounded<Scalar>(Q));
      if (!(symmetric_eigenvalues(b, device_Q).front() > Scalar(.01))) continue;
      DenseMetric<B> const metric(b, device_Q);
      NonnegativeElasticNet<B> const psi(b, 5, Scalar(.1), static_cast<Scalar>(beta));
      auto const condition =
          host_matrix<double>(5, 5, [&](Index i, Index j) { return i == j ? Q(i, i) + beta : -Q(i, j); });
      auto const least =
          static_cast<double>(symmetric_eigenvalues(b, to_device(b, rounded<Scalar>(condition))).front());
      if (std::abs(least) < 1e-4) continue;
      auto const kappa = contraction(b, metric, psi, Jacobi{}).kappa;
      CHECK((kappa < 1) == (least > 0));
      ++trials, contracting += least > 0;
      CHECK(contraction(b, metric, psi, Gershgorin{}).kappa < 1);  // always
    }
  REQUIRE((contracting > 0 && contracting < trials));
}

TEST_CASE_TEMPLATE("(C2) (C3) the bounds hold at every T, and steps_for is enough", P, MODELS) {
  typename P::Backend b;
  using Scalar = typename P::Scalar;
  auto const p = contracting_problem<P>(b);
  auto const u_star = p.solution();
  auto const check = [&](auto const& scheme, By by) {
    auto const known = contraction(b, p.Q, p.psi, scheme);
    REQUIRE(known.kappa < 1);
    auto const S = in_double<typename P::Backend>(b, known.S);
    double const rounding = P::reachable / .2 + static_cast<double>(tolerance<Scalar>(8 * 30, 3));
    auto const u_1 = p.on_host(p.solve(by, Until{.tolerance = 0, .limit = 1}).u);
    auto const start = static_cast<Scalar>(distance(S, u_1, HostMatrix<double>(8, 6)));
    auto last = HostMatrix<double>(8, 6);
    for (Index T = 1; T < 30; ++T) {
      auto const u = p.on_host(p.solve(by, Until{.tolerance = 0, .limit = T}).u);
      double const error = distance(S, u, u_star);
      auto const before = a_priori_bound(b, p.Q, p.psi, p.z, scheme, T);
      REQUIRE(before.has_value());
      CHECK(error <= static_cast<double>(*before) + rounding);
      CHECK(static_cast<double>(*before) ==
            doctest::Approx(static_cast<double>(*a_priori_bound(known.kappa, start, T))).epsilon(1e-4));
      auto const after = a_posteriori_bound(known.kappa, static_cast<Scalar>(distance(S, u, last)));
      CHECK(error <= static_cast<double>(*after) + rounding);
      if (T < 4) CHECK(error > 0.001 * static_cast<double>(*after));  // not vacuous
      last = u;
    }
    for (double wanted : {.3, .01, 1e-3}) {
      auto const T = steps_for(b, p.Q, p.psi, p.z, scheme, static_cast<Scalar>(wanted));
      REQUIRE(T.has_value());
      CHECK(distance(S, p.on_host(p.solve(by, Until{.tolerance = 0, .limit = *T}).u), u_star) <=
            wanted + rounding);
      CHECK(*a_priori_bound(known.kappa, start, *T) <= static_cast<Scalar>(wanted * 1.0001));
      if (*T > 0)
        CHECK(*a_priori_bound(known.kappa, start, *T - 1) >
              static_cast<Scalar>(wanted * .9999));  // and needed
    }
  };
  check(Jacobi{}, By::jacobi);
  check(Gershgorin{}, By::gershgorin);
}

TEST_CASE("(C2) (C3) where kappa >= 1 there is no bound, not a number") {
  for (double kappa :
       {1., 1.5, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    CHECK_FALSE(a_priori_bound(kappa, 1., 1000).has_value());
    CHECK_FALSE(a_posteriori_bound(kappa, 1e-9).has_value());
    CHECK_FALSE(steps_for(kappa, 1., .1).has_value());
  }
  CHECK(*a_priori_bound(.5, 3., 0) == doctest::Approx(6).epsilon(1e-14));
  CHECK(*a_priori_bound(0., 3., 1) == 0);
  CHECK(*a_posteriori_bound(.5, 3.) == doctest::Approx(3).epsilon(1e-14));
  CHECK(*steps_for(.5, 1., 1.001 / 512) == 10);  // 2^{1-T} <= 2^{-9}
  CHECK(*steps_for(0., 1., .1) == 1);
  CHECK(*steps_for(.5, 0., .1) == 0);
  check_throws_with<DomainError>([] { steps_for(.5, 1., 0.); }, "steps_for: tolerance = 0, must be > 0");
  Cpu<double> b(1);
  auto const p = coherent_problem(b);
  CHECK(contraction(b, p.Q, p.psi, Jacobi{}).kappa == doctest::Approx(1.8 / 1.01));
  CHECK_FALSE(a_priori_bound(b, p.Q, p.psi, p.z, Jacobi{}, 100).has_value());
  CHECK_FALSE(steps_for(b, p.Q, p.psi, p.z, Jacobi{}, .1).has_value());
}

TEST_CASE("(C2) (C3) bounds are upper bounds or infinite: never 0 by underflow, and steps_for ends") {
  constexpr double tiny = std::numeric_limits<double>::min(),
                   infinity = std::numeric_limits<double>::infinity();
  CHECK(*a_priori_bound(.5, 1., 1000000) == tiny);
  CHECK(*a_priori_bound(.5, 1e300, 1900) == doctest::Approx(2e300 * 0x1p-1000 * 0x1p-900).epsilon(1e-9));
  CHECK(*a_priori_bound(.5f, 1.f, 140) == std::numeric_limits<float>::min());  // 2^-139
  CHECK(*a_posteriori_bound(.5, 1e-310) == tiny);
  CHECK(*a_priori_bound(.5, 0., 3) == 0);
  CHECK(*a_priori_bound(.5, infinity, 3) == infinity);
  CHECK(std::isnan(*a_priori_bound(.5, std::nan(""), 3)));
  CHECK_FALSE(steps_for(.5, infinity, .1).has_value());
  CHECK_FALSE(steps_for(.5, std::nan(""), .1).has_value());
  CHECK_FALSE(steps_for(.5, 1., 1e-310).has_value());  // no bound is as small
  CHECK(*steps_for(.5, 1., 1.001 * tiny) == 1023);     // 2^{1 - 1023} = tiny
  for (double kappa : {.999, 1 - 1e-9, 1 - 1e-15})
    for (double size : {1e-200, 1., 1e250}) {
      Index const T = *steps_for(kappa, size, 1e-3 * size);
      CHECK(*a_priori_bound(kappa, size, T) <= 1e-3 * size);
      if (kappa < 1 - 1e-12) CHECK(*a_priori_bound(kappa, size, T - 1) > 1e-3 * size);
    }
  check_throws_with<DomainError>([] { steps_for(.5, 1., std::numeric_limits<double>::infinity()); },
                                 "steps_for: tolerance = inf, must be > 0 and finite");
  check_throws_with<DomainError>([] { steps_for(.5, 1., std::nan("")); }, "steps_for: tolerance = nan");
  check_throws_with<DomainError>([] { a_priori_bound(.5, 1., -1); }, "a_priori_bound: T = -1, must be >= 0");
  // a length beside the end of the range: 1e309 .9^T
  Cpu<double> b(1);
  CHECK(*a_priori_bound(.9, 1e308, 0) == infinity);
  CHECK(*a_priori_bound(.9, 1e308, 6570) ==
        doctest::Approx(1e308 * std::pow(.9, 6000) * 10 * std::pow(.9, 570)).epsilon(1e-9));
  for (double kappa : {.9, 1 - 1e-15}) {
    Index const T = *steps_for(kappa, 1e308, tiny);
    CHECK(*a_priori_bound(kappa, 1e308, T) == tiny);
    if (kappa == .9) CHECK(*a_priori_bound(kappa, 1e308, T - 1) > tiny);
  }
  // rounded up, beside the same in double
  for (int n = 1; n < 200; ++n) {
    float const size = static_cast<float>(n) / 7;
    double const c = static_cast<double>(.3f);
    CHECK(static_cast<double>(*a_priori_bound(.3f, size, 2)) >= static_cast<double>(size) * c * c / (1 - c));
    CHECK(static_cast<double>(*a_posteriori_bound(.3f, size)) >= static_cast<double>(size) * c / (1 - c));
    CHECK(static_cast<double>(fista_bound(size, 2)) >=
          2 * static_cast<double>(size) * static_cast<double>(size) / 9);
    CHECK(static_cast<double>(lipschitz_bound(size, .1f)) >=
          1 / (2 * std::sqrt(static_cast<double>(size) + static_cast<double>(.1f))));
  }
  CHECK(*a_posteriori_bound(1e-200, 1e-200) == tiny);
  CHECK(*a_posteriori_bound(0., 1.) == 0);
  CHECK(*a_posteriori_bound(.5, 0.) == 0);
  CHECK(fista_bound(1e-200, 1) == tiny);
  CHECK(fista_bound(0., 1) == 0);
  CHECK(*a_priori_bound(.75f, std::numeric_limits<float>::max(), 0) ==
        std::numeric_limits<float>::infinity());
  CHECK(norm(b, to_device(b, HostMatrix<double>(1, 1, 1e-300)),
             to_device(b, HostMatrix<double>(1, 1, 1e-300))) >= tiny);
  // what is not finite comes out, also where kappa = 0
  for (double kappa : {0., .5}) {
    CHECK(std::isnan(*a_priori_bound(kappa, std::nan(""), 1)));
    CHECK(std::isnan(*a_posteriori_bound(kappa, std::nan(""))));
    CHECK(*a_priori_bound(kappa, infinity, 1) == infinity);
    CHECK(*a_posteriori_bound(kappa, infinity) == infinity);
  }
  // lengths whose squares leave the range
  HostMatrix<double> const S(2, 1, 4.);
  for (double scale : {1e-200, 1e200}) {
    double const length = norm(b, to_device(b, S), to_device(b, HostMatrix<double>(2, 1, scale)));
    CHECK(length >= std::sqrt(8.) * scale);
    CHECK(length <= std::sqrt(8.) * scale * (1 + 1e-14));
  }
  check_throws_with<ShapeError>([&] { norm(b, zeros(b, 3, 1), zeros(b, 2, 1)); },
                                "norm: S is 3 x 1, u has 2 rows");
  check_throws_with<ShapeError>([&] { norm(b, to_device(b, S), zeros(b, 2, 5), 2); },
                                "norm: u has 5 columns, must be a multiple of 2");
}

TEST_CASE_TEMPLATE("(C5) FISTA: F(U_T) - F* <= 2 |U*|_Theta^2 / (T + 1)^2 at every T", P, MODELS) {
  typename P::Backend b;
  P const p(b, definite_matrix<double>(10, 1000, seed(620)), normal_matrix<double>(10, 1, seed(621)), .02, 0);
  auto const u_star = p.solution();
  auto const Theta = in_double<typename P::Backend>(b, absolute_row_sums(b, p.Q));
  auto const objective = [&](HostMatrix<double> const& u) {
    auto const g = p.gradient(u);
    double sum = p.value(u, 0);
    for (Index i = 0; i < 10; ++i) sum += .5 * g(i, 0) * (u(i, 0) - p.z_host(i, 0));
    return sum;
  };
  double const least = objective(u_star), size = distance(Theta, u_star, HostMatrix<double>(10, 1));
  double const rounding = static_cast<double>(tolerance<typename P::Scalar>(10 * 60, 1));
  Index nearly = 0;
  for (Index T = 1; T < 60; ++T) {
    double const excess =
        objective(p.on_host(p.solve(By::fista, Until{.tolerance = 0, .limit = T}).u)) - least;
    CHECK(excess <= fista_bound(size, T) + rounding);
    nearly += excess > .02 * fista_bound(size, T);
  }
  CHECK(nearly > 0);  // not vacuous
  check_throws_with<DomainError>([] { fista_bound(1., 0); }, "fista_bound: T = 0, must be >= 1");
}

TEST_CASE_TEMPLATE("(C5) FISTA is the textbook's, with the gradient at the extrapolated point", P, MODELS) {
  typename P::Backend b;
  auto const p = contracting_problem<P>(b);
  auto const Theta = in_double<typename P::Backend>(b, absolute_row_sums(b, p.Q));
  HostMatrix<double> u(8, 6), y(8, 6);
  double s = 1;
  for (Index T = 1; T < 12; ++T) {
    auto const v = p.gradient(y);
    auto const next = host_matrix<double>(8, 6, [&](Index i, Index j) {
      double const S = Theta(i, 0) + p.beta;
      return typename P::Activation{}((Theta(i, 0) * y(i, j) - v(i, j)) / S, p.lambda / S);
    });
    double const s_next = (1 + std::sqrt(1 + 4 * s * s)) / 2;
    y = mapped([=](double a, double c) { return a + (s - 1) / s_next * (a - c); }, next, u);
    u = next, s = s_next;
    auto const ours = p.on_host(p.solve(By::fista, Until{.tolerance = 0, .limit = T}).u);
    CHECK(max_abs_difference(ours, u) <= static_cast<double>(tolerance<typename P::Scalar>(8 * 2 * T, 3)));
  }
}

TEST_CASE_TEMPLATE("(C6) forward-backward converges below safe_gamma, and need not above", P, MODELS) {
  typename P::Backend b;
  using Scalar = typename P::Scalar;
  P const p(b, definite_matrix<double>(7, 30, seed(630)),
            mapped([](double x) { return std::abs(x); }, normal_matrix<double>(7, 4, seed(631))), 0, 0);
  Scalar const gamma = safe_gamma(b, p.Q, diagonal(b, p.Q));
  auto const run = [&](double share) {
    return metric_prox(b, p.Q, p.psi, p.z, ForwardBackward{share * static_cast<double>(gamma)},
                       Until{.tolerance = 1e-4, .limit = 20000})
        .status;
  };
  CHECK(run(.05) == Status::residual_reached);
  CHECK(run(.5) == Status::residual_reached);
  CHECK(run(.99) == Status::residual_reached);
  CHECK(run(1.05) >= Status::cycling);  // lambda = beta = 0 and all of z active: nothing helps
  CHECK(contraction(b, p.Q, p.psi, ForwardBackward{.99 * static_cast<double>(gamma)}).kappa < 1);
  CHECK(contraction(b, p.Q, p.psi, ForwardBackward{1.01 * static_cast<double>(gamma)}).kappa > 1);
  check_throws_with<ShapeError>([&] { safe_gamma(b, p.Q, zeros(b, 3, 1)); },
                                "safe_gamma: Theta is 3 x 1, must be 7 x 1");
  check_throws_with<DomainError>([&] { safe_gamma(b, p.Q, zeros(b, 7, 1)); },
                                 "safe_gamma: Theta(0) = 0, must be > 0");
}

TEST_CASE_TEMPLATE("(C6) with beta, safe_gamma is where kappa passes 1; it is infinite where Q <= diag beta",
                   P, MODELS) {
  typename P::Backend b;
  using Scalar = typename P::Scalar;
  P const p(b, definite_matrix<double>(7, 30, seed(630)), normal_matrix<double>(7, 4, seed(631)), .1, .05);
  auto const Theta = in_memory_of(b, uniform_matrix<double>(7, 1, seed(632), .05, .3));
  double const plain = static_cast<double>(safe_gamma(b, p.Q, Theta));
  auto const kappa = [&](auto const& psi, double gamma) {
    Step<typename P::Backend> const step{static_cast<Scalar>(gamma), Theta};
    auto const S = host_matrix<Scalar>(7, 1, [&](Index i, Index) {
      return to_host(b, ConstView<typename P::Backend>(Theta))(i, 0) +
             step.gamma * to_host(b, psi.beta())(i, 0);
    });
    return static_cast<double>(contraction_factor(b, tie(b, p.Q, psi, step), to_device(b, S)));
  };
  for (double beta : {0., .05, .2, .4}) {
    auto const rows =
        host_matrix<double>(7, 1, [&](Index i, Index) { return beta * static_cast<double>(1 + i % 2); });
    decltype(p.psi) const psi(b, in_memory_of(b, HostMatrix<double>(7, 1, .1)), in_memory_of(b, rows));
    double const gamma = static_cast<double>(safe_gamma(b, p.Q, psi, Theta));
    CHECK(kappa(psi, .999 * gamma) < 1);
    CHECK(kappa(psi, 1.001 * gamma) > 1);
    if (beta == 0) CHECK(gamma == plain);
    if (beta > 0) CHECK(gamma > plain);
  }
  decltype(p.psi) const large(b, 7, Scalar(.1), Scalar(1.125));  // Q <= 1.125
  CHECK(std::isinf(static_cast<double>(safe_gamma(b, p.Q, large, Theta))));
  for (double gamma : {1., 100., 1e4}) CHECK(kappa(large, gamma) < 1);
  // a row that is held at 0 counts as if it were not there
  auto const held = host_matrix<double>(
      7, 1, [](Index i, Index) { return i == 6 ? std::numeric_limits<double>::infinity() : .05; });
  decltype(p.psi) const holds(b, in_memory_of(b, HostMatrix<double>(7, 1, .1)), in_memory_of(b, held));
  P const rest(b, host_matrix<double>(6, 6, [&](Index i, Index j) { return p.Q_host(i, j); }),
               host_matrix<double>(6, 4, [&](Index i, Index j) { return p.z_host(i, j); }), .1, .05);
  auto const Theta_rest = to_device(b, host_matrix<Scalar>(6, 1, [&](Index i, Index) {
                                      return to_host(b, ConstView<typename P::Backend>(Theta))(i, 0);
                                    }));
  CHECK(static_cast<double>(safe_gamma(b, p.Q, holds, Theta)) ==
        doctest::Approx(static_cast<double>(safe_gamma(b, rest.Q, rest.psi, Theta_rest))).epsilon(1e-4));
  decltype(p.psi) const all_held(b, 7, Scalar(.1), std::numeric_limits<Scalar>::infinity());
  CHECK(std::isinf(static_cast<double>(safe_gamma(b, p.Q, all_held, Theta))));
  decltype(p.psi) const short_one(b, 6, Scalar(.1), Scalar(1));
  check_throws_with<ShapeError>([&] { safe_gamma(b, p.Q, short_one, Theta); },
                                "safe_gamma: psi has 6 rows, Q is 7 x 7");
}

TEST_CASE("(A4) rho(W~_AA) < 1 and strict complementarity are not enough: U_T must come to the solution") {
  // Q = .1 I + .9 1 1^T, beta = .01, lambda = .1, z = (1, -.2, -.2): u = (.53465, 0, 0), strictly
  // complementary, and W~_AA = 0; eq. (20) with (24) alternates for ever, and its adjoint with it.
  Cpu<double> b(1);
  auto const z = host_matrix<double>(3, 1, [](Index i, Index) { return i == 0 ? 1 : -.2; });
  Problem<Cpu<double>, NonnegativeShrinkage> const p(
      b, host_matrix<double>(3, 3, [](Index i, Index j) { return i == j ? 1 : .9; }), z, .1, .01);
  auto const u = p.solution();
  CHECK(u(0, 0) == doctest::Approx(.54 / 1.01));
  CHECK((u(1, 0) == 0 && u(2, 0) == 0));
  auto const g = p.gradient(u);
  CHECK((g(1, 0) + .1 > .01 && g(2, 0) + .1 > .01));  // strict complementarity
  auto const tied = tie(b, p.Q, p.psi, coordinate_step(b, p.Q));
  CHECK(to_host(b, ConstView<Cpu<double>>(tied.W_tilde))(0, 0) == 0);  // W~_AA, 1 x 1
  auto const after = [&](Index T) {
    auto U = zeros(b, 3, 1), Z_bar = zeros(b, 3, 1), W_bar = zeros(b, 3, 3), h_bar = zeros(b, 3, 1),
         b_bar = zeros(b, 3, 1);
    auto const U_bar = to_device(b, HostMatrix<double>(3, 1, 1));
    unrolled_prox(b, tied.structure, NonnegativeShrinkage{}, tied.W_tilde, tied.h, tied.b, p.z, T, U);
    unrolled_prox_pullback(b, tied.structure, NonnegativeShrinkage{}, tied.W_tilde, tied.h, tied.b, p.z, T, U,
                           {}, U_bar, Z_bar, W_bar, h_bar, b_bar);
    return std::pair{p.on_host(U), p.on_host(Z_bar)};
  };
  // the implicit adjoint: v = e_1 / 1.01, z_bar = Q v
  auto const limit = host_matrix<double>(3, 1, [](Index i, Index) { return (i == 0 ? 1 : .9) / 1.01; });
  for (Index T : {1000, 1001}) {
    auto const [U, Z_bar] = after(T);
    CHECK(max_abs_difference(U, u) > .1);
    CHECK(max_abs_difference(Z_bar, limit) > .1);
  }
  CHECK(max_abs_difference(after(1000).first, after(1002).first) <= tolerance<double>(9, 1));
  CHECK(max_abs_difference(after(1000).first, after(1001).first) > .1);
  CHECK(contraction(b, p.Q, p.psi, Jacobi{}).kappa > 1);
}

TEST_CASE_TEMPLATE(
    "(E4) (24) with delta: a W~ that is diagonal misses the solution; with 1 - delta it is a fixed point", P,
    MODELS) {
  typename P::Backend b;
  auto const p = contracting_problem<P>(b);
  auto const u = p.solution();
  auto const u_z = mapped([](double x, double y) { return x - y; }, u, p.z_host);
  auto const defect = [&](bool as_printed) {  // of u <- A(h o z + W~ (u - z), b)
    double largest = 0;
    for (Index j = 0; j < 6; ++j)
      for (Index i = 0; i < 8; ++i) {
        double const s = p.Q_host(i, i) + p.beta;
        double t = p.Q_host(i, i) / s * p.z_host(i, j);
        for (Index l = 0; l < 8; ++l)
          if ((i == l) == as_printed) t -= p.Q_host(i, l) / s * u_z(l, j);
        largest = std::max(largest, std::abs(u(i, j) - typename P::Activation{}(t, p.lambda / s)));
      }
    return largest;
  };
  CHECK(defect(true) > .1);
  CHECK(defect(false) <= P::reachable + static_cast<double>(tolerance<typename P::Scalar>(8, 5)));
}

TEST_CASE_TEMPLATE(
    "(E5) (28): gamma = 1.5, Q = 1, Theta = .1 cycles, though the printed bound allows gamma < 2", B,
    BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  DenseMetric<B> const Q(b, to_device(b, HostMatrix<Scalar>(1, 1, 1)));
  NonnegativeElasticNet<B> const psi(b, 1, Scalar(0), Scalar(0));
  auto const Theta = to_device(b, HostMatrix<Scalar>(1, 1, Scalar(.1)));
  // Printed: 2 / |Theta^{-1/2} Q Theta^{1/2}| = 2. Corrected: 2 / |Theta^{-1/2} Q Theta^{-1/2}| = .2
  CHECK(safe_gamma(b, Q, Theta) == doctest::Approx(.2));
  auto const iterate = [&](double gamma,
                           Index T) {  // u <- relu(theta^{-1} (theta u - gamma (u - 1))), u* = 1
    double u = 0;
    for (Index t = 0; t < T; ++t) u = formula::relu((.1 * u - gamma * (u - 1)) / .1);
    return u;
  };
  CHECK(iterate(1.5, 1) == doctest::Approx(15));
  CHECK(iterate(1.5, 1000) == 0);
  CHECK(iterate(1.5, 1001) == doctest::Approx(15));
  CHECK(iterate(.19, 1000) == doctest::Approx(1));
  Step<B> const step{Scalar(1.5), Theta};
  auto const tied = tie(b, Q, psi, step);
  CHECK(contraction_factor(b, tied, Theta) == doctest::Approx(14));
  Step<B> const safe{Scalar(.19), Theta};
  CHECK(contraction_factor(b, tie(b, Q, psi, safe), Theta) == doctest::Approx(.9).epsilon(1e-4));
}

TEST_CASE_TEMPLATE("(E6) (31): with lambda a second time the fixed point is not the prox", P, MODELS) {
  typename P::Backend b;
  auto const p = contracting_problem<P>(b);
  auto const fixed_point =
      [&](double threshold) {  // of u <- A(h z - s v, threshold), v = Q (u - z), Gershgorin's step
        HostMatrix<double> u(8, 6);
        auto const Theta = in_double<typename P::Backend>(b, absolute_row_sums(b, p.Q));
        for (int t = 0; t < 3000; ++t) {
          auto const v = p.gradient(u);
          u = host_matrix<double>(8, 6, [&](Index i, Index j) {
            double const s = Theta(i, 0) + p.beta;
            return typename P::Activation{}((Theta(i, 0) * u(i, j) - v(i, j)) / s, threshold / s);
          });
        }
        return u;
      };
  auto const u = p.solution();
  double const tol = P::reachable / .2 + static_cast<double>(tolerance<typename P::Scalar>(8 * 8, 5));
  CHECK(max_abs_difference(fixed_point(p.lambda), u) <= tol);
  CHECK(max_abs_difference(fixed_point(p.lambda * p.lambda), u) > .01);
}

}  // namespace detrame
