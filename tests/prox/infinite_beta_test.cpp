// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/exact/exact_prox.hpp"
#include "detrame/exact/exact_synthesis.hpp"
#include "detrame/metric/convolutional_metric.hpp"
#include "detrame/metric/tie_pullback.hpp"
#include "detrame/prox/bounds.hpp"
#include "detrame/prox/safe_gamma.hpp"
#include "detrame/prox/synthesis_prox.hpp"
#include "laws/archetype.hpp"
#include "prox/problem.hpp"

/// An infinite beta_i holds u_i at 0 in recursions as in the exact solvers.
namespace detrame {

using namespace detrame::test;
using Host = HostMatrix<double>;

#define BACKENDS Cpu<double>, archetype::Loops<float>

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr Index k = 6, held_rows[] = {1, 4};

bool held(Index i) { return i == held_rows[0] || i == held_rows[1]; }

/// beta_1 = beta_4 = infinity, lambda_4 too; .05 and .1 elsewhere.
template <class Psi>
Psi holding(typename Psi::Backend& b) {
  return {
      b, in_memory_of(b, host_matrix<double>(k, 1, [](Index i, Index) { return i == 4 ? infinity : .1; })),
      in_memory_of(b, host_matrix<double>(k, 1, [](Index i, Index) { return held(i) ? infinity : .05; }))};
}

/// The rows and columns that are not held.
Host free_part(Host const& A) {
  std::vector<Index> rows;
  for (Index i = 0; i < A.rows(); ++i)
    if (!held(i)) rows.push_back(i);
  auto const at = [&](Index i) { return rows[static_cast<std::size_t>(i)]; };
  Index const n = static_cast<Index>(rows.size());
  return host_matrix<double>(n, n, [&](Index i, Index j) { return A(at(i), at(j)); });
}

/// A good end: what is held is 0, and u is as near to the exact solution as the bound says.
template <Backend B>
void check_held(B& b, ProxResult<B> const& result, Host const& u_star) {
  using Scalar = typename B::Scalar;
  Host const u = in_double(b, ConstView<B>(result.u));
  double farthest = 0;
  Index nonzero = 0;
  for (Index j = 0; j < u.cols(); ++j) {
    double square = 0;
    for (Index i = 0; i < k; ++i) {
      if (held(i)) CHECK(u(i, j) == 0);
      nonzero += u(i, j) != 0;
      square += (u(i, j) - u_star(i, j)) * (u(i, j) - u_star(i, j));
    }
    farthest = std::max(farthest, std::sqrt(square));
  }
  REQUIRE(nonzero > u.cols());
  CHECK(static_cast<double>(result.bound) < 1e9);
  CHECK(farthest <= static_cast<double>(result.bound) + static_cast<double>(tolerance<Scalar>(k, 200)));
}

template <Backend B, class Psi>
void holds_in_metrics(B& b, Psi const& psi) {
  Host const Q_host = definite_matrix<double>(k, 20, seed(400));
  DenseMetric<B> const Q(b, in_memory_of(b, Q_host));
  auto const z = in_memory_of(b, normal_matrix<double>(k, 5, seed(401)));
  auto const exact = exact_prox(b, Q, psi, z);
  REQUIRE(exact.status == ExactStatus::optimal);
  Host const u_star = in_double(b, ConstView<B>(exact.u));
  auto const check = [&](auto const& scheme) {
    auto const result = metric_prox(b, Q, psi, z, scheme, Until{.limit = 5000});
    CHECK(result.status == Status::residual_reached);
    check_held(b, result, u_star);
    auto const three = metric_prox(b, Q, psi, z, scheme, Unroll<3>{});
    check_held(b, three, u_star);
    CHECK(three.bound > 100 * result.bound);
  };
  check(ForwardBackward{.2});
  check(Gershgorin{});
  check(GaussSeidel{});
  check(Fista{});

  auto spoilt = normal_matrix<double>(k, 5, seed(401));
  spoilt(1, 2) = std::numeric_limits<double>::quiet_NaN();  // in a row that is held
  auto const some = metric_prox(b, Q, psi, in_memory_of(b, spoilt), Gershgorin{}, Until{.limit = 5000});
  for (Index j = 0; j < 5; ++j)
    CHECK(some.column_status[static_cast<std::size_t>(j)] ==
          (j == 2 ? Status::not_finite : Status::residual_reached));

  // what is held is no reason to look at every iterate for rounding
  CHECK(detail::MetricProblem<DenseMetric<B>, Psi>(b, "test", Q, psi, z).slope() < 100);
  auto const D = unit_norm_dictionary<double>(9, k, seed(402));
  Synthesis<B> const synthesis{in_memory_of(b, D), typename B::Scalar(.1), 0, 0, zeros(b, k, 1)};
  auto const x = in_memory_of(b, normal_matrix<double>(9, 5, seed(403)));
  auto const codes = exact_synthesis(b, synthesis, psi, x);
  REQUIRE(codes.status == ExactStatus::optimal);
  auto const gram = synthesis.metric(b);
  CHECK(detail::SynthesisProblem<B, Psi>(b, gram, psi, synthesis.d, x).slope() < 100);
  auto const result = synthesis_prox(b, synthesis, psi, x, Gershgorin{}, Until{.limit = 5000});
  CHECK(result.status == Status::residual_reached);
  check_held(b, result, in_double(b, ConstView<B>(codes.u)));
}

}  // namespace

TEST_CASE_TEMPLATE("(M3) (M4) (C4) an infinite beta_i holds u_i at 0 in every recursion, with a good status",
                   B, BACKENDS) {
  B b;
  holds_in_metrics(b, holding<NonnegativeElasticNet<B>>(b));
  holds_in_metrics(b, holding<ElasticNet<B>>(b));
}

TEST_CASE_TEMPLATE("(K2) an infinite beta_i holds u_i at 0 in images", B, BACKENDS) {
  B b;
  Host const middle = definite_matrix<double>(k, 20, seed(404)),
             taps = normal_matrix<double>(k, 9 * k, seed(405));
  Host const kernel = host_matrix<double>(k, 9 * k, [&](Index i, Index j) {
    Index const tap = j / k, l = j % k;
    if (tap == 4) return middle(i, l) + (i == l ? .5 : 0.);
    return .005 * (taps(i, j) + taps(l, (8 - tap) * k + i));
  });
  ConvolutionalMetric<B> const Q(b, ConvolutionalBlocks{3, 4, 3, 1}, in_memory_of(b, kernel));
  auto const psi = holding<ElasticNet<B>>(b);
  auto const z = in_memory_of(b, normal_matrix<double>(k, 24, seed(411)));
  auto const exact = exact_prox(b, Q, psi, z);
  REQUIRE(exact.status == ExactStatus::optimal);
  auto const result = metric_prox(b, Q, psi, z, Gershgorin{}, Until{.limit = 5000});
  CHECK(result.status == Status::residual_reached);
  check_held(b, result, in_double(b, ConstView<B>(exact.u)));
  // kappa is that of the channels that are free
  Host const free_kernel = [&] {
    Host out(4, 36);
    for (Index tap = 0; tap < 9; ++tap) {
      Host const part =
          free_part(host_matrix<double>(k, k, [&](Index i, Index j) { return kernel(i, tap * k + j); }));
      for (Index i = 0; i < 4; ++i)
        for (Index j = 0; j < 4; ++j) out(i, tap * 4 + j) = part(i, j);
    }
    return out;
  }();
  ConvolutionalMetric<B> const Q_free(b, ConvolutionalBlocks{3, 4, 3, 1}, in_memory_of(b, free_kernel));
  ElasticNet<B> const psi_free(b, 4, typename B::Scalar(.1), typename B::Scalar(.05));
  CHECK(contraction(b, Q, psi, Jacobi{}).kappa ==
        doctest::Approx(contraction(b, Q_free, psi_free, Jacobi{}).kappa).epsilon(1e-4));
}

TEST_CASE_TEMPLATE("(C1) (C2) kappa is that of the free rows, and the bounds that follow from it hold", B,
                   BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  Host const Q_host = definite_matrix<double>(k, 20, seed(405));
  DenseMetric<B> const Q(b, in_memory_of(b, Q_host)), Q_free(b, in_memory_of(b, free_part(Q_host)));
  auto const psi = holding<NonnegativeElasticNet<B>>(b);
  NonnegativeElasticNet<B> const psi_free(b, 4, Scalar(.1), Scalar(.05));
  auto const Theta = diagonal(b, Q);
  ForwardBackward const step{.9 * static_cast<double>(safe_gamma(b, Q, psi, Theta))};
  auto const known = contraction(b, Q, psi, step);
  CHECK(known.kappa ==
        doctest::Approx(contraction(b, Q_free, psi_free, step).kappa).epsilon(tolerance<Scalar>(k, 10)));
  CHECK(known.kappa < 1);
  CHECK(max_abs_difference(
            free_part(host_matrix<double>(
                k, k, [&, S = in_double(b, ConstView<B>(known.S))](Index i, Index) { return S(i, 0); })),
            host_matrix<double>(4, 4,
                                [&, S = in_double(b, ConstView<B>(contraction(b, Q_free, psi_free, step).S))](
                                    Index i, Index) { return S(i, 0); })) == 0);
  CHECK(detail::known_to_contract(b, Q, psi, step));
  auto const z = in_memory_of(b, normal_matrix<double>(k, 1, seed(406)));
  Host const u_star = in_double(b, ConstView<B>(exact_prox(b, Q, psi, z).u));
  for (Index T : {1, 4, 16}) {
    auto const bound = a_priori_bound(b, Q, psi, z, step, T);
    REQUIRE(bound.has_value());
    Host const u = in_double(b, ConstView<B>(metric_prox(b, Q, psi, z, step, Updates{T}).u));
    auto const error = in_memory_of(b, mapped([](double a, double c) { return a - c; }, u, u_star));
    double const distance = static_cast<double>(norm<B>(b, known.S, error));
    CHECK(distance <= static_cast<double>(*bound) + static_cast<double>(tolerance<Scalar>(k, 100)));
    CHECK(distance > 0);
  }
  CHECK(steps_for(b, Q, psi, z, step, Scalar(1e-3)).has_value());
}

TEST_CASE_TEMPLATE("(M6) tie holds a row of infinite beta at 0, and its pullback has 0 there and no NaN", B,
                   BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  DenseMetric<B> const Q(b, in_memory_of(b, definite_matrix<double>(k, 20, seed(407))));
  auto const psi = holding<NonnegativeElasticNet<B>>(b);
  auto const step = diagonal_step(b, Q, Scalar(.7));
  auto const tied = tie(b, Q, psi, step);
  Host const W = in_double(b, ConstView<B>(tied.W_tilde)), h = in_double(b, ConstView<B>(tied.h)),
             thresholds = in_double(b, ConstView<B>(tied.b));
  for (Index const i : held_rows) {
    CHECK((h(i, 0) == 0 && thresholds(i, 0) == 0));
    for (Index l = 0; l < k; ++l) CHECK(W(i, l) == 0);
  }
  auto bar = tied;
  bar.W_tilde = in_memory_of(b, normal_matrix<double>(k, k, seed(408)));
  bar.h = in_memory_of(b, normal_matrix<double>(k, 1, seed(409)));
  bar.b = in_memory_of(b, normal_matrix<double>(k, 1, seed(410)));
  auto const all = tie_pullback(b, Q, psi, step, bar);
  auto const finite_psi = [&](Scalar large) {  // as far as its squares go
    auto const beta =
        host_matrix<double>(k, 1, [&](Index i, Index) { return held(i) ? static_cast<double>(large) : .05; });
    return NonnegativeElasticNet<B>(b, in_memory_of(b, Host(k, 1, .1)), in_memory_of(b, beta));
  }(Scalar(1e15));
  auto const near = tie_pullback(b, Q, finite_psi, step, bar);
  for (auto const field : {&TieCotangent<B>::Q_bar, &TieCotangent<B>::lambda_bar, &TieCotangent<B>::beta_bar,
                           &TieCotangent<B>::Theta_bar})
    CHECK(max_abs_difference(b, ConstView<B>(all.*field), ConstView<B>(near.*field)) <=
          tolerance<Scalar>(k, 10));
  CHECK(std::abs(all.gamma_bar - near.gamma_bar) <= tolerance<Scalar>(k, 10));
}

}  // namespace detrame
