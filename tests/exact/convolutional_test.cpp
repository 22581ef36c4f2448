// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/exact/exact_prox.hpp"
#include "detrame/exact/exact_prox_pullback.hpp"
#include "detrame/metric/dense_metric.hpp"
#include "detrame/metric/objective.hpp"
#include "detrame/metric/penalty.hpp"
#include "detrame/metric/synthesis.hpp"
#include "detrame/prox/bounds.hpp"
#include "detrame/prox/safe_gamma.hpp"
#include "detrame/prox/unrolled_prox.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

using namespace detrame::test;

#define BACKENDS Cpu<double>, archetype::Loops<double>

namespace {

/// A symmetric kernel that is definite on images of any size: I and small random weights.
template <class Scalar>
HostMatrix<Scalar> definite_kernel(ConvolutionalBlocks const& shape, Index k, double size,
                                   std::uint64_t seed) {
  auto Q =
      symmetric_part(shape, mapped([size](Scalar w) { return static_cast<Scalar>(size) * w; },
                                   normal_matrix<Scalar>(shape.weight_rows(k), shape.weight_cols(k), seed)));
  Index const kg = Q.rows();
  for (Index c = 0; c < k; ++c)
    Q(c % kg, (c / kg * shape.taps() + shape.taps() / 2) * kg + c % kg) += Scalar(1);
  return Q;
}

/// One problem on two images, and the same with Q written out as a matrix.
template <Backend B, template <class> class Psi>
struct Images {
  using Scalar = typename B::Scalar;
  static constexpr Index k = 4, images = 2;

  ConvolutionalBlocks shape{4, 5, 3, 2};
  Index sites = shape.unit(), n = k * sites;
  HostMatrix<Scalar> z = normal_matrix<Scalar>(k, images* sites, seed(1));
  HostMatrix<Scalar> lambda = uniform_matrix<Scalar>(k, 1, seed(2), .05, .2),
                     beta = uniform_matrix<Scalar>(k, 1, seed(3), .01, .1);
  B b;
  ConvolutionalMetric<B> Q{b, shape, to_device(b, definite_kernel<Scalar>(shape, k, .08, seed(4)))};
  Psi<B> psi{b, to_device(b, lambda), to_device(b, beta)};
  DenseMetric<B> Q_dense{b, dense(b, Q)};
  Psi<B> psi_dense{b, to_device(b, every_site(lambda)), to_device(b, every_site(beta))};

  HostMatrix<Scalar> every_site(HostMatrix<Scalar> const& v) const {
    return host_matrix<Scalar>(n, 1, [&](Index i, Index) { return v(i % k, 0); });
  }
  HostMatrix<Scalar> as_columns(HostMatrix<Scalar> const& V) const { return reshaped(V, n, images); }
  HostMatrix<Scalar> host(Matrix<B> const& m) { return to_host(b, ConstView<B>(m)); }
};

template <Backend B, template <class> class Psi>
void agrees_with_the_active_set() {
  Images<B, Psi> p;
  auto const result = require_optimal(exact_prox(p.b, p.Q, p.psi, to_device(p.b, p.z)));
  auto const dense =
      require_optimal(exact_prox(p.b, p.Q_dense, p.psi_dense, to_device(p.b, p.as_columns(p.z))));
  auto const u = p.as_columns(p.host(result.u)), u_dense = p.host(dense.u);
  Index zeros = 0;
  for (Index j = 0; j < u.cols(); ++j)
    for (Index i = 0; i < u.rows(); ++i) {
      CHECK((u(i, j) == 0) == (u_dense(i, j) == 0));
      zeros += u(i, j) == 0;
    }
  CHECK((zeros > 0 && zeros < 2 * p.n));
  CHECK(max_abs_difference(u, u_dense) <= static_cast<double>(result.bound + dense.bound));
  CHECK(result.residual.cols() == 2);
  CHECK(static_cast<double>(result.bound) <= 1e-12);
}

template <Backend B, template <class> class Psi>
void adjoint_agrees_with_the_active_set() {
  Images<B, Psi> p;
  auto const u_bar = normal_matrix<double>(p.k, p.images * p.sites, seed(5));
  auto const u = require_optimal(exact_prox(p.b, p.Q, p.psi, to_device(p.b, p.z))).u;
  auto const bar = exact_prox_pullback(p.b, p.Q, p.psi, to_device(p.b, p.z), u, to_device(p.b, u_bar));
  auto const dense =
      exact_prox_pullback(p.b, p.Q_dense, p.psi_dense, to_device(p.b, p.as_columns(p.z)),
                          to_device(p.b, p.as_columns(p.host(u))), to_device(p.b, p.as_columns(u_bar)));
  double const close = tolerance<double>(p.n, 100);
  CHECK(max_abs_difference(p.as_columns(p.host(bar.v)), p.host(dense.v)) <= close);
  CHECK(max_abs_difference(p.as_columns(p.host(bar.z_bar)), p.host(dense.z_bar)) <= close);
  auto const lambda_bar = p.host(bar.lambda_bar), lambda_dense = p.host(dense.lambda_bar);
  auto const beta_bar = p.host(bar.beta_bar), beta_dense = p.host(dense.beta_bar);
  for (Index c = 0; c < p.k; ++c) {
    double l = 0, e = 0;
    for (Index s = 0; s < p.sites; ++s) {
      l += lambda_dense(c + s * p.k, 0);
      e += beta_dense(c + s * p.k, 0);
    }
    CHECK(lambda_bar(c, 0) == doctest::Approx(l).epsilon(1e-11));
    CHECK(beta_bar(c, 0) == doctest::Approx(e).epsilon(1e-11));
  }
  // <Q_bar, dQ> along symmetric kernels is that of the matrices they stand for
  auto const Q_bar = p.host(bar.Q_bar), Q_bar_dense = p.host(dense.Q_bar);
  CHECK(max_abs_difference(symmetric_part(p.shape, Q_bar), Q_bar) <= close);
  for (std::uint64_t direction = 0; direction < 3; ++direction) {
    auto const dQ =
        symmetric_part(p.shape, normal_matrix<double>(Q_bar.rows(), Q_bar.cols(), seed(10 + direction)));
    CHECK(inner(Q_bar, dQ) ==
          doctest::Approx(inner(Q_bar_dense, p.shape.dense(p.b, to_device(p.b, dQ)))).epsilon(1e-10));
  }
}

}  // namespace

TEST_CASE_TEMPLATE("(M3) (K2) the exact prox of images is that of the materialised metric", B, BACKENDS) {
  SUBCASE("nonnegative") { agrees_with_the_active_set<B, NonnegativeElasticNet>(); }
  SUBCASE("signed") { agrees_with_the_active_set<B, ElasticNet>(); }
}

TEST_CASE_TEMPLATE("(A2) its adjoint too", B, BACKENDS) {
  SUBCASE("nonnegative") { adjoint_agrees_with_the_active_set<B, NonnegativeElasticNet>(); }
  SUBCASE("signed") { adjoint_agrees_with_the_active_set<B, ElasticNet>(); }
}

TEST_CASE_TEMPLATE("the certificate tells a wrong solution", Scalar, float, double) {
  Images<Cpu<Scalar>, NonnegativeElasticNet> p;
  auto& b = p.b;
  auto result = exact_prox(b, p.Q, p.psi, to_device(b, p.z), {.pivot_limit = 2});
  CHECK(result.status != ExactStatus::optimal);
  CHECK(static_cast<double>(result.largest_residual) > 1e-4);
  auto const exact = exact_prox(b, p.Q, p.psi, to_device(b, p.z));
  CHECK(exact.status == ExactStatus::optimal);
  CHECK(static_cast<double>(exact.largest_residual) <=
        300 * static_cast<double>(std::numeric_limits<Scalar>::epsilon()));
  double const distance = max_abs_difference(p.host(result.u), p.host(exact.u));
  CHECK((distance > 1e-4 && distance <= static_cast<double>(result.bound + exact.bound)));
  result.u = exact.u;  // a warm start from the solution
  exact_prox(b, p.Q, p.psi, to_device(b, p.z), result, {.warm_start = true});
  CHECK(result.status == ExactStatus::optimal);
  CHECK(result.iterations <= exact.iterations);
}

TEST_CASE("no product with Q raises the objective, whatever reaches 0 on the way") {
  // Q nearly annihilates what is constant: many conjugate gradients, cut where a sign would change.
  Images<Cpu<double>, ElasticNet> p;
  HostMatrix<double> kernel(2, 36, 0.), few(p.k, 1, .01), few_dense(p.n, 1, .01);
  for (Index g = 0; g < 2; ++g)
    for (Index tap = 0; tap < 9; ++tap)
      for (Index c = 0; c < 2; ++c) kernel(c, (g * 9 + tap) * 2 + c) = tap == 4 ? 1.2 : -.125;
  auto& b = p.b;
  ConvolutionalMetric<Cpu<double>> const Q(b, p.shape, to_device(b, kernel));
  DenseMetric<Cpu<double>> const Q_dense(b, dense(b, Q));
  ElasticNet<Cpu<double>> const psi(b, to_device(b, few), to_device(b, few)),
      psi_dense(b, to_device(b, few_dense), to_device(b, few_dense));
  auto const z = to_device(b, p.as_columns(p.z));
  auto const value = [&](Index limit) {
    auto const u = p.host(exact_prox(b, Q, psi, to_device(b, p.z), {.pivot_limit = limit}).u);
    return to_host(b, objective(b, Q_dense, psi_dense, z, to_device(b, p.as_columns(u))));
  };
  auto const first = value(0);
  auto before = first;
  for (Index limit = 1; limit <= 60; ++limit) {
    auto const after = value(limit);
    for (Index j = 0; j < p.images; ++j)
      CHECK(after(0, j) <= before(0, j) + tolerance<double>(p.n, first(0, j)));
    before = after;
  }
  for (Index j = 0; j < p.images; ++j) REQUIRE(before(0, j) < .1 * first(0, j));
}

TEST_CASE(
    "an image of NaN spoils itself alone; no images are solved at once; bits do not depend on threads") {
  using P = Images<Cpu<double>, NonnegativeElasticNet>;
  P p;
  auto z = p.z;
  auto const u = p.host(exact_prox(p.b, p.Q, p.psi, to_device(p.b, z)).u);
  z(1, 3) = std::numeric_limits<double>::quiet_NaN();
  auto const spoilt = exact_prox(p.b, p.Q, p.psi, to_device(p.b, z));
  CHECK(spoilt.status == ExactStatus::not_finite);
  auto const v = p.host(spoilt.u);
  for (Index i = 0; i < p.k; ++i)
    for (Index s = 0; s < p.sites; ++s) {
      CHECK(std::isnan(v(i, s)));
      CHECK(v(i, p.sites + s) == u(i, p.sites + s));
    }
  auto const none = exact_prox(p.b, p.Q, p.psi, to_device(p.b, HostMatrix<double>(p.k, 0)));
  CHECK((none.status == ExactStatus::optimal && none.u.cols() == 0));
  for (int threads : {2, 3}) {
    Cpu<double> cpu(threads);
    CHECK(to_host(cpu, Cpu<double>::ConstView(exact_prox(cpu, p.Q, p.psi, to_device(cpu, p.z)).u)) == u);
  }
}

TEST_CASE_TEMPLATE(
    "(C1) (C4) (K3) recursions in a convolutional metric come to the exact prox, within their bounds", B,
    BACKENDS) {
  Images<B, NonnegativeElasticNet> p;
  auto const z = to_device(p.b, p.z);
  auto const exact = p.host(exact_prox(p.b, p.Q, p.psi, z).u);
  auto const check = [&](auto const& scheme) {
    auto const result = metric_prox(p.b, p.Q, p.psi, z, scheme, Until{.tolerance = 1e-11, .limit = 10000});
    CHECK(result.status == Status::residual_reached);
    CHECK(result.column_status.size() == 2);
    CHECK(max_abs_difference(p.host(result.u), exact) <= static_cast<double>(result.bound) + 1e-13);
  };
  check(Gershgorin{});
  check(Fista{});
  auto const Theta = diagonal(p.b, p.Q);
  check(ForwardBackward{.99 * static_cast<double>(safe_gamma(p.b, p.Q, ConstView<B>(Theta)))});
  // T updates are eq. (20) with the tied convolution
  auto const tied = tie(p.b, p.Q, p.psi, gershgorin_step(p.b, p.Q));
  auto U = zeros(p.b, p.k, p.z.cols());
  unrolled_prox(p.b, tied.structure, formula::NonnegativeShrinkage{}, tied.W_tilde, tied.h, tied.b, z, 6, U);
  auto const six = metric_prox(p.b, p.Q, p.psi, z, Gershgorin{}, Unroll<6>{});
  CHECK(max_abs_difference(p.host(six.u), p.host(U)) <= tolerance<double>(18 * 6, 10));
  // the subgradient of an image is as long as that of a column of the materialised problem
  auto const r = p.host(residual(p.b, p.Q, p.psi, z, six.u)),
             r_dense = p.host(residual(p.b, p.Q_dense, p.psi_dense, to_device(p.b, p.as_columns(p.z)),
                                       to_device(p.b, p.as_columns(p.host(six.u)))));
  CHECK(max_abs_difference(r, r_dense) <= tolerance<double>(p.n, 10));
  CHECK(std::abs(six.residual - std::max(r_dense(0, 0), r_dense(0, 1))) <= tolerance<double>(p.n, 10));
  REQUIRE(six.residual > 1e-6);
  // kappa bounds the factor of the materialised recursion, and not by much
  double const kappa = static_cast<double>(contraction(p.b, p.Q, p.psi, Gershgorin{}).kappa);
  auto const dense_step = Step<B>{1, to_device(p.b, p.every_site(p.host(gershgorin_step(p.b, p.Q).Theta)))};
  auto const S = to_device(
      p.b, mapped([](double t, double e) { return t + e; }, p.host(dense_step.Theta), p.every_site(p.beta)));
  double const dense_kappa = static_cast<double>(
      contraction_factor(p.b, tie(p.b, p.Q_dense, p.psi_dense, dense_step), ConstView<B>(S)));
  CHECK(kappa < 1);
  CHECK(dense_kappa <= kappa);
  CHECK(kappa <= 1.2 * dense_kappa);
  double distance = 0;
  for (Index j = 0; j < 2; ++j) {
    double square = 0;
    for (Index i = 0; i < p.n; ++i) {
      double const d = p.as_columns(p.host(six.u))(i, j) - p.as_columns(exact)(i, j);
      square += p.host(S)(i, 0) * d * d;
    }
    distance = std::max(distance, std::sqrt(square));
  }
  double norm_U_1 = 0;
  auto const one = p.as_columns(p.host(metric_prox(p.b, p.Q, p.psi, z, Gershgorin{}, Unroll<1>{}).u));
  for (Index j = 0; j < 2; ++j) {
    double square = 0;
    for (Index i = 0; i < p.n; ++i) square += p.host(S)(i, 0) * one(i, j) * one(i, j);
    norm_U_1 = std::max(norm_U_1, std::sqrt(square));
  }
  CHECK(distance <= *a_priori_bound(kappa, norm_U_1, 6));
  CHECK(distance > 1e-6);
}

TEST_CASE("the exact prox of images refuses what does not fit") {
  Images<Cpu<double>, NonnegativeElasticNet> p;
  check_throws_with<ShapeError>(
      [&] { exact_prox(p.b, p.Q, p.psi, to_device(p.b, HostMatrix<double>(4, 21))); },
      "exact_prox: z is 4 x 21, psi has 4 rows, Q has 4 channels and images of 20 sites");
  check_throws_with<ShapeError>(
      [&] { metric_prox(p.b, p.Q, p.psi, to_device(p.b, HostMatrix<double>(4, 21)), Gershgorin{}); },
      "metric_prox: z has 21 columns, must be a multiple of 20");
}

}  // namespace detrame
