// SPDX-License-Identifier: Apache-2.0
#include "detrame/exact/certificate.hpp"

#include <doctest/doctest.h>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/exact/duality_gap.hpp"
#include "detrame/exact/encode.hpp"
#include "detrame/exact/exact_margin.hpp"
#include "detrame/exact/exact_prox.hpp"
#include "detrame/exact/exact_prox_pullback.hpp"
#include "detrame/exact/exact_synthesis_pullback.hpp"
#include "detrame/exact/regularisation_path.hpp"
#include "detrame/metric/dense_metric.hpp"
#include "detrame/metric/objective.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

using namespace detrame::test;

#define BACKENDS Cpu<double>, Cpu<float>, archetype::Loops<double>

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

template <Backend B>
Matrix<B> column(B& b, std::initializer_list<double> entries) {
  auto at = entries.begin();
  HostMatrix<double> host(static_cast<Index>(entries.size()), 1);
  for (Index i = 0; i < host.rows(); ++i) host(i, 0) = *at++;
  return in_memory_of(b, host);
}

/// (.55, 0) for every q > 0, whose metric is q [[1, .9], [.9, 1]].
template <Backend B>
void check_two_unknowns(B& b, ExactResult<B> const& result) {
  CHECK(result.status == ExactStatus::optimal);
  auto const u = in_double(b, ConstView<B>(result.u));
  CHECK(std::abs(u(0, 0) - .55) <= static_cast<double>(tolerance<typename B::Scalar>(4, 20)));
  CHECK(u(1, 0) == 0);
}

}  // namespace

TEST_CASE_TEMPLATE("(U5) two unknowns in any unit: columns and images", B, BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  std::vector<double> sizes{1, 1e-4, 1e-8, 1e-12, 1e-16, 1e-20, 1e-24, 1e-30, 1e10, 1e20, 1e30};
  if (sizeof(Scalar) == sizeof(double)) sizes.insert(sizes.end(), {1e-40, 1e-170, 1e-290, 1e150});
  NonnegativeElasticNet<B> const psi(b, 2, Scalar(0), Scalar(0));
  auto const z = column(b, {1, -.5});
  for (double q : sizes) {
    CAPTURE(q);
    auto const Q =
        in_memory_of(b, host_matrix<double>(2, 2, [q](Index i, Index j) { return i == j ? q : .9 * q; }));
    DenseMetric<B> const dense(b, Q);
    ConvolutionalMetric<B> const image(b, ConvolutionalBlocks{1, 1, 1, 1}, Q);
    check_two_unknowns(b, exact_prox(b, dense, psi, z));
    check_two_unknowns(b, exact_prox(b, image, psi, z));
    // what is not solved does not look so, and its bound holds
    auto const first_step = exact_prox(b, image, psi, z, {.pivot_limit = 1});
    CHECK(first_step.status == ExactStatus::iteration_limit);
    CHECK(static_cast<double>(first_step.largest_residual) >= .01);
    auto const early = exact_prox(b, image, psi, z, {.pivot_limit = 0});
    CHECK(early.status == ExactStatus::iteration_limit);
    CHECK(static_cast<double>(early.largest_residual) >= .01);
    CHECK(static_cast<double>(early.bound) >= .55);
  }
}

TEST_CASE_TEMPLATE("(U5) products that leave the range: the solution, or not_finite", B, BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  // an infinite tolerance is met by nothing
  Synthesis<B> const shifted{in_memory_of(b, identity<double>(2)), Scalar(.1), Scalar(0), Scalar(0),
                             column(b, {infinity, 0})};
  CHECK(exact_synthesis(b, shifted, column(b, {3, 2})).status == ExactStatus::not_finite);
  DenseMetric<B> const two(b, in_memory_of(b, HostMatrix<double>(1, 1, 2.)));
  NonnegativeElasticNet<B> const psi(b, 1, Scalar(.1), Scalar(0));
  for (double bad : {-infinity, infinity, std::numeric_limits<double>::quiet_NaN()})
    CHECK(exact_prox(b, two, psi, column(b, {bad})).status == ExactStatus::not_finite);
  if constexpr (sizeof(Scalar) == sizeof(double)) {
    auto const D = mapped([](double v) { return 1e-10 * v; }, identity<double>(2));
    Synthesis<B> const far{in_memory_of(b, D), 1e-20, 0, 0, zeros(b, 2, 1)};
    auto const code = exact_synthesis(b, far, column(b, {2e160, 1e160}));
    CHECK(code.status == ExactStatus::optimal);
    auto const u = to_host(b, ConstView<B>(code.u));
    CHECK(u(0, 0) == doctest::Approx(1e170).epsilon(1e-14));
    CHECK(u(1, 0) == doctest::Approx(5e169).epsilon(1e-14));
    // u itself beyond the range
    CHECK(exact_synthesis(b, far, column(b, {2e300, 1e300})).status == ExactStatus::not_finite);
  }
}

TEST_CASE_TEMPLATE("(U4) D^T D and D^T x beyond the range, u within it", B, BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  Cpu<double> reference(1);
  auto const D = rounded<double>(unit_norm_dictionary<Scalar>(9, 5, seed(2)));
  auto const x = rounded<double>(normal_matrix<Scalar>(9, 3, seed(3)));
  struct Size {
    double D, x, alpha;
  };
  std::vector<Size> const sizes =
      sizeof(Scalar) == sizeof(float)
          ? std::vector<Size>{{1e25, 1e30, 1}, {1e25, 1e10, 1}, {1e-19, 1e-15, 1e-44}}
          : std::vector<Size>{{1e170, 1e160, 1}, {1e-160, 1e-150, 5e-323}};
  for (Size const& size : sizes) {
    CAPTURE(size.D);
    double const D_size = size.D, x_size = size.x, alpha = size.alpha,
                 seen = static_cast<double>(static_cast<Scalar>(alpha));
    auto const times_D = [D_size](double v) { return D_size * v; };
    auto const times_x = [x_size](double v) { return x_size * v; };
    Synthesis<Cpu<double>> const plain{to_device(reference, D), seen / D_size / D_size + 1e-300, 0, 0,
                                       zeros(reference, 5, 1)};
    auto const expected = exact_synthesis(reference, plain, to_device(reference, x)).u;
    Synthesis<B> const far{in_memory_of(b, mapped(times_D, D)), static_cast<Scalar>(alpha), Scalar(0),
                           Scalar(0), zeros(b, 5, 1)};
    auto const code = exact_synthesis(b, far, in_memory_of(b, mapped(times_x, x)));
    CHECK(code.status == ExactStatus::optimal);
    CHECK(static_cast<double>(code.bound) >= 0);
    auto const u = in_double(b, ConstView<B>(code.u));
    REQUIRE(max_abs(u) > 0);
    for (Index j = 0; j < 3; ++j)
      for (Index i = 0; i < 5; ++i)
        CHECK(std::abs(u(i, j) * (D_size / x_size) - expected(i, j)) <=
              static_cast<double>(tolerance<Scalar>(14, 40)));
  }
}

TEST_CASE_TEMPLATE("(U5) infinite weights hold u at 0, and one huge weight judges nothing but its entry", B,
                   BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  auto const Q = in_memory_of(b, definite_matrix<double>(4, 50, seed(1)));
  DenseMetric<B> const metric(b, Q);
  ConvolutionalMetric<B> const image(b, ConvolutionalBlocks{1, 1, 1, 1}, Q);
  auto const z = column(b, {1, .8, -1.2, .9});
  auto const check = [&](auto make) {
    auto const held = make(column(b, {.01, infinity, .01, .01}), column(b, {0, 0, 0, infinity}));
    auto const heavy = make(column(b, {.01, 1e12, .01, 1e12}), column(b, {0, 0, 0, 0}));
    auto const one = exact_prox(b, metric, held, z), other = exact_prox(b, metric, heavy, z),
               images = exact_prox(b, image, held, z);
    for (auto const* result : {&one, &other, &images}) {
      CHECK(result->status == ExactStatus::optimal);
      auto const u = in_double(b, ConstView<B>(result->u));
      CHECK((u(1, 0) == 0 && u(3, 0) == 0 && u(0, 0) != 0));
      CHECK(max_abs_difference(b, result->u, one.u) <= tolerance<Scalar>(4, 50));
    }
    auto warm = one;  // a guess where no solution can be
    warm.u = column(b, {1, 1, 1, 1});
    exact_prox(b, metric, held, z, warm, {.warm_start = true});
    CHECK(warm.status == ExactStatus::optimal);
    CHECK(max_abs_difference(b, warm.u, one.u) == Scalar(0));
  };
  check([&](auto lambda, auto beta) { return ElasticNet<B>(b, lambda, beta); });
  check([&](auto lambda, auto beta) { return NonnegativeElasticNet<B>(b, lambda, beta); });
  // a wrong u beside a huge weight: the image search, cut short
  ElasticNet<B> const heavy(b, column(b, {.01, .01, .01, 1e25}), column(b, {0, 0, 0, 0}));
  auto const early = exact_prox(b, image, heavy, z, {.pivot_limit = 3});
  CHECK(early.status == ExactStatus::iteration_limit);
  CHECK(static_cast<double>(early.largest_residual) > 1e-4);
}

TEST_CASE_TEMPLATE(
    "a column that is not finite leaves path, gap, objective, codes and margins of the others alone", B,
    BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  Index const m = 5, k = 7, N = 6;
  Synthesis<B> const s{in_memory_of(b, unit_norm_dictionary<double>(m, k, seed(10))), Scalar(.2), Scalar(.1),
                       Scalar(.1), zeros(b, k, 1)};
  auto const X = normal_matrix<double>(m, N, seed(11));
  auto const psi = s.penalty(b);
  struct Out {
    HostMatrix<double> u, gap, value, margin, decoded, path;
    Scalar lambda;
  };
  auto const all = [&](HostMatrix<double> const& samples) {
    auto const x = in_memory_of(b, samples);
    auto const u = encode(b, s, x).u;
    auto const path = regularisation_path(b, s, x, 4, Scalar(.1));
    return Out{in_double(b, ConstView<B>(u)),
               in_double(b, ConstView<B>(duality_gap(b, s, x, u))),
               in_double(b, ConstView<B>(objective(b, s, x, u))),
               in_double(b, ConstView<B>(exact_margin(b, s, psi, x, u))),
               in_double(b, ConstView<B>(decode(b, s, u))),
               in_double(b, ConstView<B>(path.back().code.u)),
               path.front().lambda};
  };
  auto clean_X = X;
  for (Index i = 0; i < m; ++i) clean_X(i, 3) = 0;  // adds nothing to lambda_max
  auto const clean = all(clean_X);
  for (double bad : {infinity, -infinity, std::numeric_limits<double>::quiet_NaN()}) {
    auto spoilt_X = X;
    spoilt_X(2, 3) = bad;
    auto const spoilt = all(spoilt_X);
    CHECK(spoilt.lambda == clean.lambda);
    for (Index j = 0; j < N; ++j) {
      if (j == 3) {
        CHECK(std::isnan(spoilt.u(0, j)));
        CHECK(std::isnan(spoilt.path(0, j)));
        CHECK(!std::isfinite(spoilt.margin(0, j)));
        continue;
      }
      for (Index i = 0; i < k; ++i) {
        CHECK(spoilt.u(i, j) == clean.u(i, j));
        CHECK(spoilt.path(i, j) == clean.path(i, j));
      }
      for (Index i = 0; i < m; ++i) CHECK(spoilt.decoded(i, j) == clean.decoded(i, j));
      CHECK(spoilt.gap(0, j) == clean.gap(0, j));
      CHECK(spoilt.value(0, j) == clean.value(0, j));
      CHECK(spoilt.margin(0, j) == clean.margin(0, j));
    }
  }
}

TEST_CASE_TEMPLATE("0 times infinity counts 0 in penalties, and stays visible in products", B, BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  Synthesis<B> s{in_memory_of(b, unit_norm_dictionary<double>(3, 4, seed(20))), Scalar(.2), Scalar(.1),
                 static_cast<Scalar>(infinity), zeros(b, 4, 1)};
  auto const X = in_memory_of(b, normal_matrix<double>(3, 2, seed(21)));
  auto const code = encode(b, s, X);
  CHECK(code.status == ExactStatus::optimal);
  CHECK(max_abs(in_double(b, ConstView<B>(code.u))) == 0);
  auto const value = in_double(b, ConstView<B>(objective(b, s, X, code.u)));
  auto const x = in_double(b, ConstView<B>(X));
  for (Index j = 0; j < 2; ++j)
    CHECK(value(0, j) ==
          doctest::Approx((x(0, j) * x(0, j) + x(1, j) * x(1, j) + x(2, j) * x(2, j)) / 2).epsilon(1e-6));
  CHECK(max_abs(in_double(b, ConstView<B>(duality_gap(b, s, X, code.u)))) == 0);
  auto D = normal_matrix<double>(3, 4, seed(22));
  D(1, 2) = infinity;
  s.D = in_memory_of(b, D);
  CHECK(std::isnan(in_double(b, ConstView<B>(decode(b, s, zeros(b, 4, 1))))(1, 0)));
}

TEST_CASE_TEMPLATE("(M1) m = 0: the code of nothing", B, BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  Synthesis<B> const s{zeros(b, 0, 3), Scalar(.5), Scalar(0), Scalar(.25), column(b, {-1, 0, 1})};
  auto const code = exact_synthesis(b, s, zeros(b, 0, 2));
  CHECK(code.status == ExactStatus::optimal);
  auto const u = in_double(b, ConstView<B>(code.u));
  for (Index j = 0; j < 2; ++j) {
    CHECK(u(0, j) == doctest::Approx(1.5).epsilon(1e-6));
    CHECK((u(1, j) == 0 && u(2, j) == 0));
  }
  SynthesisCotangent<B> bar;
  exact_synthesis_pullback(b, s, zeros(b, 0, 2), code.u, code.u, bar);
  CHECK(in_double(b, ConstView<B>(bar.lambda_bar))(0, 0) == doctest::Approx(-2 * 1.5 / .5));
}

TEST_CASE("require_optimal of a temporary is a value") {
  Cpu<double> b(1);
  DenseMetric<Cpu<double>> const Q(b, Eigen::MatrixXd::Identity(3, 3));
  NonnegativeElasticNet<Cpu<double>> const psi(b, 3, .5, 0);
  auto const& result = require_optimal(exact_prox(b, Q, psi, Eigen::MatrixXd::Ones(3, 2)));
  static_assert(std::is_same_v<decltype(require_optimal(exact_prox(b, Q, psi, Eigen::MatrixXd()))),
                               ExactResult<Cpu<double>>>);
  CHECK(result.u == Eigen::MatrixXd::Constant(3, 2, .5));
  CHECK(&require_optimal(result) == &result);
}

TEST_CASE_TEMPLATE("(U5) a huge beta_i does not hide what the other entries owe", Scalar, float, double) {
  Cpu<Scalar> b(
      1);  // the terms of row 2 are those of Q z, whatever beta_1 is: u_2 = (q_21 z_1 + q_22 z_2) / q_22
  DenseMetric<Cpu<Scalar>> const Q(
      b, to_device(b, rounded<Scalar>(host_matrix<double>(
                          2, 2, [](Index i, Index j) { return i == j ? (i == 0 ? 4. : 1.) : .5; }))));
  auto const column = [&](double first, double second) {
    return to_device(b, rounded<Scalar>(host_matrix<double>(
                            2, 1, [=](Index i, Index) { return i == 0 ? first : second; })));
  };
  double const huge = sizeof(Scalar) == 4 ? 1e12 : 1e28;
  NonnegativeElasticNet<Cpu<Scalar>> const psi(b, column(0, 0), column(huge, 0));
  auto const result = exact_prox(b, Q, psi, column(-1, 1));
  CHECK(result.status == ExactStatus::optimal);
  CHECK(result.u(0, 0) == 0);
  CHECK(static_cast<double>(result.u(1, 0)) == doctest::Approx(.5));
}

}  // namespace detrame
