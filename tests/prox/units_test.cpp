// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "laws/archetype.hpp"
#include "laws/prox_laws.hpp"

namespace detrame {

using namespace detrame::test;
using formula::NonnegativeShrinkage;
using formula::SoftShrinkage;

#define FOUR                                                                      \
  Problem<Cpu<double>, NonnegativeShrinkage>, Problem<Cpu<float>, SoftShrinkage>, \
      Problem<archetype::Loops<float>, NonnegativeShrinkage>,                     \
      Problem<archetype::Loops<double>, SoftShrinkage>
#define TWO Problem<Cpu<double>, NonnegativeShrinkage>, Problem<Cpu<float>, NonnegativeShrinkage>

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN(),
                 infinity = std::numeric_limits<double>::infinity();

HostMatrix<double> column(std::initializer_list<double> entries) {
  return host_matrix<double>(static_cast<Index>(entries.size()), 1,
                             [&](Index i, Index) { return entries.begin()[i]; });
}

/// Q = q [[1, c], [c, 1]]
HostMatrix<double> pair(double q, double c) {
  return host_matrix<double>(2, 2, [=](Index i, Index j) { return q * (i == j ? 1 : c); });
}

bool good(Status status) { return status == Status::residual_reached || status == Status::all_zero; }

}  // namespace

TEST_CASE_TEMPLATE("(U2) Q, beta and lambda by 4^n: the same bits of u, statuses and counts", P, FOUR) {
  typename P::Backend b;
  laws::scaled_metric_gives_the_same_bits(medium_problem<P>(b));
}

TEST_CASE_TEMPLATE("(U2) z and lambda by 2^n: s u bit for bit, the same statuses and counts", P, FOUR) {
  typename P::Backend b;
  laws::scaled_data_give_the_same_bits(medium_problem<P>(b));
}

TEST_CASE_TEMPLATE("(U2) D and x by 2^n with alpha, beta, lambda by 4^n, and images: the same bits of u", P,
                   FOUR) {
  typename P::Backend b;
  laws::scaled_dictionary_gives_the_same_bits<P>(b);
  laws::scaled_images_give_the_same_bits<P>(b);
}

TEST_CASE_TEMPLATE("(U2) in any other unit answers agree within both bounds", P, FOUR) {
  typename P::Backend b;
  laws::any_unit_gives_the_same_answer(medium_problem<P>(b));
}

TEST_CASE_TEMPLATE("(U1) [[1, .9], [.9, 1]] q at z = (1, -.5): (.55, 0), or an honest status, for every q", P,
                   TWO) {
  typename P::Backend b;
  using Scalar = typename P::Scalar;
  bool const is_double = sizeof(Scalar) == 8;
  auto const in_range = is_double ? std::vector<double>{1, 1e-12, 1e-16, 1e-40, 1e-170, 1e-280, 1e200}
                                  : std::vector<double>{1, 1e-6, 1e-12, 1e-24, 1e-28, 1e20, 1e30};
  for (double q : in_range)
    for (By scheme : safe_schemes) {
      CAPTURE(q);
      P const p(b, pair(q, .9), column({1, -.5}), 0, 0);
      auto const result = p.solve(scheme);
      CHECK(result.status == Status::residual_reached);
      auto const u = p.on_host(result.u);
      double const error = std::hypot(u(0, 0) - .55, u(1, 0));
      double const rounding =
          40 * static_cast<double>(std::numeric_limits<Scalar>::epsilon());  // cond(Q) = 19
      CHECK(error <= static_cast<double>(result.bound) + rounding);
      CHECK(static_cast<double>(result.bound) < (is_double ? 1e-8 : 1e-2));
      auto const at_0 = p.solve(scheme, Until{.limit = 0});
      CHECK(static_cast<double>(at_0.bound) >= .55 * (1 - rounding));  // never 0 by underflow
    }
  P const stiff(b, identity<double>(1), column({is_double ? 1e-20 : 1e-10}), 0, is_double ? 1e308 : 1e38);
  CHECK(stiff.solve(By::gershgorin, Until{.limit = 0}).bound > 0);  // a quotient that underflows
  // Products that leave the range have no good status, and no bound.
  P const below(b, pair(is_double ? 1e-200 : 1e-25, .9), column({is_double ? 1e-200 : 1e-25, 0}), 0, 0);
  P const above(b, pair(is_double ? 1e200 : 1e25, .9), column({is_double ? 1e200 : 1e25, 0}), 0, 0);
  for (P const* p : {&below, &above}) {
    auto const result = p->solve(By::gauss_seidel);
    CHECK(result.status == Status::not_finite);
    CHECK_FALSE(static_cast<double>(result.bound) < infinity);
    CHECK_FALSE(static_cast<double>(result.residual) < infinity);
    auto const unrolled = metric_prox(b, p->Q, p->psi, p->z, Gershgorin{}, Unroll<2>{});
    CHECK_FALSE(static_cast<double>(unrolled.residual) < infinity);
  }
}

TEST_CASE_TEMPLATE("(U1) data of any size have a good status: no square leaves the range", P, TWO) {
  typename P::Backend b;
  bool const is_double = sizeof(typename P::Scalar) == 8;
  for (double size :
       is_double ? std::vector<double>{1e200, 1e-200} : std::vector<double>{1e10, 1e25, 1e-25}) {
    P const p(b, definite_matrix<double>(12, 20, seed(200)),
              mapped([=](double x) { return size * x; }, normal_matrix<double>(12, 9, seed(201))), .15 * size,
              .05);
    for (By scheme : safe_schemes) CHECK(p.solve(scheme).status == Status::residual_reached);
  }
}

TEST_CASE_TEMPLATE("(U1) one huge lambda_i does not void the tolerance", P, FOUR) {
  typename P::Backend b;
  using B = typename P::Backend;
  using Scalar = typename P::Scalar;
  DenseMetric<B> const Q(b, in_memory_of(b, identity<double>(2)));
  for (double huge : {1e12, infinity}) {
    SeparablePenalty<B, typename P::Activation> const psi(b, in_memory_of(b, column({.1, huge})),
                                                          in_memory_of(b, column({0, 0})));
    auto const result = metric_prox(b, Q, psi, in_memory_of(b, column({1, 1})), GaussSeidel{});
    CHECK(result.status == Status::residual_reached);
    auto const u = in_double<B>(b, result.u);
    CHECK(std::abs(u(0, 0) - .9) <= static_cast<double>(tolerance<Scalar>(2, 1)));
    CHECK(u(1, 0) == 0);
  }
}

TEST_CASE("(U1) an infinite tolerance, or one that is infinite in the scalar, is refused") {
  Cpu<float> b(1);
  auto const p = coherent_problem(b);
  check_throws_with<DomainError>([&] { p.solve(By::gershgorin, Until{.tolerance = infinity}); },
                                 "metric_prox: tolerance = inf, must be finite");
  check_throws_with<DomainError>([&] { p.solve(By::gershgorin, Until{.tolerance = 1e39}); },
                                 "tolerance = 1e+39, must be finite");
}

TEST_CASE_TEMPLATE("(C1) where kappa < 1, slow is not cycling: Q = [[1, r], [r, 1]] with r just below 1", P,
                   FOUR) {
  typename P::Backend b;
  double const r = 1 - (sizeof(typename P::Scalar) == 8 ? 1e-12 : 1e-5);  // u(t) is (1 - (-r)^t) (1, 1)
  P const p(b, pair(1, r), column({1, 1}), 0, 0);
  REQUIRE(contraction(b, p.Q, p.psi, Jacobi{}).kappa < 1);
  auto const result = p.solve(By::jacobi, Until{.limit = 300});
  CHECK(result.status == Status::iteration_limit);
  CHECK(result.iterations == 300);
  CHECK(static_cast<double>(result.bound) > .9);
  P const beyond(b, pair(1, .9), column({1, 1}), 0, 0);  // kappa = 1.2 with gamma = 2.2 / 1.9: it does cycle
  CHECK(metric_prox(b, beyond.Q, beyond.psi, beyond.z, ForwardBackward{2.2 / 1.9}).status >= Status::cycling);
}

TEST_CASE_TEMPLATE("stalled: nothing but rounding is left; Gauss-Seidel and FISTA never cycle", P, FOUR) {
  typename P::Backend b;
  for (std::uint64_t n = 0; n < 3; ++n)
    for (double condition : {3., 100.}) {
      P const p(b, definite_matrix<double>(8, condition, seed(700 + n)),
                normal_matrix<double>(8, 3, seed(720 + n)), .05, 0);
      for (By scheme : {By::gauss_seidel, By::fista, By::gershgorin}) {
        auto const result = p.solve(scheme, Until{.tolerance = 0, .limit = 20000});
        CAPTURE(name(result.status));
        CHECK((result.status == Status::stalled || good(result.status)));
        CHECK(static_cast<double>(result.residual) <
              1e3 * static_cast<double>(std::numeric_limits<typename P::Scalar>::epsilon()));
      }
    }
}

TEST_CASE("stalled: two updates that change no bit of u, wherever that is") {
  Cpu<float> b(1);  // a step that underflows: u stays at 0
  Problem<Cpu<float>, NonnegativeShrinkage> const p(b, identity<double>(1), column({.05}), 0, 0);
  auto const result = metric_prox(b, p.Q, p.psi, p.z, ForwardBackward{1e-44}, Until{});
  CHECK(result.status == Status::stalled);
  CHECK(result.iterations == 2);
  CHECK(result.residual == doctest::Approx(1));  // honest: it is nowhere near
  CHECK(result.bound >= .05f);
}

TEST_CASE_TEMPLATE("a column that is not finite, or out of range, leaves every other alone, bit for bit", P,
                   FOUR) {
  typename P::Backend b;
  auto const p = medium_problem<P>(b);
  for (double bad : {nan, infinity, -infinity, sizeof(typename P::Scalar) == 8 ? 1e308 : 3e38}) {
    P const q(b, p.Q_host,
              host_matrix<double>(12, 9, [&](Index i, Index j) { return j == 4 ? bad : p.z_host(i, j); }),
              p.lambda, p.beta);
    for (By scheme : {By::jacobi, By::gershgorin, By::gauss_seidel, By::fista}) {
      auto const alone = p.solve(scheme), beside = q.solve(scheme);
      CHECK(beside.status == Status::not_finite);
      auto const u = to_host(b, ConstView<typename P::Backend>(alone.u)),
                 v = to_host(b, ConstView<typename P::Backend>(beside.u));
      auto const r = to_host(b, residual(b, p.Q, p.psi, p.z, alone.u)),
                 s = to_host(b, residual(b, q.Q, q.psi, q.z, alone.u));
      for (Index j = 0; j < 9; ++j) {
        if (j == 4) continue;
        for (Index i = 0; i < 12; ++i) CHECK(u(i, j) == v(i, j));
        CHECK(alone.column_status[static_cast<std::size_t>(j)] ==
              beside.column_status[static_cast<std::size_t>(j)]);
        CHECK(r(0, j) == s(0, j));
      }
    }
  }
}

}  // namespace detrame
