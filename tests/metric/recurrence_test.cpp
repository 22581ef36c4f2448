// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/metric/dense_metric.hpp"
#include "detrame/metric/synthesis.hpp"
#include "detrame/metric/tie_pullback.hpp"
#include "detrame/metric/transform.hpp"
#include "laws/archetype.hpp"
#include "metric/naive.hpp"

namespace detrame {

using namespace detrame::test;
using naive::Host;
using naive::in_double;

namespace {

constexpr Index k = 7, N = 3;

/// Q with eigenvalues from 1 down to 1/20, a lambda and a beta for each row,
/// and prox^Q_psi(Z) by naive sweeps.
template <Backend B_, Penalty Psi>
struct Problem {
  using B = B_;
  using Scalar = typename B::Scalar;
  static constexpr bool two_sided = Psi::Activation::two_sided;

  B b;
  DenseMetric<B> Q{b, to_device(b, definite_matrix<Scalar>(k, 20, seed(1)))};
  Psi psi{b, to_device(b, uniform_matrix<Scalar>(k, 1, seed(2), 0.05, 0.3)),
          to_device(b, uniform_matrix<Scalar>(k, 1, seed(3), 0.01, 0.5))};
  Host const Q_dense = in_double(b, dense(b, Q));                                   // k x k
  Host const lambda = in_double(b, psi.lambda()), beta = in_double(b, psi.beta());  // k x 1
  Host const Z = normal_matrix<double>(k, N, seed(4));                              // k x N
  Host const U = naive::prox(Q_dense, lambda, beta, two_sided, Z);                  // k x N

  /// How far one update moves the prox.
  double defect(Recurrence<B> const& r) {
    return max_abs_difference(naive::updated(b, r, two_sided, Z, U), U);
  }
  double defect(Host const& W, Host const& h, Host const& shift) const {
    return max_abs_difference(naive::updated(W, h, shift, two_sided, Z, U), U);
  }
  /// How far it may: W~, h and b are known to some eps.
  double rounding() const { return tolerance<Scalar>(k, max_abs(Z) + max_abs(U)); }
};
template <Backend B>
using OneSided = Problem<B, NonnegativeElasticNet<B>>;
template <Backend B>
using TwoSided = Problem<B, ElasticNet<B>>;

#define DETRAME_PROBLEMS OneSided<Cpu<float>>, TwoSided<Cpu<double>>, OneSided<archetype::Loops<double>>

/// Three blocks of two rows, with the penalty of one.
template <Backend B>
BlockDiagonalMetric<B> blocks(B& b) {
  auto const Q = definite_matrix<typename B::Scalar>(2, 5, seed(1));  // 2 x 2
  return {b, to_device(b, host_matrix<typename B::Scalar>(2, 6, [&](Index i, Index j) {
                         return Q(i, j % 2) * static_cast<typename B::Scalar>(1 + j / 2);
                       }))};
}

}  // namespace

TEST_CASE_TEMPLATE("(M4, M6) prox^Q_psi(z) is a fixed point of the tied recursion, whatever the step", P,
                   DETRAME_PROBLEMS) {
  using Scalar = typename P::Scalar;
  P p;
  naive::require_mixed_support(p.U);
  CHECK(p.defect(tie(p.b, p.Q, p.psi, coordinate_step(p.b, p.Q))) <= p.rounding());
  CHECK(p.defect(tie(p.b, p.Q, p.psi, gershgorin_step(p.b, p.Q))) <= p.rounding());
  CHECK(p.defect(tie(p.b, p.Q, p.psi, diagonal_step(p.b, p.Q, Scalar(0.25)))) <= p.rounding());
  auto const Theta = to_device(p.b, uniform_matrix<Scalar>(k, 1, seed(5), 0.5, 2));
  CHECK(p.defect(tie(p.b, p.Q, p.psi, Step<typename P::B>{Scalar(0.75), Theta})) <= p.rounding());
}

TEST_CASE_TEMPLATE("(E4) (24) printed with delta_{i-l} moves the prox; with 1 - delta_{i-l} it does not", P,
                   DETRAME_PROBLEMS) {
  P p;
  naive::require_mixed_support(p.U);
  auto const tied = tie(p.b, p.Q, p.psi, coordinate_step(p.b, p.Q));
  auto const h = in_double(p.b, tied.h), b = in_double(p.b, tied.b);
  auto const eq_24 = [&](auto keep) {
    return host_matrix<double>(k, k, [&](Index i, Index l) {
      return keep(i, l) ? -p.Q_dense(i, l) / (p.Q_dense(i, i) + p.beta(i, 0)) : 0.0;
    });
  };
  CHECK(p.defect(eq_24([](Index i, Index l) { return i != l; }), h, b) <= p.rounding());
  CHECK(p.defect(eq_24([](Index i, Index l) { return i == l; }), h, b) > 0.1);
}

TEST_CASE_TEMPLATE("(E6) (31) printed with lambda twice moves the prox; with gamma / theta alone it does not",
                   P, DETRAME_PROBLEMS) {
  P p;
  naive::require_mixed_support(p.U);
  double const gamma = 0.25;
  auto const tied = tie(p.b, p.Q, p.psi, diagonal_step(p.b, p.Q, typename P::Scalar(gamma)));
  Host const theta = host_matrix<double>(k, 1, [&](Index i, Index) { return p.Q_dense(i, i); });
  auto const by_row = [&](auto f) { return host_matrix<double>(k, 1, [&](Index i, Index) { return f(i); }); };
  // prox_{g / theta rho}(t) = S(theta / (theta + g beta) t, g lambda / (theta + g beta)), with g = gamma, or
  // as printed gamma lambda; then (29): u <- prox(z + (I - gamma / theta Q) (u - z)).
  auto const updated_with = [&](auto g) {
    auto const s = by_row([&](Index i) { return theta(i, 0) + g(i) * p.beta(i, 0); });
    Host const W = host_matrix<double>(k, k, [&](Index i, Index l) {
      return ((i == l ? theta(i, 0) : 0.0) - gamma * p.Q_dense(i, l)) / s(i, 0);
    });
    return p.defect(W, by_row([&](Index i) { return theta(i, 0) / s(i, 0); }),
                    by_row([&](Index i) { return g(i) * p.lambda(i, 0) / s(i, 0); }));
  };
  CHECK(updated_with([&](Index) { return gamma; }) <= p.rounding());
  CHECK(updated_with([&](Index i) { return gamma * p.lambda(i, 0); }) > 0.01);
  CHECK(p.defect(tied) <= p.rounding());
}

TEST_CASE_TEMPLATE("(M7) (34) with gamma = 1, Theta = diag(Q) is (24), with a diagonal of exact zeros", P,
                   DETRAME_PROBLEMS) {
  using Scalar = typename P::Scalar;
  P p;
  auto const tied = tie(p.b, p.Q, p.psi, coordinate_step(p.b, p.Q));
  auto const W = to_host(p.b, tied.W_tilde), h = to_host(p.b, tied.h), b = to_host(p.b, tied.b);
  for (Index i = 0; i < k; ++i) {
    double const s = p.Q_dense(i, i) + p.beta(i, 0);
    CHECK(W(i, i) == 0);
    CHECK(std::abs(h(i, 0) - p.Q_dense(i, i) / s) <= tolerance<Scalar>(1, 1));
    CHECK(std::abs(b(i, 0) - p.lambda(i, 0) / s) <= tolerance<Scalar>(1, p.lambda(i, 0) / s));
    for (Index l = 0; l < k; ++l)
      if (l != i)
        CHECK(std::abs(W(i, l) + p.Q_dense(i, l) / s) <= tolerance<Scalar>(1, std::abs(p.Q_dense(i, l) / s)));
  }
}

TEST_CASE_TEMPLATE("(M6) h o z - W~ z - b = gamma S^{-1} (D^T x - d - lambda), without Q^{-1}", B, Cpu<float>,
                   archetype::Loops<double>) {
  using Scalar = typename B::Scalar;
  B b;
  Index const m = 4;
  Synthesis<B> const problem{random_matrix(b, m, k, seed(1)), Scalar(0.5), Scalar(0.25), Scalar(0.125),
                             random_matrix(b, k, 1, seed(2))};
  auto const Q = problem.metric(b);
  auto const Q_dense = in_double(b, dense(b, Q));
  auto const t = transform(b, problem);
  auto const X = normal_matrix<double>(m, N, seed(3));
  auto const Wx = product(in_double(b, t.W), X), c = in_double(b, t.c), d = in_double(b, problem.d);
  auto const DtX = product(transposed(in_double(b, problem.D)), X);
  auto const Z = host_matrix<double>(k, N, [&](Index i, Index j) { return Wx(i, j) - c(i, 0); });
  for (auto const& step : {coordinate_step(b, Q), gershgorin_step(b, Q), diagonal_step(b, Q, Scalar(0.25))}) {
    auto const tied = tie(b, Q, problem.penalty(b), step);
    auto const W = in_double(b, tied.W_tilde), h = in_double(b, tied.h), shift = in_double(b, tied.b);
    auto const WZ = product(W, Z), Theta = in_double(b, step.Theta);
    double const gamma = step.gamma;
    double defect = 0;
    for (Index j = 0; j < N; ++j)
      for (Index i = 0; i < k; ++i) {
        double const right = gamma / (Theta(i, 0) + gamma * 0.25) * (DtX(i, j) - d(i, 0) - 0.125);
        defect = std::max(defect, std::abs(h(i, 0) * Z(i, j) - WZ(i, j) - shift(i, 0) - right));
      }
    double const condition = (max_abs(Q_dense) * k + 0.5) / 0.5;  // z is known to condition eps
    CHECK(defect <= tolerance<Scalar>(k, condition * (max_abs(Z) + 1)));
  }
}

// ---- metamorphic ------------------------------------------------------------------------------------------

TEST_CASE_TEMPLATE("metamorphic: alpha + t, beta - t leaves W~ and b alone, though h moves", B, Cpu<float>,
                   archetype::Loops<double>) {
  using Scalar = typename B::Scalar;
  B b;
  auto const D = normal_matrix<Scalar>(4, k, seed(1));
  auto const tied = [&](double t, auto step) {
    Synthesis<B> const problem{to_device(b, D), Scalar(0.5 + t), Scalar(0.25 - t), Scalar(0.125),
                               zeros(b, k, 1)};
    auto const Q = problem.metric(b);
    return tie(b, Q, problem.penalty(b), step(Q));
  };
  auto const invariant = [&](auto step) {
    auto const one = tied(0, step), other = tied(0.125, step);
    CHECK(max_abs_difference(b, one.W_tilde, other.W_tilde) <= tolerance<Scalar>(k, 1));
    CHECK(max_abs_difference(b, one.b, other.b) <= tolerance<Scalar>(k, 1));
    REQUIRE(max_abs_difference(b, one.h, other.h) > Scalar(0.01));  // as z = Q^{-1} (D^T x - d) does
  };
  invariant([&](auto const& Q) { return coordinate_step(b, Q); });
  invariant([&](auto const& Q) { return gershgorin_step(b, Q); });
}

TEST_CASE_TEMPLATE("metamorphic: (4 Q, 4 beta, 4 lambda) is tied to the same parameters, bit for bit", B,
                   Cpu<float>, archetype::Loops<double>) {
  using Scalar = typename B::Scalar;
  B b;
  auto const tied = [&](Scalar factor) {
    auto const scaled = [&](HostMatrix<Scalar> const& A) {
      return to_device(b, mapped([factor](Scalar a) { return factor * a; }, A));
    };
    DenseMetric<B> const Q(b, scaled(definite_matrix<Scalar>(k, 20, seed(1))));
    ElasticNet<B> const psi(b, scaled(uniform_matrix<Scalar>(k, 1, seed(2))),
                            scaled(uniform_matrix<Scalar>(k, 1, seed(3))));
    return tie(b, Q, psi, coordinate_step(b, Q));
  };
  auto const one = tied(1), other = tied(4);
  CHECK(to_host(b, one.W_tilde) == to_host(b, other.W_tilde));
  CHECK(to_host(b, one.h) == to_host(b, other.h));
  CHECK(to_host(b, one.b) == to_host(b, other.b));
}

TEST_CASE_TEMPLATE("metamorphic: permuted atoms have permuted parameters, bit for bit", P, DETRAME_PROBLEMS) {
  using B = typename P::B;
  using Scalar = typename P::Scalar;
  P p;
  auto const from = [](Index i) { return (3 * i + 2) % k; };
  auto const permuted = [&](ConstView<B> v) {  // k x k or k x 1
    auto const host = to_host(p.b, v);
    return host_matrix<Scalar>(k, v.cols(),
                               [&](Index i, Index l) { return host(from(i), v.cols() == 1 ? 0 : from(l)); });
  };
  DenseMetric<B> const Q(p.b, to_device(p.b, permuted(dense(p.b, p.Q))));
  auto const psi = std::remove_cvref_t<decltype(p.psi)>(p.b, to_device(p.b, permuted(p.psi.lambda())),
                                                        to_device(p.b, permuted(p.psi.beta())));
  auto const tied = tie(p.b, Q, psi, coordinate_step(p.b, Q));
  auto const before = tie(p.b, p.Q, p.psi, coordinate_step(p.b, p.Q));
  CHECK(to_host(p.b, tied.W_tilde) == permuted(before.W_tilde));
  CHECK(to_host(p.b, tied.h) == permuted(before.h));
  CHECK(to_host(p.b, tied.b) == permuted(before.b));
}

TEST_CASE_TEMPLATE("metamorphic: tying blocks is tying the matrix they make, bit for bit", B, Cpu<float>,
                   archetype::Loops<double>) {
  using Scalar = typename B::Scalar;
  B b;
  auto const Q = blocks(b);
  DenseMetric<B> const whole(b, dense(b, Q));
  NonnegativeElasticNet<B> const psi(b, Q.dim(), Scalar(0.5), Scalar(0.25));
  auto const tied = tie(b, Q, psi, gershgorin_step(b, Q)),
             tied_whole = tie(b, whole, psi, gershgorin_step(b, whole));
  CHECK(tied.structure.groups == 3);
  CHECK(tied.structure.dense(b, tied.W_tilde) == to_host(b, tied_whole.W_tilde));
  CHECK(to_host(b, tied.h) == to_host(b, tied_whole.h));
}

// ---- the adjoint ------------------------------------------------------------------------------------------

namespace {

/// Central differences of <tie, bar> along lines in all arguments, for a metric of blocks (or of one).
template <Backend B>
void tie_pullback_is_the_adjoint(B& b, BlockDiagonalMetric<B> const& Q) {
  auto const metric = [&](Matrix<B> const& weights) { return BlockDiagonalMetric<B>(b, weights); };
  Index const rows = Q.dim(), kg = Q.weights().rows();
  auto const psi = ElasticNet<B>(b, to_device(b, uniform_matrix<double>(rows, 1, seed(2), 0.1, 1)),
                                 to_device(b, uniform_matrix<double>(rows, 1, seed(3), 0.1, 1)));
  Step<B> const step{0.75, to_device(b, uniform_matrix<double>(rows, 1, seed(4), 0.5, 2))};
  Recurrence<B> const bar{Q.structure(), random_matrix(b, kg, rows, seed(5)),
                          random_matrix(b, rows, 1, seed(6)), random_matrix(b, rows, 1, seed(7))};
  auto const inner_with_bar = [&](Recurrence<B> const& r) {
    return inner(to_host(b, r.W_tilde), to_host(b, bar.W_tilde)) + inner(to_host(b, r.h), to_host(b, bar.h)) +
           inner(to_host(b, r.b), to_host(b, bar.b));
  };
  auto const cotangent = tie_pullback(b, Q, psi, step, bar);
  CHECK(to_host(b, cotangent.Q_bar) == to_host(b, symmetric_part(b, cotangent.Q_bar)));
  for (std::uint64_t n = 0; n < 3; ++n) {
    auto const dQ =
        to_host(b, symmetric_part(b, random_matrix(b, kg, rows, seed(10 + n))));  // kg x k, symmetric
    auto const dlambda = normal_matrix<double>(rows, 1, seed(20 + n)),
               dbeta = normal_matrix<double>(rows, 1, seed(30 + n)),
               dTheta = normal_matrix<double>(rows, 1, seed(40 + n));
    double const dgamma = n == 0 ? 1 : -0.5;
    auto const moved = [&](double t, ConstView<B> x, Host const& dx) {
      return to_device(b, naive::moved(to_host(b, x), t, dx));
    };
    auto const derivative = naive::central_difference([&](double t) {
      return inner_with_bar(
          tie(b, metric(moved(t, Q.weights(), dQ)),
              ElasticNet<B>(b, moved(t, psi.lambda(), dlambda), moved(t, psi.beta(), dbeta)),
              Step<B>{step.gamma + t * dgamma, moved(t, step.Theta, dTheta)}));
    });
    double const adjoint = inner(to_host(b, cotangent.Q_bar), dQ) +
                           inner(to_host(b, cotangent.lambda_bar), dlambda) +
                           inner(to_host(b, cotangent.beta_bar), dbeta) +
                           inner(to_host(b, cotangent.Theta_bar), dTheta) + cotangent.gamma_bar * dgamma;
    CHECK(std::abs(adjoint - derivative.value) <= derivative.error);

    auto const along_Q = [&](auto make_step) {  // Theta made of Q: its cotangent goes on to Q
      return naive::central_difference([&](double t) {
        auto const Q_t = metric(moved(t, Q.weights(), dQ));
        return inner_with_bar(tie(b, Q_t, psi, make_step(Q_t)));
      });
    };
    auto const coordinate = along_Q([&](auto const& Q_t) { return coordinate_step(b, Q_t); });
    auto by_diagonal = tie_pullback(b, Q, psi, coordinate_step(b, Q), bar);
    coordinate_step_pullback<B>(b, Q.structure(), by_diagonal.Theta_bar, by_diagonal.Q_bar);
    CHECK(std::abs(inner(to_host(b, by_diagonal.Q_bar), dQ) - coordinate.value) <= coordinate.error);
    auto const gershgorin = along_Q([&](auto const& Q_t) { return gershgorin_step(b, Q_t); });
    auto by_row_sums = tie_pullback(b, Q, psi, gershgorin_step(b, Q), bar);
    gershgorin_step_pullback<B>(b, Q.structure(), Q.weights(), by_row_sums.Theta_bar, by_row_sums.Q_bar);
    CHECK(std::abs(inner(to_host(b, by_row_sums.Q_bar), dQ) - gershgorin.value) <= gershgorin.error);
  }
}

}  // namespace

TEST_CASE_TEMPLATE("(M6) tie_pullback is the adjoint of tie, and of the steps, in symmetric directions", B,
                   Cpu<double>, archetype::Loops<double>) {
  B b;
  tie_pullback_is_the_adjoint(
      b, BlockDiagonalMetric<B>(b, to_device(b, definite_matrix<double>(5, 20, seed(1)))));
  tie_pullback_is_the_adjoint(b, blocks(b));
}

TEST_CASE_TEMPLATE("(M6) tie_pullback in float is the one in double, rounded", B, Cpu<float>,
                   archetype::Loops<float>) {
  Cpu<double> cpu;
  auto const run = [](auto& b) {
    using Backend = std::remove_cvref_t<decltype(b)>;
    using Scalar = typename Backend::Scalar;
    DenseMetric<Backend> const Q(b, to_device(b, rounded<Scalar>(definite_matrix<float>(k, 20, seed(1)))));
    ElasticNet<Backend> const psi(b, k, Scalar(0.5), Scalar(0.25));
    auto const random = [&](Index rows, Index cols, std::uint64_t n) {
      return to_device(b, rounded<Scalar>(normal_matrix<float>(rows, cols, seed(n))));
    };
    auto const out =
        tie_pullback(b, Q, psi, gershgorin_step(b, Q),
                     Recurrence<Backend>{{1}, random(k, k, 5), random(k, 1, 6), random(k, 1, 7)});
    return std::array<Host, 5>{in_double(b, out.Q_bar), in_double(b, out.lambda_bar),
                               in_double(b, out.beta_bar), in_double(b, out.Theta_bar),
                               Host(1, 1, static_cast<double>(out.gamma_bar))};
  };
  B b;
  auto const single = run(b), exact = run(cpu);
  for (std::size_t n = 0; n < 5; ++n)  // every term is at most max |bar| / Theta^2, some 3 / 0.5^2
    CHECK(max_abs_difference(single[n], exact[n]) <= tolerance<float>(k, 12));
}

TEST_CASE("tie: what does not fit is refused") {
  using B = Cpu<double>;
  B b;
  DenseMetric<B> const Q(b, to_device(b, identity<double>(3)));
  ElasticNet<B> const psi(b, 3, 1, 1);
  auto const Theta = [&](double last) {
    return to_device(b, host_matrix<double>(3, 1, [&](Index i, Index) { return i == 2 ? last : 1.0; }));
  };
  check_throws_with<ShapeError>([&] { tie(b, Q, ElasticNet<B>(b, 4, 1, 1), {1, Theta(1)}); },
                                "tie: psi has 4 rows, Q is 3 x 3");
  check_throws_with<ShapeError>([&] { tie(b, Q, psi, {1, zeros(b, 2, 1)}); },
                                "tie: Theta is 2 x 1, Q is 3 x 3");
  check_throws_with<DomainError>([&] { tie(b, Q, psi, {0, Theta(1)}); }, "tie: gamma = 0, must be > 0");
  check_throws_with<DomainError>([&] { tie(b, Q, psi, {1, Theta(-1)}); }, "tie: Theta(2) = -1, must be > 0");
  check_throws_with<DomainError>([&] { tie(b, Q, psi, {1, Theta(std::nan(""))}); },
                                 "tie: Theta(2) = nan, must be > 0");
  check_throws_with<ShapeError>(
      [&] { tie_pullback(b, Q, psi, {1, Theta(1)}, {{1}, zeros(b, 3, 3), zeros(b, 3, 1), zeros(b, 2, 1)}); },
      "tie_pullback: b is 2 x 1, must be 3 x 1");
  check_throws_with<ShapeError>(
      [&] { tie_pullback(b, Q, psi, {1, Theta(1)}, {{2}, zeros(b, 1, 2), zeros(b, 2, 1), zeros(b, 2, 1)}); },
      "tie_pullback: bar has 2 rows in 2 groups, Q has 3 in 1");
}

}  // namespace detrame
