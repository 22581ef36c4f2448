// SPDX-License-Identifier: Apache-2.0
#include "detrame/exact/sparse_coder.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <limits>
#include <optional>
#include <thread>
#include <vector>

#include "allocation_counter.hpp"
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/metric/block_metric.hpp"
#include "detrame/metric/dense_metric.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

using namespace detrame::test;

namespace {

constexpr Index m = 9, k = 20, N = 27;

/// Out of the range of products: matrices are scaled.
template <class Scalar>
constexpr double far = sizeof(Scalar) == 4 ? 0x1p-50 : 0x1p-220;

/// Problems with equal atoms, an atom 0, and a shift; `scale` times D, and back in the codes.
template <Backend B>
Synthesis<B> problem(B& b, double scale = 1, std::uint64_t n = 1) {
  using Scalar = typename B::Scalar;
  auto D = unit_norm_dictionary<double>(m, k, seed(n));
  for (Index i = 0; i < m; ++i) {
    D(i, 3) = D(i, 2);
    D(i, 7) = 0;
    for (Index j = 0; j < k; ++j) D(i, j) *= scale;
  }
  auto d = normal_matrix<double>(k, 1, seed(n + 1));
  for (Index i = 0; i < k; ++i) d(i, 0) *= .05;
  return {in_memory_of(b, D), static_cast<Scalar>(.05 * scale * scale), Scalar(.125), Scalar(.1),
          in_memory_of(b, d)};
}

/// Columns of any size, one of them 0, one NaN, some far out of range.
template <Backend B>
Matrix<B> samples(B& b, Index rows) {
  auto X = normal_matrix<double>(rows, N, seed(3));
  for (Index i = 0; i < rows; ++i) {
    X(i, 1) = 0;
    X(i, 5) *= 1e6;
    X(i, 6) *= 1e30;
  }
  X(0, 4) = std::numeric_limits<double>::quiet_NaN();
  return in_memory_of(b, X);
}

/// Weights of every kind: 0, infinite, and in between.
template <Backend B>
ElasticNet<B> signed_penalty(B& b, Index rows) {
  double const infinity = std::numeric_limits<double>::infinity();
  auto const lambda = host_matrix<double>(
      rows, 1, [&](Index i, Index) { return i == 4 ? infinity : .02 * static_cast<double>(i % 5); });
  auto const beta = host_matrix<double>(
      rows, 1, [&](Index i, Index) { return i == 5 ? infinity : .1 * static_cast<double>(i % 3); });
  return {b, in_memory_of(b, lambda), in_memory_of(b, beta)};
}

template <Backend B>
bool same_bits(B& b, ConstView<B> v, ConstView<B> w) {
  using Scalar = typename B::Scalar;
  using Bits = std::conditional_t<sizeof(Scalar) == 4, std::uint32_t, std::uint64_t>;
  HostMatrix<Scalar> const a = to_host(b, v), c = to_host(b, w);
  if (a.rows() != c.rows() || a.cols() != c.cols()) return false;
  for (Index j = 0; j < a.cols(); ++j)
    for (Index i = 0; i < a.rows(); ++i)
      if (std::bit_cast<Bits>(a(i, j)) != std::bit_cast<Bits>(c(i, j))) return false;
  return true;
}

template <Backend B>
bool same_bits(B& b, ExactResult<B> const& got, ExactResult<B> const& expected) {
  bool same = got.status == expected.status && got.iterations == expected.iterations;
  for (auto member : {&ExactResult<B>::u, &ExactResult<B>::residual, &ExactResult<B>::subgradient,
                      &ExactResult<B>::column_status, &ExactResult<B>::pivots, &ExactResult<B>::summary})
    same = same && same_bits<B>(b, got.*member, expected.*member);
  return same;
}

}  // namespace

TEST_CASE_TEMPLATE("(M1) a coder's codes have the bits of exact_synthesis: cold, from a guess, cut off", B,
                   Cpu<float>, Cpu<double>, archetype::Loops<float>, archetype::Loops<double>) {
  B b;
  auto const X = samples(b, m);
  for (double scale : {1., far<typename B::Scalar>, 0x1p40}) {
    auto const s = problem(b, scale);
    auto const compare = [&](auto const& coder, auto const& psi) {
      CHECK((coder.rows() == m && coder.dim() == k));
      auto const expected = exact_synthesis(b, s, psi, X);
      CHECK(expected.status == ExactStatus::not_finite);  // of one column
      auto got = encode(b, coder, X);
      CHECK(same_bits(b, got, expected));
      auto again = expected;
      exact_synthesis(b, s, psi, X, again, {.warm_start = true});
      encode(b, coder, X, got, {.warm_start = true});
      CHECK(same_bits(b, got, again));
      CHECK(same_bits(b, encode(b, coder, X, {.pivot_limit = 1}),
                      exact_synthesis(b, s, psi, X, {.pivot_limit = 1})));
      auto const none = encode(b, coder, zeros(b, m, 0));
      CHECK((none.status == ExactStatus::optimal && none.u.rows() == k && none.u.cols() == 0));
    };
    compare(SparseCoder(b, s), s.penalty(b));
    compare(SparseCoder(b, s, signed_penalty(b, k)), signed_penalty(b, k));
  }
}

TEST_CASE_TEMPLATE("(M3) in a metric made ready exact_prox has the bits of exact_prox: one block, and four",
                   B, Cpu<float>, Cpu<double>, archetype::Loops<float>, archetype::Loops<double>) {
  B b;
  auto const z = samples(b, k);
  auto const psi = signed_penalty(b, k);
  for (double scale : {1., far<typename B::Scalar>}) {
    auto const blocks = [&](Index kg) {
      return in_memory_of(b, host_matrix<double>(kg, k, [=](Index i, Index j) {
                            return scale * (i == j % kg ? 2. + static_cast<double>(j % 3) : .125);
                          }));
    };
    auto const compare = [&](auto const& Q) {
      PreparedProx const prepared(b, Q, psi);
      CHECK(prepared.dim() == k);
      auto const expected = exact_prox(b, Q, psi, z);
      auto got = exact_prox(b, prepared, z);
      CHECK(same_bits(b, got, expected));
      auto again = expected;
      exact_prox(b, Q, psi, z, again, {.warm_start = true});
      exact_prox(b, prepared, z, got, {.warm_start = true});
      CHECK(same_bits(b, got, again));
    };
    compare(DenseMetric<B>(b, blocks(k)));
    compare(BlockDiagonalMetric<B>(b, blocks(5)));
  }
}

TEST_CASE_TEMPLATE("an updated coder is one of the new atoms, of the new lambda", B, Cpu<float>, Cpu<double>,
                   archetype::Loops<float>, archetype::Loops<double>) {
  using Scalar = typename B::Scalar;
  B b;
  auto const X = samples(b, m);
  auto const s = problem(b), small = problem(b, far<Scalar>, 6);
  auto const psi = signed_penalty(b, k);
  SparseCoder coder(b, s, psi);
  auto const copy = coder;
  coder.update(b, small.D);  // into range, with the old alpha, d and weights
  auto const expected = exact_synthesis(b, {small.D, s.alpha, s.beta, s.lambda, s.d}, psi, X);
  CHECK(same_bits(b, encode(b, coder, X), expected));
  CHECK_THROWS_AS(coder.update(b, zeros(b, m + 1, k)), ShapeError);
  CHECK_THROWS_AS(coder.update(b, zeros(b, m, k - 1)), ShapeError);
  CHECK_THROWS_AS(coder.update_lambda(b, Scalar(-1)), DomainError);
  CHECK_THROWS_AS(coder.update_lambda(b, std::numeric_limits<Scalar>::quiet_NaN()), DomainError);
  CHECK(same_bits(b, encode(b, coder, X), expected));
  CHECK(same_bits(b, encode(b, copy, X), exact_synthesis(b, s, psi, X)));  // a value of its own
  coder.update(b, s.D);
  CHECK(same_bits(b, encode(b, coder, X), exact_synthesis(b, s, psi, X)));

  auto const weights = in_memory_of(b, host_matrix<double>(k, 1, [](Index, Index) { return .4; }));
  ElasticNet<B> const heavier(b, weights, to_device(b, to_host(b, psi.beta())));
  coder.update_lambda(b, Scalar(.4));
  CHECK(same_bits(b, encode(b, coder, X), exact_synthesis(b, s, heavier, X)));
  coder.update(b, small.D);  // keeps the lambda that was given last
  CHECK(same_bits(b, encode(b, coder, X),
                  exact_synthesis(b, {small.D, s.alpha, s.beta, s.lambda, s.d}, heavier, X)));

  DenseMetric<B> const Q(b, in_memory_of(b, definite_matrix<double>(k, 8, seed(9))));
  PreparedProx prepared(b, Q, psi);
  prepared.update_lambda(b, Scalar(.4));
  auto const z = samples(b, k);
  CHECK(same_bits(b, exact_prox(b, prepared, z), exact_prox(b, Q, heavier, z)));
}

TEST_CASE_TEMPLATE("an update, and codes into a result used again, allocate nothing", Scalar, float, double) {
  using B = Cpu<Scalar>;
  for (int threads : {1, 3}) {
    B b(threads);
    auto const X = samples(b, m);
    auto const s = problem(b), other = problem(b, far<Scalar>, 6);
    SparseCoder coder(b, s);
    ExactResult<B> result;
    auto const step = [&] {
      coder.update(b, other.D);
      coder.update_lambda(b, Scalar(.25));
      encode(b, coder, X, result);
      coder.update(b, s.D);
    };
    CHECK(allocations(step) > 0);
    step();  // every lane has had its turn
    long least = 1;
    for (int again = 0; again < 20; ++again) least = std::min(least, allocations(step));
    CHECK(least == 0);
    if (threads > 1) continue;
    auto const held = b.lane().arena().held();
    for (int again = 0; again < 20; ++again) CHECK(allocations(step) == 0);
    CHECK(b.lane().arena().held() == held);
  }
}

TEST_CASE_TEMPLATE("(M1) atoms without rows: codes are those of -d", Scalar, float, double) {
  Cpu<Scalar> b(1);
  auto const d = in_memory_of(b, normal_matrix<double>(k, 1, seed(50)));
  Synthesis<Cpu<Scalar>> const s{Matrix<Cpu<Scalar>>(0, k), Scalar(2), Scalar(0), Scalar(.1), d};
  SparseCoder coder(b, s);
  Matrix<Cpu<Scalar>> const X(0, 3);
  auto const code = encode(b, coder, X);
  CHECK(code.status == ExactStatus::optimal);
  for (Index i = 0; i < k; ++i)
    CHECK(std::abs(code.u(i, 2) - std::max(Scalar(0), (-d(i, 0) - Scalar(.1)) / Scalar(2))) <=
          4 * std::numeric_limits<Scalar>::epsilon() * (std::abs(d(i, 0)) + Scalar(1)));
  coder.update(b, Matrix<Cpu<Scalar>>(0, k));
  CHECK((encode(b, coder, X).u == code.u));
}

TEST_CASE("one const coder serves several backends at a time") {
  using B = Cpu<double>;
  B b(1);
  auto const X = samples(b, m);
  auto const s = problem(b);
  SparseCoder const coder(b, s);
  auto const expected = exact_synthesis(b, s, X);
  std::vector<std::optional<ExactResult<B>>> got(3);
  std::vector<std::thread> threads;
  for (auto& result : got)
    threads.emplace_back([&] {
      B own(1);
      for (int i = 0; i < 20; ++i) result = encode(own, coder, X);
    });
  for (auto& thread : threads) thread.join();
  for (auto const& result : got) CHECK(same_bits(b, *result, expected));
}

TEST_CASE("what does not fit a coder is refused with its sizes") {
  Cpu<double> b;
  auto const s = problem(b);
  SparseCoder const coder(b, s);
  CHECK_THROWS_WITH_AS(encode(b, coder, zeros(b, m + 1, 2)), "encode: X has 10 rows, D is 9 x 20",
                       ShapeError);
  CHECK_THROWS_AS(encode(b, coder, zeros(b, m, 2), {.pivot_limit = -1}), DomainError);
  CHECK_THROWS_AS(encode(b, coder, zeros(b, m, 2), {.warm_start = true}), ShapeError);
  CHECK_THROWS_WITH_AS(SparseCoder(b, s, signed_penalty(b, k + 1)),
                       "SparseCoder: psi has 21 rows, D has 20 atoms", ShapeError);
  auto const Q = s.metric(b);
  CHECK_THROWS_WITH_AS(PreparedProx(b, Q, signed_penalty(b, k + 1)),
                       "PreparedProx: psi has 21 rows, Q has 20", ShapeError);
  CHECK_THROWS_WITH_AS(exact_prox(b, PreparedProx(b, Q, signed_penalty(b, k)), zeros(b, 3, 1)),
                       "exact_prox: z has 3 rows, Q is 20 x 20", ShapeError);
}

}  // namespace detrame
