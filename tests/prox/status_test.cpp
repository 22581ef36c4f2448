// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/prox/lambda_max.hpp"
#include "laws/archetype.hpp"
#include "prox/problem.hpp"

namespace detrame {

using namespace detrame::test;
using formula::NonnegativeShrinkage;
using formula::SoftShrinkage;

// Each kind of problem on a host and on the archetype; tests/prox/metric_prox_test.cpp has the other scalars.
#define NONNEGATIVE \
  Problem<Cpu<double>, NonnegativeShrinkage>, Problem<archetype::Loops<float>, NonnegativeShrinkage>
#define MODELS Problem<Cpu<double>, NonnegativeShrinkage>, Problem<archetype::Loops<float>, SoftShrinkage>

namespace {

/// k = 1, Q = 1: an update is u <- A((1 - gamma + ...) u + gamma z, gamma lambda), so everything is known.
template <class P>
P scalar_problem(typename P::Backend& b, HostMatrix<double> const& z, double lambda = 0, double beta = 0) {
  return {b, identity<double>(1), z, lambda, beta};
}

constexpr double nan = std::numeric_limits<double>::quiet_NaN(),
                 infinity = std::numeric_limits<double>::infinity();

/// A metric whose entries nobody can have.
struct WithoutEntries : DenseMetric<Cpu<double>> {
  using DenseMetric<Cpu<double>>::DenseMetric;
  ConstView<Cpu<double>> weights() const { return {}; }
};

}  // namespace

TEST_CASE("a status is named after the inequality that fired, from best to worst") {
  Status const order[] = {Status::unrolled, Status::all_zero,        Status::residual_reached,
                          Status::stalled,  Status::iteration_limit, Status::cycling,
                          Status::diverged, Status::not_finite};
  char const* const names[] = {"unrolled",        "all_zero", "residual_reached", "stalled",
                               "iteration_limit", "cycling",  "diverged",         "not_finite"};
  for (std::size_t i = 0; i < 8; ++i) CHECK(name(order[i]) == names[i]);
  for (std::size_t i = 1; i < 8; ++i) CHECK(order[i - 1] < order[i]);
}

TEST_CASE_TEMPLATE("residual_reached: |r| <= tolerance, and not one update before", P, NONNEGATIVE) {
  typename P::Backend b;
  auto const p = scalar_problem<P>(b, HostMatrix<double>(1, 1, 1));
  auto const by_half = [&](Until const& until) {
    return metric_prox(b, p.Q, p.psi, p.z, ForwardBackward{.5}, until);
  };
  auto const result = by_half(Until{.tolerance = 1. / 1024, .limit = 100});  // r = 2^-t
  CHECK(result.status == Status::residual_reached);
  CHECK(result.iterations == 10);
  CHECK(result.residual == typename P::Scalar(1. / 1024));
  CHECK(result.bound == doctest::Approx(static_cast<double>(result.residual)));
  auto const limited = by_half(Until{.tolerance = 1. / 1024, .limit = 9});
  CHECK(limited.status == Status::iteration_limit);
  CHECK(limited.iterations == 9);
  CHECK(limited.residual == typename P::Scalar(1. / 512));
  CHECK(&require_converged(result) == &result.u);
  check_throws_with<NotConverged>(
      [&] { require_converged(limited); },
      "the status is iteration_limit, the relative residual 0.00195312 after 9 iterations");
  auto const& of_a_temporary = require_converged(by_half(Until{.tolerance = 1. / 1024, .limit = 100}));
  static_assert(std::is_same_v<decltype(require_converged(by_half({}))), Matrix<typename P::Backend>>);
  CHECK(p.on_host(of_a_temporary) == p.on_host(result.u));
}

TEST_CASE_TEMPLATE("iteration_limit: slow is neither cycling nor diverging, from one side or from both", P,
                   NONNEGATIVE) {
  typename P::Backend b;
  auto const p = scalar_problem<P>(b, HostMatrix<double>(1, 1, 1));
  for (double gamma : {1e-3, 1.999, 1.9995}) {  // the error is (1 - gamma)^t
    CAPTURE(gamma);
    auto const result =
        metric_prox(b, p.Q, p.psi, p.z, ForwardBackward{gamma}, Until{.tolerance = 1e-6, .limit = 2000});
    CHECK(result.status == Status::iteration_limit);
    CHECK(static_cast<double>(result.residual) == doctest::Approx(std::pow(std::abs(1 - gamma), 2000))
                                                      .epsilon(sizeof(typename P::Scalar) == 8 ? 1e-9 : .05));
  }
}

TEST_CASE_TEMPLATE("cycling: an iterate comes back, exactly or in the limit", P, NONNEGATIVE) {
  typename P::Backend b;
  auto const p = scalar_problem<P>(b, HostMatrix<double>(1, 1, 1));
  auto const at_2 =
      metric_prox(b, p.Q, p.psi, p.z, ForwardBackward{2}, Until{.limit = 100});  // 0, 2, 0, 2, ...
  CHECK(at_2.status == Status::cycling);
  CHECK(at_2.iterations < 20);
  auto const beyond =
      metric_prox(b, p.Q, p.psi, p.z, ForwardBackward{2.5}, Until{.limit = 100});  // 0, 2.5, 0, ...
  CHECK(beyond.status == Status::cycling);
  // Only in the limit: u <- relu(-(1 + s) u + (2 + s) z) overshoots a little more each time until it meets 0.
  auto const slowly = metric_prox(b, p.Q, p.psi, p.z, ForwardBackward{2.01}, Until{.limit = 5000});
  CHECK(slowly.status == Status::cycling);
}

TEST_CASE("cycling: one return is none, nor are two that are not twice as long apart") {
  auto const after = [](std::initializer_list<double> distances) {  // from the anchor, at age 1, 2, ...
    double status = static_cast<double>(static_cast<int>(Status::iteration_limit));
    double activity = detail::sample_active, farthest = 0, first_return = 0, still = 0, age = 0;
    for (double d : distances) {
      detail::Watch<double>{
          .tolerance = 1e-9, .rounding = 1e-15, .slope = 1, .age = ++age, .may_cycle = true}(
          status, activity, farthest, first_return, still, /*r*/ 1., /*terms*/ 1., /*size*/ 2., d,
          /*change*/ 1.,
          /*reach*/ 1e9);
      detail::Decide<double>{1e-15, true}(status, activity, 1., 1.);
    }
    return static_cast<Status>(static_cast<int>(status));
  };
  CHECK(after({1, 0, 1, 0}) == Status::cycling);
  CHECK(after({1, 2, 0, 1, 2, 0}) == Status::cycling);
  CHECK(after({1, 0, 1, .5}) == Status::iteration_limit);
  CHECK(after({1, 0, 0}) == Status::iteration_limit);
  CHECK(after({1e-9, 0, 1e-9, 0}) == Status::iteration_limit);  // beside |u| = 2 this is no way
}

TEST_CASE("cycling: kappa is asked for once in a run, and gamma beta beyond the range hinders no answer") {
  using B = Cpu<double>;
  B b(1);
  auto const vector = [&](double first, double second) {
    return to_device(b, host_matrix<double>(2, 1, [=](Index i, Index) { return i == 0 ? first : second; }));
  };
  DenseMetric<B> const Q(b, to_device(b, identity<double>(2)));
  // gamma = 2.5: one column overshoots by 1.5 each time, the other by 1.01
  NonnegativeElasticNet<B> const psi(b, vector(0, 0), vector(0, (1.5 / 1.01 - 1) / 2.5));
  auto const z = to_device(b, identity<double>(2));
  detail::MetricProblem<DenseMetric<B>, NonnegativeElasticNet<B>> const problem(b, "test", Q, psi, z);
  detail::Iteration run(b, problem);
  auto updates = ForwardBackward{2.5}.start(b, Q, psi, 2);
  Index asked = 0;
  run.run(updates, 1e-9, 5000, true, [&] {
    ++asked;
    return false;
  });
  CHECK(run.outcome(true).of_sample == std::vector<Status>{Status::cycling, Status::cycling});
  CHECK(asked == 1);
  NonnegativeElasticNet<B> const holds(b, vector(0, 0), vector(0, 1e308));  // gamma beta = inf
  auto const result = metric_prox(b, Q, holds, vector(1, 1), ForwardBackward{2}, Until{.limit = 100});
  CHECK(result.status == Status::cycling);
  CHECK(result.u(1, 0) == 0);
}

TEST_CASE(
    "diverged: |u| beyond what the solution can be, over sqrt(eps); or out of the range of the scalar") {
  archetype::Loops<float> c;
  auto const q = coherent_problem<archetype::Loops<float>, SoftShrinkage>(c);  // no u >= 0 that would stop it
  auto const result = q.solve(By::jacobi, Until{.limit = 10000});
  CHECK(result.status == Status::diverged);
  CHECK(result.iterations < 50);
  CHECK(result.bound > 1e4f);
  // So far in one step that it overflows.
  auto const far =
      scalar_problem<Problem<archetype::Loops<float>, SoftShrinkage>>(c, HostMatrix<double>(1, 1, 10));
  auto const leap = metric_prox(c, far.Q, far.psi, far.z, ForwardBackward{1e38}, Until{});
  CHECK(leap.status == Status::diverged);
  CHECK(leap.iterations == 1);
  CHECK_FALSE(leap.bound < 1e30f);
}

TEST_CASE_TEMPLATE("not_finite: a NaN or an infinity in z is never called a success", P, MODELS) {
  typename P::Backend b;
  for (double bad : {nan, infinity, -infinity}) {
    CAPTURE(bad);
    auto const one = scalar_problem<P>(b, HostMatrix<double>(1, 1, bad), .1);
    for (By scheme : {By::jacobi, By::gershgorin, By::gauss_seidel, By::fista}) {
      auto const result = one.solve(scheme);
      CHECK(result.status == Status::not_finite);
      CHECK_FALSE(result.bound < 1e30f);
      CHECK(std::isnan(one.on_host(result.u)(0, 0)));
      check_throws_with<NotConverged>([&] { require_converged(result); }, "the status is not_finite");
    }
    CHECK_FALSE(metric_prox(b, one.Q, one.psi, one.z, Jacobi{}, Unroll<2>{}).residual < 1e30f);
  }
}

TEST_CASE_TEMPLATE("a batch has the status of its worst column, and each column its own", P, NONNEGATIVE) {
  typename P::Backend b;
  auto const statuses = [&](std::initializer_list<double> z, Status worst) {
    Index j = 0;
    HostMatrix<double> row(1, static_cast<Index>(z.size()));
    for (double x : z) row(0, j++) = x;
    // gamma = 2 on Q = 1, beta = 0, lambda = .5: z <= .5 is solved by 0; z = 1 alternates; u = z - .5 is
    // never met.
    auto const p = scalar_problem<P>(b, row, .5);
    auto const result = metric_prox(b, p.Q, p.psi, p.z, ForwardBackward{2}, Until{.limit = 50});
    CHECK(result.status == worst);
    return result.column_status;
  };
  using All = std::vector<Status>;
  CHECK(statuses({.25, -3, .5}, Status::all_zero) ==
        All{Status::all_zero, Status::all_zero, Status::all_zero});
  CHECK(statuses({.25, 1}, Status::cycling) == All{Status::all_zero, Status::cycling});
  CHECK(statuses({nan, 1, .25}, Status::not_finite) ==
        All{Status::not_finite, Status::cycling, Status::all_zero});
  CHECK(statuses({}, Status::residual_reached).empty());
}

TEST_CASE_TEMPLATE("a column that is done is left alone: it does not depend on its neighbours", P, MODELS) {
  typename P::Backend b;
  using Scalar = typename P::Scalar;
  P const both(b, definite_matrix<double>(5, 30, seed(500)), normal_matrix<double>(5, 2, seed(501)), .05,
               .01);
  for (By scheme : safe_schemes) {
    auto const together = both.solve(scheme, Until{.tolerance = 1e-3, .limit = 2000});
    REQUIRE(together.status == Status::residual_reached);
    auto const u = both.on_host(together.u);
    for (Index j = 0; j < 2; ++j) {
      P const alone(b, both.Q_host,
                    host_matrix<double>(5, 1, [&](Index i, Index) { return both.z_host(i, j); }), .05, .01);
      auto const result = alone.solve(scheme, Until{.tolerance = 1e-3, .limit = 2000});
      CHECK(result.iterations <= together.iterations);
      CHECK(max_abs_difference(alone.on_host(result.u), host_matrix<double>(5, 1, [&](Index i, Index) {
                                 return u(i, j);
                               })) <= static_cast<double>(tolerance<Scalar>(5 * result.iterations, 3)));
    }
  }
}

TEST_CASE("refusals of metric_prox, by name and size") {
  Cpu<double> b(1);
  auto const p = coherent_problem(b);
  NonnegativeElasticNet<Cpu<double>> const four(b, 4, .1, .1);
  Cpu<double>::Matrix const z = Cpu<double>::Matrix::Zero(7, 1), u = Cpu<double>::Matrix::Zero(3, 2);
  check_throws_with<ShapeError>([&] { metric_prox(b, p.Q, p.psi, z, Gershgorin{}); },
                                "metric_prox: z has 7 rows, Q is 3 x 3");
  check_throws_with<ShapeError>([&] { metric_prox(b, p.Q, four, p.z, Gershgorin{}); },
                                "metric_prox: psi has 4 rows, Q is 3 x 3");
  check_throws_with<ShapeError>([&] { metric_prox(b, p.Q, p.psi, z, Gershgorin{}, Unroll<1>{}); },
                                "z has 7 rows, Q is 3 x 3");
  WithoutEntries const Q(b, Cpu<double>::Matrix::Identity(3, 3));
  check_throws_with<ShapeError>(
      [&] { metric_prox(b, Q, p.psi, p.z, Gershgorin{}); },
      "metric_prox: needs the entries of Q, and its weights are 0 x 0, must be 3 x 3");
  check_throws_with<ShapeError>([&] { residual(b, p.Q, p.psi, p.z, u); }, "residual: u is 3 x 2, z is 3 x 1");
  check_throws_with<ShapeError>([&] { lambda_max(b, p.Q, p.psi, z); },
                                "lambda_max: z has 7 rows, Q is 3 x 3");
  check_throws_with<DomainError>([&] { p.solve(By::gershgorin, Until{.tolerance = -1}); },
                                 "tolerance = -1, must be >= 0");
  check_throws_with<DomainError>([&] { p.solve(By::gershgorin, Until{.tolerance = nan}); },
                                 "tolerance = nan, must be >= 0");
  check_throws_with<DomainError>([&] { p.solve(By::gershgorin, Until{.limit = -1}); },
                                 "limit = -1, must be >= 0");
  check_throws_with<DomainError>([&] { metric_prox(b, p.Q, p.psi, p.z, ForwardBackward{0}); },
                                 "gamma = 0, must be > 0");
  Cpu<double>::Matrix const outside = Cpu<double>::Matrix::Constant(3, 1, -1);
  CHECK(residual(b, p.Q, p.psi, p.z, outside)(0, 0) == infinity);
  CHECK(subgradient_norm(b, p.Q, p.psi, p.z, outside)(0, 0) == infinity);
}

TEST_CASE_TEMPLATE("(E3) eq. (20) with (24) does not solve (19) in general; safe steps and sweeps do", P,
                   NONNEGATIVE) {
  typename P::Backend b;
  using Scalar = typename P::Scalar;
  auto const p = coherent_problem(b);
  double const eps = static_cast<double>(tolerance<Scalar>(40, 1));
  // It alternates between 2.6733 1 and 0 ...
  CHECK(max_abs(p.on_host(metric_prox(b, p.Q, p.psi, p.z, Jacobi{}, Unroll<3>{}).u)) ==
        doctest::Approx(2.7 / 1.01).epsilon(eps));
  CHECK(max_abs(p.on_host(metric_prox(b, p.Q, p.psi, p.z, Jacobi{}, Unroll<4>{}).u)) == 0);
  auto const printed = p.solve(By::jacobi);
  CHECK(printed.status == Status::cycling);
  CHECK(static_cast<double>(printed.residual) > .5);  // of the terms at 0
  // ... where the solution is .96085 1.
  for (By scheme : safe_schemes) {
    CAPTURE(scheme);
    auto const result = p.solve(scheme);
    REQUIRE(result.status == Status::residual_reached);
    for (Index i = 0; i < 3; ++i)
      CHECK(std::abs(p.on_host(result.u)(i, 0) - 2.7 / 2.81) <= static_cast<double>(result.bound) + eps);
  }
}

TEST_CASE(
    "(E3) (M7) on Gaussian dictionaries eq. (24) converges at k/m = 1/2, not at 2; Gauss-Seidel always") {
  Cpu<double> b(1);
  for (std::uint64_t trial = 0; trial < 8; ++trial) {
    auto const narrow = gaussian_problem(b, 64, 32, 4, Signals::of_unit_norm, 300 + 4 * trial);
    auto const wide = gaussian_problem(b, 64, 128, 4, Signals::of_30_percent_of_the_atoms, 340 + 4 * trial);
    Until const until{.tolerance = 1e-8, .limit = 20000};
    CHECK(narrow.solve(By::jacobi, until).status == Status::residual_reached);
    CHECK(wide.solve(By::jacobi, until).status >= Status::iteration_limit);
    CHECK(narrow.solve(By::gauss_seidel, until).status == Status::residual_reached);
    CHECK(wide.solve(By::gauss_seidel, until).status == Status::residual_reached);
  }
}

TEST_CASE_TEMPLATE("(M8) u = 0 is the answer if and only if lambda >= lambda_max", P, MODELS) {
  typename P::Backend b;
  using Scalar = typename P::Scalar;
  auto const p = medium_problem<P>(b);
  auto const top =
      rounded<double>(to_host(b, ConstView<typename P::Backend>(lambda_max(b, p.Q, p.psi, p.z))));  // 1 x 9
  double const highest = max_abs(top);
  for (double share : {1 + 1e-4, 1 - 1e-4}) {
    P const q(b, p.Q_host, p.z_host, highest * share, p.beta);
    auto const result = q.solve(By::gershgorin, Until{.limit = 5000});
    CHECK((result.status == Status::all_zero) == (share > 1));
    if (share > 1) {
      CHECK(max_abs(q.on_host(result.u)) == 0);
      CHECK(result.iterations == 0);
      CHECK(result.bound == 0);
    }
    for (Index j = 0; j < 9; ++j)
      CHECK((result.column_status[static_cast<std::size_t>(j)] == Status::all_zero) ==
            (highest * share >= top(0, j)));
  }
  // No absolute value for u >= 0: with -z it is another number, and may be negative.
  P const one(b, identity<double>(2), HostMatrix<double>(2, 1, -1.), 0, .1);
  auto const negative =
      to_host(b, ConstView<typename P::Backend>(lambda_max(b, one.Q, one.psi, one.z)))(0, 0);
  bool const two_sided = P::Activation::two_sided;
  CHECK(negative == (two_sided ? Scalar(1) : Scalar(-1)));
  CHECK((one.solve(By::gershgorin).status == Status::all_zero) == !two_sided);
}

TEST_CASE("(M8) of a synthesis problem, from D^T x - d alone") {
  archetype::Loops<double> b;
  auto const D = unit_norm_dictionary<double>(6, 10, seed(400));
  auto const d = normal_matrix<double>(10, 1, seed(401)), x = normal_matrix<double>(6, 5, seed(402));
  Synthesis<archetype::Loops<double>> const synthesis{to_device(b, D), .1, .1, .2, to_device(b, d)};
  auto const top = to_host(b, lambda_max(b, synthesis, to_device(b, x)));
  auto const Dtx = product(transposed(D), x);
  for (Index j = 0; j < 5; ++j) {
    double largest = -1e9;
    for (Index i = 0; i < 10; ++i) largest = std::max(largest, Dtx(i, j) - d(i, 0));
    CHECK(std::abs(top(0, j) - largest) <= tolerance<double>(8, 3));
  }
}

}  // namespace detrame
