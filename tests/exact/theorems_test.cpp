// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/exact/duality_gap.hpp"
#include "detrame/exact/encode.hpp"
#include "detrame/exact/exact_prox.hpp"
#include "detrame/exact/regularisation_path.hpp"
#include "detrame/metric/dense_metric.hpp"
#include "detrame/metric/objective.hpp"
#include "detrame/metric/transform.hpp"
#include "detrame/robust/lipschitz.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

using namespace detrame::test;

#define BACKENDS Cpu<double>, Cpu<float>, archetype::Loops<double>

namespace {

/// 8 x 12, overcomplete, alpha = .3, beta = .1, lambda = .2, d != 0.
template <Backend B>
Synthesis<B> synthesis(B& b) {
  using Scalar = typename B::Scalar;
  auto const d = mapped([](double v) { return .1 * v; }, normal_matrix<double>(12, 1, seed(501)));
  return {in_memory_of(b, unit_norm_dictionary<double>(8, 12, seed(500))), Scalar(.3), Scalar(.1), Scalar(.2),
          in_memory_of(b, d)};
}

/// Both active and inactive entries: an effect can show.
void require_mixed(HostMatrix<double> const& u) {
  Index active = 0;
  for (Index j = 0; j < u.cols(); ++j)
    for (Index i = 0; i < u.rows(); ++i) active += u(i, j) != 0;
  REQUIRE(active > u.rows() * u.cols() / 10);
  REQUIRE(active < u.rows() * u.cols() * 9 / 10);
}

/// Theorem 3.1 with either penalty: M_D(x) against prox^Q(F x - c), each solved from its own data.
template <class Psi, Backend B>
void theorem_3_1(B& b) {
  using Scalar = typename B::Scalar;
  Synthesis<B> const s = synthesis(b);
  Psi const psi(b, 12, s.lambda, s.beta);
  auto const x = normal_matrix<double>(8, 30, seed(502));
  auto const [W, c] = transform(b, s);
  auto const F = in_double(b, ConstView<B>(W)), shift = in_double(b, ConstView<B>(c));
  auto const z = host_matrix<double>(
      12, 30, [&, Fx = product(F, x)](Index i, Index j) { return Fx(i, j) - shift(i, 0); });
  auto const code = require_optimal(exact_synthesis(b, s, psi, in_memory_of(b, x)));
  auto const prox = require_optimal(exact_prox(b, s.metric(b), psi, in_memory_of(b, z)));
  require_mixed(in_double(b, ConstView<B>(code.u)));
  double const condition = 5 / .4;  // |Q| over alpha + beta
  CHECK(max_abs_difference(b, code.u, prox.u) <= tolerance<Scalar>(12, condition * condition * 4));
}

}  // namespace

TEST_CASE_TEMPLATE("(M2) M_D(x) = prox^Q(F x - c), for the paper's penalty and for the signed one", B,
                   BACKENDS) {
  B b;
  theorem_3_1<NonnegativeElasticNet<B>>(b);
  theorem_3_1<ElasticNet<B>>(b);
}

TEST_CASE_TEMPLATE("(M4) the prox is the fixed point of solving row by row, and nothing else is", B,
                   BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  auto const Q = definite_matrix<double>(10, 15, seed(510)), z = normal_matrix<double>(10, 12, seed(511));
  double const lambda = .1, beta = .05;
  NonnegativeElasticNet<B> const psi(b, 10, Scalar(lambda), Scalar(beta));
  auto const u = in_double(
      b, ConstView<B>(exact_prox(b, DenseMetric<B>(b, in_memory_of(b, Q)), psi, in_memory_of(b, z)).u));
  require_mixed(u);
  auto const defect = [&](HostMatrix<double> const& v) {
    double largest = 0;
    for (Index j = 0; j < 12; ++j)
      for (Index i = 0; i < 10; ++i) {
        double t = Q(i, i) * z(i, j) - lambda;
        for (Index l = 0; l < 10; ++l)
          if (l != i) t -= Q(i, l) * (v(l, j) - z(l, j));
        largest = std::max(largest, std::abs(v(i, j) - std::max(0., t / (Q(i, i) + beta))));
      }
    return largest;
  };
  CHECK(defect(u) <= tolerance<Scalar>(20, 15 * 4));
  for (Index i = 0; i < 10; ++i) {
    auto v = u;
    v(i, 3) += .01;
    CHECK(defect(v) > .001);
  }
}

TEST_CASE_TEMPLATE("(L1) |u - u'|_Q^2 <= <u - u', z - z'>_Q: firmly nonexpansive in its own metric", B,
                   BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  auto const Q = definite_matrix<double>(9, 40, seed(520));
  DenseMetric<B> const metric(b, in_memory_of(b, Q));
  NonnegativeElasticNet<B> const psi(b, 9, Scalar(.1), Scalar(.05));
  auto const z = normal_matrix<double>(9, 60, seed(521));
  auto const u = in_double(b, ConstView<B>(exact_prox(b, metric, psi, in_memory_of(b, z)).u));
  require_mixed(u);
  for (Index j = 0; j + 1 < 60; ++j) {
    auto const du = host_matrix<double>(9, 1, [&](Index i, Index) { return u(i, j) - u(i, j + 1); });
    auto const dz = host_matrix<double>(9, 1, [&](Index i, Index) { return z(i, j) - z(i, j + 1); });
    CHECK(inner(du, product(Q, du)) <=
          inner(du, product(Q, dz)) + static_cast<double>(tolerance<Scalar>(9, 40 * 40)));
  }
}

TEST_CASE_TEMPLATE("(L2) |M_D(x) - M_D(x')| <= |x - x'| / (2 sqrt(alpha + beta)), and nearly so somewhere", B,
                   BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  // sigma = sqrt(alpha + beta) makes the bound sharp: a single atom of that norm
  Scalar const s(.25);
  Synthesis<B> const sharp{in_memory_of(b, HostMatrix<double>(1, 1, .5)), s, Scalar(0), Scalar(0),
                           zeros(b, 1, 1)};
  CHECK(lipschitz_bound(sharp) >= 1);
  CHECK(lipschitz_bound(sharp) <= 1 + tolerance<Scalar>(2, 1));
  auto const two = in_double(
      b, ConstView<B>(
             exact_synthesis(
                 b, sharp,
                 in_memory_of(b, HostMatrix<double>{host_matrix<double>(
                                     1, 2, [](Index, Index j) { return 1. + static_cast<double>(j); })}))
                 .u));
  CHECK(std::abs(two(0, 1) - two(0, 0) - 1) <= static_cast<double>(tolerance<Scalar>(4, 2)));

  Synthesis<B> const problem = synthesis(b);
  double const bound = static_cast<double>(lipschitz_bound(problem));
  auto const x = normal_matrix<double>(8, 60, seed(530));
  auto const u = in_double(b, ConstView<B>(exact_synthesis(b, problem, in_memory_of(b, x)).u));
  for (Index j = 0; j + 1 < 60; ++j) {
    double du = 0, dx = 0;
    for (Index i = 0; i < 12; ++i) du += (u(i, j) - u(i, j + 1)) * (u(i, j) - u(i, j + 1));
    for (Index i = 0; i < 8; ++i) dx += (x(i, j) - x(i, j + 1)) * (x(i, j) - x(i, j + 1));
    CHECK(std::sqrt(du) <= bound * std::sqrt(dx) + static_cast<double>(tolerance<Scalar>(12, 20)));
  }
  check_throws_with<DomainError>([&] { lipschitz_bound(Scalar(0), Scalar(0)); },
                                 "alpha + beta = 0, must be > 0");
}

TEST_CASE_TEMPLATE("(L2) |W|_2 of a linear layer", B, BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  HostMatrix<double> W(2, 3);
  W(0, 0) = 3;
  W(1, 2) = -4;
  CHECK(std::abs(lipschitz_constant(b, in_memory_of(b, W)) - 4) <= tolerance<Scalar>(6, 16));
  CHECK(std::abs(lipschitz_constant(b, in_memory_of(b, transposed(W))) - 4) <= tolerance<Scalar>(6, 16));
  CHECK(lipschitz_constant(b, zeros(b, 0, 3)) == 0);
}

TEST_CASE_TEMPLATE("(D1) the duality gap bounds the objective's excess and is zero at the solution", B,
                   BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  Synthesis<B> const s = synthesis(b);
  auto const X = in_memory_of(b, normal_matrix<double>(8, 10, seed(540)));
  auto const code = require_optimal(encode(b, s, X));
  auto const psi = s.penalty(b);
  auto const best = in_double(b, ConstView<B>(objective(b, s, psi, X, code.u)));
  double const slack = static_cast<double>(tolerance<Scalar>(40, 20));
  CHECK(max_abs(in_double(b, ConstView<B>(duality_gap(b, s, X, code.u)))) <= slack);
  for (double size : {1., .1, .01}) {
    auto const A = mapped([&](double u, double v) { return std::max(0., u + size * v); },
                          in_double(b, ConstView<B>(code.u)), normal_matrix<double>(12, 10, seed(541)));
    auto const excess = in_double(b, ConstView<B>(objective(b, s, psi, X, in_memory_of(b, A))));
    auto const gap = in_double(b, ConstView<B>(duality_gap(b, s, X, in_memory_of(b, A))));
    for (Index j = 0; j < 10; ++j) {
      CHECK(gap(0, j) >= 0);
      CHECK(excess(0, j) - best(0, j) <= gap(0, j) + slack);
    }
  }
  auto const outside =
      in_double(b, ConstView<B>(duality_gap(b, s, X, in_memory_of(b, HostMatrix<double>(12, 10, -1)))));
  CHECK(std::isinf(outside(0, 0)));
  check_throws_with<ShapeError>([&] { duality_gap(b, s, X, zeros(b, 12, 9)); }, "A is 12 x 9");
  check_throws_with<ShapeError>([&] { decode(b, s, zeros(b, 5, 9)); }, "decode: A has 5 rows, D is 8 x 12");
}

TEST_CASE_TEMPLATE("(M8) a path starts at lambda_max with zero codes; each point equals a cold solution", B,
                   BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  Synthesis<B> s = synthesis(b);
  auto const X = in_memory_of(b, normal_matrix<double>(8, 5, seed(550)));
  auto const path = regularisation_path(b, s, X, 6, Scalar(.05));
  REQUIRE(path.size() == 6);
  CHECK(max_abs(in_double(b, ConstView<B>(path.front().code.u))) == 0);
  CHECK(std::abs(path.back().lambda / path.front().lambda - Scalar(.05)) <= tolerance<Scalar>(8, 1));
  for (auto const& point : path) {
    s.lambda = point.lambda;
    CHECK(point.code.status == ExactStatus::optimal);
    CHECK(max_abs_difference(b, point.code.u, encode(b, s, X).u) <= tolerance<Scalar>(12, 200));
  }
  CHECK(max_abs(in_double(b, ConstView<B>(path[1].code.u))) > 0);
  check_throws_with<DomainError>([&] { regularisation_path(b, s, X, 0, Scalar(.5)); },
                                 "count = 0, must be >= 1");
  check_throws_with<DomainError>([&] { regularisation_path(b, s, X, 3, Scalar(0)); },
                                 "ratio = 0, must be in (0, 1]");
}

TEST_CASE("any Eigen expression is taken: maps with strides, row-major, products") {
  Cpu<double> b;
  auto const s = synthesis(b);
  Eigen::MatrixXd const X = in_memory_of(b, normal_matrix<double>(8, 5, seed(560)));
  Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> const rows = X;
  Eigen::MatrixXd const padded = Eigen::MatrixXd::Constant(11, 10, 7.);
  Eigen::MatrixXd holder = padded;
  Eigen::Map<Eigen::MatrixXd, 0, Eigen::Stride<Eigen::Dynamic, 2>> strided(
      holder.data(), 4, 5, Eigen::Stride<Eigen::Dynamic, 2>(22, 2));
  auto const u = encode(b, s, X).u;
  CHECK(encode(b, s, rows).u == u);
  CHECK(encode(b, s, 2 * X - X).u == u);
  CHECK(encode(b, s, X.middleCols(1, 3)).u == u.middleCols(1, 3));
  CHECK(decode(b, s, u.topRows(12)) == decode(b, s, u));
  Synthesis<Cpu<double>> const small{Eigen::MatrixXd::Identity(4, 3), .5, 0., 0.,
                                     Eigen::MatrixXd::Zero(3, 1)};
  CHECK(encode(b, small, strided).u.isApprox(Eigen::MatrixXd::Constant(3, 5, 7. / 1.5)));
}

}  // namespace detrame
