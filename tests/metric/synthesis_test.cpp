// SPDX-License-Identifier: Apache-2.0
#include "detrame/metric/synthesis.hpp"

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/metric/dense_metric.hpp"
#include "detrame/metric/objective.hpp"
#include "detrame/metric/transform.hpp"
#include "laws/archetype.hpp"
#include "metric/naive.hpp"

namespace detrame {

using namespace detrame::test;
using naive::in_double;

#define DETRAME_BACKENDS Cpu<float>, Cpu<double>, archetype::Loops<float>, archetype::Loops<double>

namespace {

/// alpha = 1/4: the condition of Q = D^T D + alpha I is at most 1 + |D|^2 / alpha, some 20.
template <Backend B>
Synthesis<B> synthesis(B& b, Index m, Index k) {
  using Scalar = typename B::Scalar;
  return {to_device(b, unit_norm_dictionary<Scalar>(m, k, seed(1))), Scalar(0.25), Scalar(0.125),
          Scalar(0.25), to_device(b, normal_matrix<Scalar>(k, 1, seed(2)))};
}
constexpr double condition = 20;

/// prox^Q_psi(W x - c) beside W and c, in double, of what B holds.
template <Backend B>
HostMatrix<double> transformed(B& b, Transform<B> const& t, HostMatrix<double> const& X) {
  auto const Wx = product(in_double(b, t.W), X), c = in_double(b, t.c);  // k x N, k x 1
  return host_matrix<double>(Wx.rows(), Wx.cols(), [&](Index i, Index j) { return Wx(i, j) - c(i, 0); });
}

}  // namespace

TEST_CASE_TEMPLATE("(M2, E7) (7) - (11) = 1/2 (|x|^2 - |F x|_Q^2 - |c|_Q^2) + <x, D c>, whatever a is", B,
                   DETRAME_BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  Index const m = 5, k = 8, N = 3;
  auto const problem = synthesis(b, m, k);
  auto const Q = problem.metric(b);
  auto const t = transform(b, problem);              // W = F: k x m, c: k x 1
  auto const X_b = random_matrix(b, m, N, seed(3));  // m x N
  auto const X = in_double(b, X_b), c = in_double(b, t.c), D = in_double(b, problem.D);
  auto const Z = rounded<Scalar>(transformed(b, t, X));  // k x N
  auto const Fx = product(in_double(b, t.W), X);         // k x N
  auto const Q_dense = in_double(b, dense(b, Q)), QFx = product(Q_dense, Fx), Dc = product(D, c);
  auto const difference = [&](auto const& psi, HostMatrix<Scalar> const& A) {
    auto const A_b = to_device(b, A);
    return mapped([](Scalar x, Scalar y) { return x - y; }, to_host(b, objective(b, problem, psi, X_b, A_b)),
                  to_host(b, objective(b, Q, psi, to_device(b, Z), A_b)));
  };
  double const scale = condition * (inner(X, X) + inner(c, c) + 50);
  for (std::uint64_t n = 0; n < 3; ++n) {
    auto const A = normal_matrix<Scalar>(k, N, seed(10 + n));
    auto const found = difference(ElasticNet<B>(b, k, Scalar(0.5), Scalar(0.25)), A);
    auto const found_nonnegative = difference(NonnegativeElasticNet<B>(b, k, Scalar(2), Scalar(0)),
                                              mapped([](Scalar a) { return std::abs(a); }, A));
    for (Index j = 0; j < N; ++j) {
      double expected = -inner(c, product(Q_dense, c)) / 2;
      for (Index i = 0; i < m; ++i) expected += X(i, j) * X(i, j) / 2 + X(i, j) * Dc(i, 0);
      for (Index i = 0; i < k; ++i) expected -= Fx(i, j) * QFx(i, j) / 2;
      CHECK(std::abs(found(0, j) - expected) <= tolerance<Scalar>(k, scale));
      CHECK(std::abs(found_nonnegative(0, j) - expected) <= tolerance<Scalar>(k, scale));
    }
  }
}

TEST_CASE_TEMPLATE("(M2) Q F = D^T and Q c = d", B, DETRAME_BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  for (Index m : {1, 5, 12}) {
    auto const problem = synthesis(b, m, 8);
    auto const Q = in_double(b, dense(b, problem.metric(b)));
    auto const t = transform(b, problem);
    auto const d = in_double(b, problem.d), c = in_double(b, t.c);
    CHECK(max_abs_difference(product(Q, in_double(b, t.W)), transposed(in_double(b, problem.D))) <=
          tolerance<Scalar>(8, condition));
    CHECK(max_abs_difference(product(Q, c), d) <= tolerance<Scalar>(8, condition * max_abs(d)));
  }
}

TEST_CASE("(M2) prox^Q_psi(F x - c) minimises the synthesis objective, for both penalties") {
  Cpu<double> cpu;
  using B = Cpu<double>;
  Index const m = 5, k = 8, N = 3;
  auto const problem = synthesis(cpu, m, k);
  auto const X = normal_matrix<double>(m, N, seed(3));
  auto const Z = transformed(cpu, transform(cpu, problem), X);  // k x N
  auto const Q = problem.metric(cpu);
  auto const minimises = [&](auto const& psi) {
    auto const U =
        naive::prox(in_double(cpu, dense(cpu, Q)), in_double(cpu, psi.lambda()), in_double(cpu, psi.beta()),
                    std::remove_cvref_t<decltype(psi)>::Activation::two_sided, Z);
    naive::require_mixed_support(U);
    auto const least = objective(cpu, problem, psi, to_device(cpu, X), to_device(cpu, U));  // 1 x N
    for (std::uint64_t n = 0; n < 50; ++n) {  // rivals near and far
      auto const step = normal_matrix<double>(k, N, seed(n));
      auto const rival = naive::moved(U, n % 2 == 0 ? 1e-3 : 1, step);
      auto const value = objective(cpu, problem, psi, to_device(cpu, X),
                                   to_device(cpu, rival));  // strong convexity: it grows
      for (Index j = 0; j < N; ++j) {
        double square = 0;
        for (Index i = 0; i < k; ++i) square += (rival(i, j) - U(i, j)) * (rival(i, j) - U(i, j));
        CHECK(value(0, j) >=
              least(0, j) + 0.25 / 2 * square - tolerance<double>(k, std::abs(least(0, j)) + 10));
      }
    }
  };
  minimises(problem.penalty(cpu));
  minimises(ElasticNet<B>(cpu, k, 0.25, 0.125));
}

TEST_CASE("(E1) (15) printed W z - c: its z does not depend on x; W x - c does, and is Q^{-1} (D^T x - d)") {
  Cpu<double> cpu;
  Index const k = 6;  // the printed form has sizes that fit only where m = k
  auto const problem = synthesis(cpu, k, k);
  auto const t = transform(cpu, problem);
  auto const Q = in_double(cpu, dense(cpu, problem.metric(cpu)));
  auto const X = normal_matrix<double>(k, 2, seed(3));
  auto const Z = transformed(cpu, t, X);                                 // k x 2, one z for each x
  auto const right = product(transposed(in_double(cpu, problem.D)), X);  // D^T x
  auto const QZ = product(Q, Z);
  double defect = 0, printed_defect = 0;
  auto const WZ = product(in_double(cpu, t.W), Z);
  for (Index j = 0; j < 2; ++j)
    for (Index i = 0; i < k; ++i) {
      defect = std::max(defect, std::abs(QZ(i, j) - (right(i, j) - problem.d(i, 0))));
      printed_defect = std::max(printed_defect, std::abs(Z(i, j) - (WZ(i, j) - t.c(i, 0))));
    }
  CHECK(defect <= tolerance<double>(k, condition * max_abs(X)));
  CHECK(printed_defect > 0.1);
}

TEST_CASE("(E2) sum_j |u_j - z_j|_Q^2 = tr(V^T Q V); tr(V Q V^T), as printed, is another number") {
  Cpu<double> cpu;
  using B = Cpu<double>;
  Index const k = 5, N = 5;  // V Q V^T exists only where N = k
  DenseMetric<B> const Q(cpu, to_device(cpu, definite_matrix<double>(k, 50, seed(1))));
  auto const Z = normal_matrix<double>(k, N, seed(2)), U = normal_matrix<double>(k, N, seed(3));
  auto const V = mapped([](double u, double z) { return u - z; }, U, Z);
  auto const Q_dense = in_double(cpu, dense(cpu, Q));
  auto const trace = [](HostMatrix<double> const& A) { return inner(A, identity<double>(A.rows())); };
  double const right = trace(product(transposed(V), product(Q_dense, V)));
  double const printed = trace(product(V, product(Q_dense, transposed(V))));
  auto const half = objective(cpu, Q, ElasticNet<B>(cpu, k, 0, 0), to_device(cpu, Z), to_device(cpu, U));
  CHECK(std::abs(2 * half.sum() - right) <= tolerance<double>(k * N, right));
  CHECK(std::abs(printed - right) > 0.1 * right);
}

TEST_CASE_TEMPLATE("(M2) transform_pullback is the adjoint of transform", B, Cpu<double>,
                   archetype::Loops<double>) {
  B b;
  Index const m = 4, k = 6;
  auto const problem = synthesis(b, m, k);
  auto const W_bar = normal_matrix<double>(k, m, seed(4)), c_bar = normal_matrix<double>(k, 1, seed(5));
  auto const bar = transform_pullback(b, problem, Transform<B>{to_device(b, W_bar), to_device(b, c_bar)});
  for (std::uint64_t n = 0; n < 3; ++n) {
    auto const dD = normal_matrix<double>(m, k, seed(20 + n)), dd = normal_matrix<double>(k, 1, seed(30 + n));
    double const dalpha = n == 0 ? 1 : -0.5;
    auto const derivative = naive::central_difference([&](double t) {
      Synthesis<B> const at{to_device(b, naive::moved(in_double(b, problem.D), t, dD)),
                            problem.alpha + t * dalpha, problem.beta, problem.lambda,
                            to_device(b, naive::moved(in_double(b, problem.d), t, dd))};
      auto const moved = transform(b, at);
      return inner(in_double(b, moved.W), W_bar) + inner(in_double(b, moved.c), c_bar);
    });
    double const adjoint =
        inner(to_host(b, bar.D_bar), dD) + inner(to_host(b, bar.d_bar), dd) + bar.alpha_bar * dalpha;
    CHECK(std::abs(adjoint - derivative.value) <= derivative.error);
  }
}

TEST_CASE_TEMPLATE("(M2) transform_pullback in float is the one in double, rounded", B, Cpu<float>,
                   archetype::Loops<float>) {
  B b;
  Cpu<double> cpu;
  Index const m = 4, k = 6;
  auto const W_bar = normal_matrix<float>(k, m, seed(4)), c_bar = normal_matrix<float>(k, 1, seed(5));
  auto const problem = synthesis(b, m, k);
  auto const bar = transform_pullback(b, problem, Transform<B>{to_device(b, W_bar), to_device(b, c_bar)});
  Synthesis<Cpu<double>> const exactly{to_device(cpu, in_double(b, problem.D)), problem.alpha, problem.beta,
                                       problem.lambda, to_device(cpu, in_double(b, problem.d))};
  auto const expected = transform_pullback(
      cpu, exactly, {to_device(cpu, rounded<double>(W_bar)), to_device(cpu, rounded<double>(c_bar))});
  double const scale = condition * condition * std::max(max_abs(W_bar), max_abs(c_bar));
  CHECK(max_abs_difference(in_double(b, bar.D_bar), to_host(cpu, expected.D_bar)) <=
        tolerance<float>(k, scale));
  CHECK(max_abs_difference(in_double(b, bar.d_bar), to_host(cpu, expected.d_bar)) <=
        tolerance<float>(k, scale));
  CHECK(std::abs(bar.alpha_bar - expected.alpha_bar) <= tolerance<float>(k, scale));
}

TEST_CASE("synthesis: what does not fit is refused") {
  Cpu<double> cpu;
  using B = Cpu<double>;
  auto const with = [&](double alpha, double beta, double lambda, Index rows_of_d) {
    return Synthesis<B>{zeros(cpu, 2, 3), alpha, beta, lambda, zeros(cpu, rows_of_d, 1)};
  };
  auto const nan = std::numeric_limits<double>::quiet_NaN();
  check_throws_with<ShapeError>([&] { transform(cpu, with(1, 1, 1, 2)); },
                                "transform: d is 2 x 1, D is 2 x 3");
  check_throws_with<DomainError>([&] { transform(cpu, with(0, 1, 1, 3)); },
                                 "transform: alpha = 0, must be > 0");
  check_throws_with<DomainError>([&] { transform(cpu, with(1, -1, 1, 3)); },
                                 "transform: beta = -1, must be >= 0");
  check_throws_with<DomainError>([&] { transform(cpu, with(1, 1, nan, 3)); },
                                 "transform: lambda = nan, must be >= 0");
  auto const problem = with(1, 1, 1, 3);
  check_throws_with<ShapeError>(
      [&] { objective(cpu, problem, problem.penalty(cpu), zeros(cpu, 2, 4), zeros(cpu, 3, 5)); },
      "objective: X is 2 x 4, A is 3 x 5, psi has 3 rows, D is 2 x 3");
  check_throws_with<ShapeError>(
      [&] { objective(cpu, problem.metric(cpu), problem.penalty(cpu), zeros(cpu, 2, 4), zeros(cpu, 3, 4)); },
      "objective: Z is 2 x 4, U is 3 x 4, psi has 3 rows, Q is 3 x 3");
  check_throws_with<ShapeError>(
      [&] { transform_pullback(cpu, problem, {zeros(cpu, 2, 3), zeros(cpu, 3, 1)}); },
      "transform_pullback: W_bar is 2 x 3, c_bar is 3 x 1, D is 2 x 3");
}

}  // namespace detrame
