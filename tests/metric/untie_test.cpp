// SPDX-License-Identifier: Apache-2.0
#include "detrame/metric/untie.hpp"

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/metric/convolutional_metric.hpp"
#include "detrame/metric/dense_metric.hpp"
#include "detrame/metric/penalty.hpp"
#include "detrame/metric/untie_convolutional.hpp"
#include "laws/archetype.hpp"
#include "metric/naive.hpp"

namespace detrame {

using namespace detrame::test;
using naive::Host;
using naive::in_double;

#define DETRAME_BACKENDS Cpu<float>, Cpu<double>, archetype::Loops<float>, archetype::Loops<double>

namespace {

/// A matrix from its rows.
Host rows(std::vector<std::vector<double>> const& r) {
  return host_matrix<double>(
      static_cast<Index>(r.size()), static_cast<Index>(r[0].size()),
      [&](Index i, Index j) { return r[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)]; });
}
Host column(std::vector<double> const& v) {
  return host_matrix<double>(static_cast<Index>(v.size()), 1,
                             [&](Index i, Index) { return v[static_cast<std::size_t>(i)]; });
}

template <Backend B>
Recurrence<B> recurrence(B& b, Host const& W, Host const& h, Host const& shift) {
  using Scalar = typename B::Scalar;
  return {{1},
          to_device(b, rounded<Scalar>(W)),
          to_device(b, rounded<Scalar>(h)),
          to_device(b, rounded<Scalar>(shift))};
}

/// What tie was given: `make` gives the metric, Q and the rest are it in double.
template <Backend B>
struct Given {
  Host Q, lambda, beta;
};
template <Backend B, Metric M, Penalty Psi>
Given<B> given(B& b, M const& Q, Psi const& psi) {
  return {in_double(b, dense(b, Q)), in_double(b, psi.lambda()), in_double(b, psi.beta())};
}

/// Q, lambda and beta of the report are those given up to one factor for each component.
template <Backend B>
void check_recovered(UntieReport<B> const& report, Given<B> const& given) {
  using Scalar = typename B::Scalar;
  Index const k = given.Q.rows();
  REQUIRE(report.is_prox);
  auto const factor = [&](Index i) {  // by the diagonal of Q + diag(beta) of the component's first row
    Index first = 0;
    while (report.component[static_cast<std::size_t>(first)] != report.component[static_cast<std::size_t>(i)])
      ++first;
    return (given.Q(first, first) + given.beta(first, 0)) /
           static_cast<double>(report.Q(first, first) + report.beta_i(first, 0));
  };
  double defect = 0;  // of every entry, in units of the diagonal
  for (Index i = 0; i < k; ++i) {
    auto const unit = [&](Index l) { return std::sqrt(given.Q(l, l) + given.beta(l, 0)); };
    auto const compare = [&](double expected, double found, double size) {
      defect = std::max(defect, std::abs(factor(i) * found - expected) / size);
    };
    for (Index l = 0; l < k; ++l) compare(given.Q(i, l), report.Q(i, l), unit(i) * unit(l));
    compare(given.beta(i, 0), report.beta_i(i, 0), unit(i) * unit(i));
    compare(given.lambda(i, 0), report.lambda_i(i, 0), given.lambda(i, 0));
  }
  CHECK(defect <= tolerance<Scalar>(4 * k, 1));  // some eps for each step of the way to s_i
}

}  // namespace

TEST_CASE_TEMPLATE("(F2) untie(tie(Q, psi, step)) gives back Q, lambda and beta up to one factor", B,
                   DETRAME_BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  Index const k = 9;
  DenseMetric<B> const Q(b, to_device(b, definite_matrix<Scalar>(k, 20, seed(1))));
  NonnegativeElasticNet<B> const scalar(b, k, Scalar(0.25), Scalar(0.125));
  ElasticNet<B> const by_row(b, to_device(b, uniform_matrix<Scalar>(k, 1, seed(2), 0.1, 1)),
                             to_device(b, uniform_matrix<Scalar>(k, 1, seed(3), 0.1, 1)));
  auto const gershgorin = gershgorin_step(b, Q);
  Step<B> const any{Scalar(0.75), to_device(b, uniform_matrix<Scalar>(k, 1, seed(4), 0.5, 2))};
  REQUIRE(to_host(b, tie(b, Q, scalar, gershgorin).W_tilde)(0, 0) > Scalar(0.01));  // not in D0
  for (auto const& step : {coordinate_step(b, Q), gershgorin, any}) {
    auto const with_scalars = untie(b, tie(b, Q, scalar, step));
    CHECK(with_scalars.components == 1);
    CHECK(with_scalars.scalar_penalty);
    CHECK(with_scalars.explanation == "a prox, in 1 component(s), with one lambda and one beta for all rows");
    check_recovered(with_scalars, given(b, Q, scalar));
    auto const with_rows = untie(b, tie(b, Q, by_row, step));
    CHECK_FALSE(with_rows.scalar_penalty);
    CHECK(with_rows.explanation.starts_with(
        "a prox, in 1 component(s), with penalties by row: lambda spreads by 0."));
    check_recovered(with_rows, given(b, Q, by_row));
    CHECK(to_host(b, with_rows.nearest.W_tilde) == to_host(b, tie(b, Q, by_row, step).W_tilde));
  }
}

TEST_CASE_TEMPLATE("(F2) a disconnected graph leaves one factor free for each component", B,
                   DETRAME_BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  Index const k = 8;
  auto const part = definite_matrix<Scalar>(k, 20, seed(1));
  DenseMetric<B> const Q(b,
                         to_device(b, host_matrix<Scalar>(k, k, [&](Index i, Index l) {  // rows i and i + 3 n
                                     return i % 3 == l % 3 ? part(i, l) * Scalar(1 + i % 3) : Scalar(0);
                                   })));
  ElasticNet<B> const by_row(b, to_device(b, uniform_matrix<Scalar>(k, 1, seed(2), 0.1, 1)),
                             to_device(b, uniform_matrix<Scalar>(k, 1, seed(3), 0.1, 1)));
  auto const report = untie(b, tie(b, Q, by_row, gershgorin_step(b, Q)));
  REQUIRE(report.components == 3);
  for (Index i = 3; i < k; ++i)
    CHECK(report.component[static_cast<std::size_t>(i)] == report.component[static_cast<std::size_t>(i - 3)]);
  check_recovered(report, given(b, Q, by_row));

  ElasticNet<B> const scalar(b, k, Scalar(0.5),
                             Scalar(0.25));  // one lambda for all fixes the factors: one is left
  auto const fixed = untie(b, tie(b, Q, scalar, gershgorin_step(b, Q)));
  CHECK(fixed.scalar_penalty);
  CHECK(fixed.components == 3);
  auto one_factor = fixed;
  one_factor.component.assign(static_cast<std::size_t>(k), 0);
  check_recovered(one_factor, given(b, Q, scalar));
}

TEST_CASE_TEMPLATE("(F2) where untie says prox, prox^Q_psi(z) of its Q and psi is a fixed point", B,
                   DETRAME_BACKENDS) {
  B b;
  auto const W = rows({{0, 0.3, 0}, {0.1, -0.2, 0.2}, {0, 0.4, 0.3}});
  auto const free = recurrence(b, W, column({0.5, 0.6, 0.9}), column({0.1, 0, 0.3}));
  auto const report = untie(b, free);
  REQUIRE(report.is_prox);
  auto const Z = normal_matrix<double>(3, 20, seed(1));  // 3 x 20
  auto const U = naive::prox(rounded<double>(report.Q), rounded<double>(report.lambda_i),
                             rounded<double>(report.beta_i), false, Z);
  naive::require_mixed_support(U);
  CHECK(max_abs_difference(naive::updated(b, free, false, Z, U), U) <=
        tolerance<typename B::Scalar>(6, max_abs(Z) + max_abs(U)));
}

// ---- what is no prox, or not the paper's ------------------------------------------------------------------

TEST_CASE_TEMPLATE(
    "(F2) W~ = [0 2; 2 0], h = 1/2, b = 1/10 at z = 1 has two fixed points, 0 and 1.6: no prox", B,
    DETRAME_BACKENDS) {
  B b;
  auto const free = recurrence(b, rows({{0, 2}, {2, 0}}), column({0.5, 0.5}), column({0.1, 0.1}));
  Host const z(2, 1, 1);
  for (double const u : {0.0, 1.6}) {
    Host const U(2, 1, u);
    CHECK(max_abs_difference(naive::updated(b, free, false, z, U), U) <= tolerance<typename B::Scalar>(2, 4));
  }
  auto const report = untie(b, free);
  CHECK(report.symmetrisable);
  CHECK_FALSE(report.psd);
  CHECK_FALSE(report.definite);
  CHECK_FALSE(report.is_prox);
  CHECK(report.explanation ==
        "not a prox: Q is not positive semi-definite: its smallest eigenvalue is -1.5 where Q + diag(beta) "
        "has unit "
        "diagonal; Q + diag(beta) is not definite: its smallest eigenvalue is -1 at unit diagonal");
}

TEST_CASE_TEMPLATE("(F2) W~ = [0 -2; -2 0] cycles for ever: no prox", B, DETRAME_BACKENDS) {
  B b;
  auto const free = recurrence(b, rows({{0, -2}, {-2, 0}}), column({0.5, 0.5}), column({0.1, 0.1}));
  Host const z(2, 1, 1);
  Host U(2, 1, 0), before = U;
  for (int t = 0; t < 100; ++t) {
    before = U;
    U = naive::updated(b, free, false, z, U);
  }
  CHECK(max_abs_difference(U, before) > 2);
  CHECK(max_abs_difference(naive::updated(b, free, false, z, U), before) == 0);
  CHECK_FALSE(untie(b, free).is_prox);
  CHECK_FALSE(untie(b, free).psd);
}

TEST_CASE_TEMPLATE(
    "(F2) b / (1 - h) constant does not make a scalar penalty: s = beta / (1 - h) must symmetrise W~", B,
    DETRAME_BACKENDS) {
  B b;
  auto const h = column({0.5, 0.25}), shift = column({0.1, 0.15});  // b / (1 - h) = 1/5 twice
  auto const report = untie(b, recurrence(b, rows({{0, 0.25}, {0.25, 0}}), h, shift));
  CHECK(report.is_prox);  // s = 1 symmetrises W~, with beta = (1/2, 3/4)
  CHECK_FALSE(report.scalar_penalty);
  CHECK(report.beta_spread == doctest::Approx(1.0 / 3));
  CHECK(report.lambda_spread == doctest::Approx(1.0 / 3));
  auto const scalar =
      untie(b, recurrence(b, rows({{0, 0.1875}, {0.28125, 0}}), h, shift));  // s ~ (2, 4/3) does
  CHECK(scalar.is_prox);
  CHECK(scalar.scalar_penalty);
  auto const one_lambda = untie(b, recurrence(b, rows({{0, 0.25}, {0.25, 0}}), h, column({0.1, 0.1})));
  CHECK(one_lambda.lambda_spread == 0);  // but beta = (1/2, 3/4)
  CHECK_FALSE(one_lambda.scalar_penalty);
  auto const one_beta = untie(b, recurrence(b, rows({{0, 0.25}, {0.25, 0}}), column({0.5, 0.5}), shift));
  CHECK(one_beta.beta_spread == 0);
  CHECK_FALSE(one_beta.scalar_penalty);
}

TEST_CASE_TEMPLATE("(F2) not symmetrisable: opposite signs, a one-way coupling, a cycle that does not close",
                   B, DETRAME_BACKENDS) {
  B b;
  auto const ones = column({1, 1, 1}), tenth = column({0.1, 0.1, 0.1});
  auto const refused = [&](Host const& W, char const* where) {
    auto const report = untie(b, recurrence(b, W, ones, tenth));
    CHECK_FALSE(report.symmetrisable);
    CHECK_FALSE(report.is_prox);
    CHECK(report.explanation.find("not a prox: W_tilde is not symmetrisable: s_i W_tilde(i, l) = ") == 0);
    CHECK(report.explanation.find(where) != std::string::npos);
  };
  refused(rows({{0, 0.25, 0}, {-0.25, 0, 0}, {0, 0, 0}}),
          "= 0.25 and s_l W_tilde(l, i) = -0.25 at i = 0, l = 1");
  refused(rows({{0, 0, 0}, {0, 0, 0.25}, {0, 0, 0}}), "= 0.25 and s_l W_tilde(l, i) = 0 at i = 1, l = 2");
  refused(rows({{0, 0.25, 0.25}, {0.25, 0, 0.25}, {0.125, 0.25, 0}}), " at i = ");
  auto const closing = rows({{0, 0.25, 0.25}, {0.25, 0, 0.25}, {0.125, 0.125, 0}});  // s = (1, 1, 2)
  CHECK(untie(b, recurrence(b, closing, ones, tenth)).symmetrisable);
}

TEST_CASE_TEMPLATE("(F2) h = 1 everywhere: beta = 0", B, DETRAME_BACKENDS) {
  B b;
  auto const report =
      untie(b, recurrence(b, rows({{0, 0.25}, {0.5, 0}}), column({1, 1}), column({0.1, 0.2})));
  CHECK(report.is_prox);
  CHECK(report.beta_i == HostMatrix<typename B::Scalar>(2, 1));
  CHECK(report.beta_spread == 0);
}

TEST_CASE("(F2) h outside [0, 1] and b below 0 are named; what is not finite or does not fit is refused") {
  Cpu<double> b;
  auto const W = rows({{0, 0}, {0, 0}});
  CHECK(untie(b, recurrence(b, W, column({0.5, 1.25}), column({0.1, -0.5}))).explanation ==
        "not a prox: h(1) = 1.25, must be in [0, 1]; b(1) = -0.5, must be >= 0");
  auto const nan = std::nan("");
  check_throws_with<DomainError>(
      [&] { untie(b, recurrence(b, rows({{0, nan}, {0, 0}}), column({1, 1}), column({0, 0}))); },
      "untie: W_tilde has an entry nan, must be finite");
  check_throws_with<DomainError>([&] { untie(b, recurrence(b, W, column({1, nan}), column({0, 0}))); },
                                 "untie: h has an entry nan, must be finite");
  auto const steep = rows({{0, 1e300}, {1e-300, 0}});
  check_throws_with<DomainError>([&] { untie(b, recurrence(b, steep, column({1, 1}), column({0, 0}))); },
                                 "that symmetrises W_tilde is out of range");
  check_throws_with<ShapeError>([&] { untie(b, recurrence(b, W, column({1, 1, 1}), column({0, 0, 0}))); },
                                "untie: W_tilde is 2 x 2, must be 3 x 3");
  check_throws_with<DomainError>(
      [&] { untie(b, Recurrence<Cpu<double>>{{1}, zeros(b, 0, 0), zeros(b, 0, 1), zeros(b, 0, 1)}); },
      "untie: k = 0, must be >= 1");
}

// ---- the nearest tied parameters --------------------------------------------------------------------------

TEST_CASE("(F2) with_eigenvalues_at_least raises the low eigenvalues and keeps the rest") {
  for (Index k : {1, 2, 12}) {
    auto const V = orthogonal_matrix(k, seed(1));  // k x k
    auto const with = [&](auto lambda) {
      return host_matrix<double>(k, k, [&](Index i, Index j) {
        double sum = 0;
        for (Index l = 0; l < k; ++l) sum += lambda(l) * V(i, l) * V(j, l);
        return sum;
      });
    };
    auto const given = with(
        [](Index l) { return 2.0 - std::floor(static_cast<double>(l) / 2); });  // 2, 2, 1, 1, 0, 0, -1, ...
    auto const expected =
        with([](Index l) { return std::max(2.0 - std::floor(static_cast<double>(l) / 2), 0.5); });
    CHECK(max_abs_difference(with_eigenvalues_at_least(given, 0.5), expected) <=
          tolerance<double>(4 * k, static_cast<double>(k)));
  }
  CHECK(with_eigenvalues_at_least(Host(2, 2), 0) == Host(2, 2));
}

TEST_CASE_TEMPLATE("(F2) the nearest tied parameters are a prox, and idempotent", B, DETRAME_BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  Index const k = 8;
  for (Index groups : {1, 2}) {
    Recurrence<B> const free{DenseBlocks{groups}, random_matrix(b, k / groups, k, seed(1)),
                             to_device(b, uniform_matrix<Scalar>(k, 1, seed(2), -0.5, 1.5)),
                             to_device(b, normal_matrix<Scalar>(k, 1, seed(3)))};
    auto const report = untie(b, free);
    REQUIRE_FALSE(report.is_prox);
    auto const again = untie(b, report.nearest);
    INFO(again.explanation);
    CHECK(again.is_prox);
    CHECK(to_host(b, again.nearest.W_tilde) == to_host(b, report.nearest.W_tilde));
    auto const h = to_host(b, free.h), b_free = to_host(b, free.b);
    CHECK(to_host(b, report.nearest.h) ==
          mapped([](Scalar x) { return x < 0 ? Scalar(0) : (x > 1 ? Scalar(1) : x); }, h));
    CHECK(to_host(b, report.nearest.b) == mapped([](Scalar x) { return x < 0 ? Scalar(0) : x; }, b_free));
  }
}

TEST_CASE(
    "(F2) W~ - W' makes an obtuse angle with every tied W - W' of the same s and h: W' is the nearest") {
  Cpu<double> b;
  Index const k = 6;
  auto const W = normal_matrix<double>(k, k, seed(1)), h = uniform_matrix<double>(k, 1, seed(2));
  auto const report = untie(b, recurrence(b, W, h, Host(k, 1, 0.1)));
  REQUIRE_FALSE(report.is_prox);
  auto const scaled = [&](Host const& A) {  // S^{1/2} A S^{-1/2}
    return host_matrix<double>(
        k, k, [&](Index i, Index l) { return A(i, l) * std::sqrt(report.s(i, 0) / report.s(l, 0)); });
  };
  auto const nearest = scaled(to_host(b, report.nearest.W_tilde)), W_scaled = scaled(W);
  auto const difference = mapped([](double x, double y) { return x - y; }, W_scaled, nearest);
  REQUIRE(norm(difference) > 1);
  for (std::uint64_t n = 0; n < 50; ++n) {
    auto const A = normal_matrix<double>(k, 1 + static_cast<Index>(n) % k, seed(10 + n));
    auto const P = product(A, transposed(A));  // k x k, semi-definite
    auto const rival =
        host_matrix<double>(k, k, [&](Index i, Index l) { return (i == l ? h(i, 0) : 0.0) - P(i, l); });
    auto const step = mapped([](double x, double y) { return x - y; }, rival, nearest);
    double const low =
        16 * tolerance<double>(8 * k, 1 + norm(W_scaled));  // Q' is not 0 but low where it is raised
    CHECK(inner(difference, step) <= low * norm(difference));
  }
}

// ---- convolutions -----------------------------------------------------------------------------------------

namespace {

/// A metric of images in two groups of two channels.
template <Backend B>
ConvolutionalMetric<B> image_metric(B& b, ConvolutionalBlocks const& shape, double coupling) {
  using Scalar = typename B::Scalar;
  auto W = mapped([=](double w) { return coupling * w; }, normal_matrix<double>(2, 36, seed(50)));
  for (Index c = 0; c < 4; ++c) W(c % 2, (c / 2 * 9 + 4) * 2 + c % 2) += 2 + .5 * static_cast<double>(c);
  return {b, shape, to_device(b, symmetric_part(shape, rounded<Scalar>(W)))};
}

}  // namespace

TEST_CASE_TEMPLATE(
    "(F2) (K2) untie(tie) of a convolution gives back Q, lambda and beta up to a factor a component", B,
    DETRAME_BACKENDS) {
  using Scalar = typename B::Scalar;
  B b;
  ConvolutionalBlocks const shape{4, 5, 3, 2};
  auto const Q = image_metric(b, shape, .08);
  ElasticNet<B> const by_row(b, to_device(b, uniform_matrix<Scalar>(4, 1, seed(2), .1, 1)),
                             to_device(b, uniform_matrix<Scalar>(4, 1, seed(3), .1, 1)));
  NonnegativeElasticNet<B> const scalar(b, 4, Scalar(.25), Scalar(.125));
  auto const Q_host = in_double(b, Q.weights());
  for (auto const& step : {coordinate_step(b, Q), gershgorin_step(b, Q)}) {
    auto const check = [&](auto const& psi, bool one_penalty) {
      auto const found = untie(b, tie(b, Q, psi, step));
      INFO(found.explanation);
      REQUIRE(found.is_prox);
      CHECK(found.components == 2);
      CHECK(found.scalar_penalty == one_penalty);
      auto const lambda = in_double(b, psi.lambda()), beta = in_double(b, psi.beta());
      double const tol = tolerance<Scalar>(4 * 36, 4);
      for (Index c = 0; c < 4; ++c) {
        auto const row = [&](Index channel) { return (channel / 2 * 9 + 4) * 2 + channel % 2; };
        Index const first = c / 2 * 2;
        double const factor =
            (Q_host(0, row(first)) + beta(first, 0)) /
            (static_cast<double>(found.Q(0, row(first))) + static_cast<double>(found.beta_i(first, 0)));
        CHECK(std::abs(factor * static_cast<double>(found.lambda_i(c, 0)) - lambda(c, 0)) <= tol);
        CHECK(std::abs(factor * static_cast<double>(found.beta_i(c, 0)) - beta(c, 0)) <= tol);
        for (Index j = c / 2 * 18; j < (c / 2 + 1) * 18; ++j)
          CHECK(std::abs(factor * static_cast<double>(found.Q(c % 2, j)) - Q_host(c % 2, j)) <= tol);
      }
    };
    check(by_row, false);
    check(scalar, true);
  }
  // the arithmetic of the layer does not count; its dense form says the same of a small image
  auto const tied = tie(b, Q, scalar, gershgorin_step(b, Q));
  Recurrence<B, ConvolutionalBlocksBy<Winograd<4>>> const winograd{
      {4, 5, 3, 2}, tied.W_tilde, tied.h, tied.b};
  CHECK(untie(b, winograd).Q == untie(b, tied).Q);
  auto const every_site = [&](ConstView<B> v) {
    auto const host = to_host(b, v);
    return to_device(b, host_matrix<Scalar>(80, 1, [&](Index i, Index) { return host(i % 4, 0); }));
  };
  Recurrence<B> const whole{
      {1}, to_device(b, shape.dense(b, tied.W_tilde)), every_site(tied.h), every_site(tied.b)};
  CHECK(untie(b, whole).is_prox);
}

TEST_CASE("(F2) (K2) a convolution that is no prox is told from one that is, and why") {
  Cpu<double> b;
  ConvolutionalBlocks const shape{4, 5, 3, 2};
  auto const Q = image_metric(b, shape, .08);
  NonnegativeElasticNet<Cpu<double>> const psi(b, 4, .25, .125);
  auto const tied = tie(b, Q, psi, coordinate_step(b, Q));
  auto const W = to_host(b, ConstView<Cpu<double>>(tied.W_tilde));
  auto const with = [&](Host const& kernel, double h = .9, double shift = .1) {
    return untie(
        b, Recurrence<Cpu<double>, ConvolutionalBlocks>{
               shape, to_device(b, kernel), to_device(b, Host(4, 1, h)), to_device(b, Host(4, 1, shift))});
  };
  CHECK(with(W).is_prox);
  Host one_way = W;
  one_way(0, 3) += .1;  // w[0, 1, delta] without w[1, 0, -delta]
  CHECK_FALSE(with(one_way).symmetrisable);
  CHECK(with(one_way).explanation.starts_with("not a prox: W_tilde is not symmetrisable: its entry ("));
  Host within = W;
  within(1, 1) += .1;  // w[1, 1, delta] of one channel, whose sums over the taps do not show it
  within(1, 17) -= .1;
  CHECK_FALSE(with(within).symmetrisable);
  auto const large = with(mapped([](double w) { return 12 * w; }, W));
  CHECK(large.symmetrisable);
  CHECK_FALSE(large.psd);
  CHECK_FALSE(large.definite);
  CHECK(large.explanation.find("Q is not shown to be positive semi-definite for images of every size") !=
        std::string::npos);
  CHECK(with(W, 1.25).explanation.starts_with("not a prox: h(0) = 1.25, must be in [0, 1]"));
  CHECK(with(W, .9, -1).explanation.find("b(0) = -1, must be >= 0") != std::string::npos);
  Host nan = W;
  nan(1, 5) = std::nan("");
  check_throws_with<DomainError>([&] { with(nan); }, "untie: W_tilde has an entry nan, must be finite");
  // definite by less than the grid's margin: the symbol of Q is .9 + .88 cos omega
  Host cosine(1, 9);
  cosine(0, 3) = cosine(0, 5) = -.44;
  Recurrence<Cpu<double>, ConvolutionalBlocks> const near{
      {4, 5, 3}, to_device(b, cosine), to_device(b, Host(1, 1, .9)), to_device(b, Host(1, 1, .1))};
  CHECK(untie(b, near).is_prox);
  CHECK(untie(b, near).smallest_of_sum > 0);
}

}  // namespace detrame
