// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/metric/block_metric.hpp"
#include "detrame/metric/dense_metric.hpp"
#include "detrame/metric/gram_metric.hpp"
#include "detrame/metric/penalty.hpp"
#include "laws/archetype.hpp"
#include "laws/metric_laws.hpp"

namespace detrame {

using namespace detrame::test;

#define DETRAME_BACKENDS Cpu<float>, Cpu<double>, archetype::Loops<float>, archetype::Loops<double>

static_assert(Metric<DenseMetric<Cpu<float>>> && Metric<DenseMetric<archetype::Loops<double>>>);
static_assert(Metric<GramMetric<Cpu<float>>> && Metric<GramMetric<archetype::Loops<double>>>);
static_assert(Metric<BlockDiagonalMetric<Cpu<float>>> &&
              Metric<BlockDiagonalMetric<archetype::Loops<double>>>);
static_assert(Penalty<NonnegativeElasticNet<Cpu<float>>> && Penalty<ElasticNet<archetype::Loops<double>>>);

namespace {

template <Backend B>
DenseMetric<B> dense_metric(B& b, Index k, double condition) {
  return {b, to_device(b, definite_matrix<typename B::Scalar>(k, condition, seed(1)))};
}

/// m < k / 2, which is applied through D, and m > k / 2, which is not.
template <Backend B>
GramMetric<B> gram_metric(B& b, Index m, Index k) {
  return {b, to_device(b, unit_norm_dictionary<typename B::Scalar>(m, k, seed(2))), typename B::Scalar(0.05)};
}

template <class Scalar>
HostMatrix<Scalar> blocks(Index groups, Index kg) {
  HostMatrix<Scalar> Q(kg, groups * kg);  // kg x k
  for (Index g = 0; g < groups; ++g) {
    double const condition = 10.0 * static_cast<double>(2 * g % 3 + 1);  // 10, 30, 20
    auto const block = definite_matrix<Scalar>(kg, condition, seed(3 + static_cast<unsigned>(g)));
    for (Index j = 0; j < kg; ++j)
      for (Index i = 0; i < kg; ++i) Q(i, g * kg + j) = block(i, j);
  }
  return Q;
}

/// A few of each kind, of awkward sizes.
template <Backend B>
struct Metrics {
  explicit Metrics(B& b)
      : dense{dense_metric(b, 1, 1), dense_metric(b, 17, 100)},
        gram{gram_metric(b, 5, 17), gram_metric(b, 12, 17), gram_metric(b, 0, 3)},
        block{{b, to_device(b, blocks<typename B::Scalar>(3, 5))},
              {b, to_device(b, blocks<typename B::Scalar>(1, 6))}} {}

  template <class Law>
  void for_each(Law&& law) const {
    for (auto const& Q : dense) law(Q);
    for (auto const& Q : gram) law(Q);
    for (auto const& Q : block) law(Q);
  }

  std::vector<DenseMetric<B>> dense;
  std::vector<GramMetric<B>> gram;
  std::vector<BlockDiagonalMetric<B>> block;
};

}  // namespace

TEST_CASE_TEMPLATE("(M3) the metrics obey their laws", B, DETRAME_BACKENDS) {
  B b;
  laws::metric_laws(b, Metrics<B>(b));
}

TEST_CASE_TEMPLATE("metric: lambda_min is the smallest eigenvalue but for rounding, of all blocks", B,
                   DETRAME_BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  auto const check = [](Scalar found, double smallest, Index k) {
    CHECK(std::abs(found - smallest) <= tolerance<Scalar>(k, 1));
  };
  check(dense_metric(b, 17, 100).lambda_min(), 1.0 / 100, 17);
  check(BlockDiagonalMetric<B>(b, to_device(b, blocks<Scalar>(3, 5))).lambda_min(), 1.0 / 30, 5);
}

TEST_CASE_TEMPLATE("(M2) the Gram metric is D^T D + alpha I, and its pullback is the adjoint", B,
                   DETRAME_BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  Index const m = 4, k = 7;
  auto const D = normal_matrix<Scalar>(m, k, seed(1));
  GramMetric<B> const Q(b, to_device(b, D), Scalar(0.25));
  auto const expected = host_matrix<Scalar>(k, k, [&](Index i, Index j) {
    Scalar sum(i == j ? 0.25 : 0);
    for (Index l = 0; l < m; ++l) sum += D(l, i) * D(l, j);
    return sum;
  });
  double const scale = inner(D, D);
  CHECK(max_abs_difference(to_host(b, dense(b, Q)), expected) <= tolerance<Scalar>(m, scale));

  auto const half = normal_matrix<Scalar>(k, k, seed(2)), dD = normal_matrix<Scalar>(m, k, seed(3));
  auto const Q_bar =
      mapped([](Scalar x, Scalar y) { return x + y; }, half, transposed(half));  // k x k, symmetric
  auto D_bar = zeros(b, m, k);                                                   // m x k
  gram_pullback<B>(b, to_device(b, D), to_device(b, Q_bar), D_bar);
  double const derivative = 2 * inner(Q_bar, product(transposed(D), dD));  // <Q_bar, dD^T D + D^T dD>
  CHECK(std::abs(inner(to_host(b, D_bar), dD) - derivative) <=
        tolerance<Scalar>(k, norm(Q_bar) * norm(D) * norm(dD)));
}

TEST_CASE_TEMPLATE("metric: an asymmetry of rounding is averaged, a larger one refused", B,
                   DETRAME_BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  Scalar const ulp = std::numeric_limits<Scalar>::epsilon();
  auto Q = identity<Scalar>(2);
  Q(0, 1) = Scalar(0.5) + ulp;
  Q(1, 0) = Scalar(0.5) - ulp;
  CHECK(to_host(b, dense(b, DenseMetric<B>(b, to_device(b, Q))))(0, 1) == Scalar(0.5));
  Q(0, 1) = Scalar(0.5) + 20 * ulp;
  check_throws_with<DomainError>([&] { DenseMetric<B>(b, to_device(b, Q)); },
                                 "DenseMetric: Q is not symmetric");
}

TEST_CASE("metric: what is not one is refused, with a sentence") {
  using B = Cpu<double>;
  using Scalar = double;
  B b;
  auto const matrix = [&](Scalar q00, Scalar q01, Scalar q10, Scalar q11) {
    Scalar const q[2][2] = {{q00, q01}, {q10, q11}};
    return to_device(b, host_matrix<Scalar>(2, 2, [&](Index i, Index j) { return q[i][j]; }));
  };
  Scalar const nan = std::numeric_limits<Scalar>::quiet_NaN(),
               infinity = std::numeric_limits<Scalar>::infinity();
  check_throws_with<ShapeError>([&] { DenseMetric<B>(b, zeros(b, 2, 3)); },
                                "DenseMetric: Q is 2 x 3, must be square, with a row or more");
  check_throws_with<ShapeError>([&] { DenseMetric<B>(b, zeros(b, 0, 0)); },
                                "DenseMetric: Q is 0 x 0, must be square, with a row or more");
  check_throws_with<ShapeError>([&] { BlockDiagonalMetric<B>(b, zeros(b, 2, 3)); },
                                "BlockDiagonalMetric: Q is 2 x 3, must be square blocks side by side");
  check_throws_with<DomainError>(
      [&] { DenseMetric<B>(b, matrix(2, 1, 0.5, 2)); },
      "DenseMetric: Q is not symmetric: 1 in row 0, column 1, 0.5 across the diagonal");
  check_throws_with<DomainError>([&] { DenseMetric<B>(b, matrix(2, nan, nan, 2)); },
                                 "DenseMetric: Q has an entry nan, must be finite");
  check_throws_with<DomainError>([&] { DenseMetric<B>(b, matrix(infinity, 0, 0, 2)); },
                                 "DenseMetric: Q has an entry inf, must be finite");
  check_throws_with<DomainError>(
      [&] { DenseMetric<B>(b, matrix(-1, 0, 0, 2)); },
      "DenseMetric: Q is not definite: its smallest eigenvalue is -1, must be > 0");
  check_throws_with<DomainError>([&] { DenseMetric<B>(b, matrix(1, 1, 1, 1)); },
                                 "DenseMetric: Q is not definite");
  auto Q = blocks<Scalar>(2, 2);
  Q(1, 3) = Scalar(-1);
  check_throws_with<DomainError>([&] { BlockDiagonalMetric<B>(b, to_device(b, Q)); },
                                 "BlockDiagonalMetric: Q is not definite");
  check_throws_with<DomainError>([&] { GramMetric<B>(b, zeros(b, 2, 3), 0); },
                                 "GramMetric: alpha = 0, must be > 0 and finite");
  check_throws_with<DomainError>([&] { GramMetric<B>(b, zeros(b, 2, 3), nan); },
                                 "GramMetric: alpha = nan, must be > 0 and finite");
  check_throws_with<DomainError>([&] { GramMetric<B>(b, matrix(1, nan, 0, 1), 1); },
                                 "GramMetric: D has an entry nan, must be finite");
  check_throws_with<ShapeError>([&] { GramMetric<B>(b, zeros(b, 2, 0), 1); },
                                "GramMetric: D is 2 x 0, must have an atom or more");
}

// ---- penalties --------------------------------------------------------------------------------------------

TEST_CASE_TEMPLATE("(M1) psi(u) = lambda |u|_1 + beta/2 |u|^2, infinite below 0 where it is one-sided", B,
                   DETRAME_BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  auto const U = to_device(b, host_matrix<Scalar>(2, 3, [](Index i, Index j) {
                             Scalar const u[2][3] = {{2, 0, 1}, {3, 0, -1}};
                             return u[i][j];
                           }));
  auto const vector = [&](Scalar x, Scalar y) {
    return to_device(b, host_matrix<Scalar>(2, 1, [&](Index i, Index) { return i == 0 ? x : y; }));
  };
  auto out = zeros(b, 1, 3);
  NonnegativeElasticNet<B>(b, vector(1, 2), vector(4, 0)).value(b.lane(), U, out);
  auto const one_sided = to_host(b, out);
  CHECK(one_sided(0, 0) == 2 * 1 + 4 / 2 * 4 + 3 * 2);
  CHECK(one_sided(0, 1) == 0);
  CHECK(one_sided(0, 2) == std::numeric_limits<Scalar>::infinity());
  ElasticNet<B>(b, 2, 1, 4).value(b.lane(), U, out);
  CHECK(to_host(b, out)(0, 2) == 1 + 2 + 1 + 2);
}

TEST_CASE_TEMPLATE("(M1) Activation(h t, b) minimises theta/2 (u - t)^2 + gamma psi(u)", Psi,
                   NonnegativeElasticNet<Cpu<double>>, ElasticNet<Cpu<double>>) {
  typename Psi::Activation const A;
  Random const random(seed(1), 0);
  int zeros = 0, active = 0;
  for (std::uint64_t n = 0; n < 500; ++n) {
    auto const draw = [&](std::uint64_t which) { return random.uniform<double>(5 * n + which); };
    double const theta = 0.1 + draw(0), gamma = 0.1 + draw(1), lambda = draw(2), beta = draw(3),
                 t = 6 * draw(4) - 3;
    auto const value = [&](double u) {
      return theta / 2 * (u - t) * (u - t) +
             gamma * formula::PenaltyTerm<typename Psi::Activation>{}(u, lambda, beta);
    };
    double const s = theta + gamma * beta, u = A(theta / s * t, gamma * lambda / s);
    (u == 0 ? zeros : active) += 1;
    for (double const d :
         {-1.0, -0.1, -1e-3, 1e-3, 0.1, 1.0})  // strongly convex: it grows by s/2 d^2 at least
      CHECK(value(u + d) >= value(u) + s / 2 * d * d - tolerance<double>(1, 40));
  }
  REQUIRE(zeros > 50);
  REQUIRE(active > 50);
}

TEST_CASE_TEMPLATE("(M1) du/dt = 1[u != 0] and du/db = -sign(u), 0 at a kink", Psi,
                   NonnegativeElasticNet<Cpu<double>>, ElasticNet<Cpu<double>>) {
  typename Psi::Activation const A;
  double const d = 0.25;
  for (double const t : {-3.0, -1.0, -0.5, 0.5, 1.0, 3.0}) {
    double const b = 1.5, u = A(t, b), sign = u > 0 ? 1 : (u < 0 ? -1 : 0);
    CHECK((A(t + d, b) - A(t - d, b)) / (2 * d) == std::abs(sign));
    CHECK((A(t, b + d) - A(t, b - d)) / (2 * d) == -sign);
  }
  CHECK(A(1.5, 1.5) == 0);  // at the kink u is 0, so what is computed from u has derivative 0
  CHECK(std::isnan(A(std::numeric_limits<double>::quiet_NaN(), 1.5)));
}

TEST_CASE("penalty: numbers below 0 and shapes that do not fit are refused") {
  using B = Cpu<double>;
  using Scalar = double;
  B b;
  Scalar const nan = std::numeric_limits<Scalar>::quiet_NaN();
  auto const column = [&](Scalar x, Scalar y) {
    return to_device(b, host_matrix<Scalar>(2, 1, [&](Index i, Index) { return i == 0 ? x : y; }));
  };
  check_throws_with<DomainError>([&] { NonnegativeElasticNet<B>(b, 3, Scalar(-0.5), 1); },
                                 "NonnegativeElasticNet: lambda = -0.5, must be >= 0");
  check_throws_with<DomainError>([&] { ElasticNet<B>(b, 3, 1, nan); },
                                 "ElasticNet: beta = nan, must be >= 0");
  check_throws_with<DomainError>([&] { ElasticNet<B>(b, 0, 1, 1); }, "ElasticNet: k = 0, must be >= 1");
  check_throws_with<DomainError>([&] { ElasticNet<B>(b, column(1, -2), column(0, 0)); },
                                 "ElasticNet: lambda(1) = -2, must be >= 0");
  check_throws_with<DomainError>([&] { ElasticNet<B>(b, column(1, 2), column(nan, 0)); },
                                 "ElasticNet: beta(0) = nan, must be >= 0");
  check_throws_with<ShapeError>(
      [&] { NonnegativeElasticNet<B>(b, zeros(b, 2, 1), zeros(b, 3, 1)); },
      "NonnegativeElasticNet: lambda is 2 x 1, beta is 3 x 1, must be columns of equal length");
}

}  // namespace detrame
