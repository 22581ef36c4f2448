// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/exact/exact_prox.hpp"
#include "detrame/exact/exact_prox_pullback.hpp"
#include "detrame/exact/exact_synthesis.hpp"
#include "detrame/exact/exact_synthesis_pullback.hpp"
#include "detrame/metric/block_metric.hpp"
#include "detrame/metric/convolutional_metric.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

using namespace detrame::test;
using Host = HostMatrix<double>;

#define BACKENDS Cpu<float>, Cpu<double>, archetype::Loops<double>

namespace {

constexpr Index plenty = Index{1} << 24;  // bytes

/// Codes of all sizes: sample j is a sum of up to k atoms, so that supports go beyond what the search for one
/// on a CPU holds.
template <Backend B, class Psi>
struct Codes {
  using Scalar = typename B::Scalar;
  static constexpr Index m = 90, k = 120, N = 24;
  B b;
  Synthesis<B> synthesis{in_memory_of(b, unit_norm_dictionary<double>(m, k, seed(730))), Scalar(.25), 0, 0,
                         zeros(b, k, 1)};
  Psi psi{b, k, Scalar(.03125), Scalar(.0625)};
  Matrix<B> X, u_bar = in_memory_of(b, normal_matrix<double>(k, N, seed(731)));
  ExactResult<B> code;

  explicit Codes(Index factor_bytes) {
    auto const D = in_double(b, ConstView<B>(synthesis.D));
    auto const parts = uniform_matrix<double>(k, N, seed(732), .5, 1);
    X = in_memory_of(b, product(D, host_matrix<double>(k, N, [&](Index i, Index j) {
                                  return i * N < k * j ? parts(i, j) : 0;
                                })));
    solve(factor_bytes);
  }

  void solve(Index factor_bytes) {
    exact_synthesis(b, synthesis, psi, X, code, {.factor_bytes = factor_bytes});
    require_optimal(code);
  }

  std::vector<Host> cotangents(Matrix<B> const& u, ExactFactors<B> const& factors) {
    SynthesisCotangent<B> bar;
    exact_synthesis_pullback(b, synthesis, psi, X, u, u_bar, bar, factors);
    std::vector<Host> all;
    for (auto const* A : {&bar.v, &bar.X_bar, &bar.D_bar, &bar.d_bar, &bar.lambda_rows, &bar.alpha_bar})
      all.push_back(in_double(b, ConstView<B>(*A)));
    return all;
  }
  Host sizes() { return in_double(b, ConstView<B>(code.factors.sizes)); }
};

Index members(Host const& u, Index j) {
  Index count = 0;
  for (Index i = 0; i < u.rows(); ++i) count += u(i, j) != 0;
  return count;
}

}  // namespace

TEST_CASE_TEMPLATE("(A3) factors that are kept, all or those that fit, change no bit of the cotangents", B,
                   BACKENDS) {
  auto const check = [](auto p) {
    Host const u = in_double(p.b, ConstView<B>(p.code.u));
    std::vector<Index> sizes;
    for (Index j = 0; j < p.N; ++j) sizes.push_back(members(u, j));
    std::sort(sizes.begin(), sizes.end());
    REQUIRE(sizes.front() == 0);
    REQUIRE(sizes.back() > 48);  // beyond the search on a CPU
    auto const made = p.cotangents(p.code.u, {});
    REQUIRE(p.code.factors.all);
    for (Index j = 0; j < p.N; ++j) CHECK(p.sizes()(0, j) == -static_cast<double>(members(u, j)));
    CHECK(p.cotangents(p.code.u, p.code.factors) == made);

    Index const scalars = B::Team::factor_size(sizes[sizes.size() / 2]),
                room = scalars * p.N * Index{sizeof(typename B::Scalar)};
    p.solve(room);
    CHECK(!p.code.factors.all);
    CHECK(p.code.factors.slots.rows() == scalars);
    Index kept = 0;
    for (Index j = 0; j < p.N; ++j) kept += p.sizes()(0, j) <= 0;
    REQUIRE(kept > 2);
    REQUIRE(kept < p.N);
    CHECK(p.cotangents(p.code.u, p.code.factors) == made);

    // They are used: with others the solution is another one.
    auto other = p.code.factors;
    other.slots = in_memory_of(p.b, Host(other.slots.rows(), p.N, 2));
    CHECK(p.cotangents(p.code.u, other).front() != made.front());
  };
  check(Codes<B, NonnegativeElasticNet<B>>(plenty));
  check(Codes<B, ElasticNet<B>>(plenty));
}

TEST_CASE_TEMPLATE("(A3) a code that is not the one of the factors gives 0 or NaN, and no other number", B,
                   BACKENDS) {
  Codes<B, ElasticNet<B>> p(plenty);
  REQUIRE(p.code.factors.all);
  auto const made = p.cotangents(p.code.u, {});
  Host u = in_double(p.b, ConstView<B>(p.code.u));
  Index const cleared = p.N - 1, reduced = p.N - 2, lost = p.N - 3;
  for (Index i = 0; i < p.k; ++i) u(i, cleared) = 0;
  Index at = 0;
  while (u(at, reduced) == 0) ++at;
  u(at, reduced) = 0;
  at = 0;
  while (u(at, lost) == 0) ++at;
  u(at, lost) = std::numeric_limits<double>::quiet_NaN();
  auto const bar = p.cotangents(in_memory_of(p.b, u), p.code.factors);
  for (Index i = 0; i < p.k; ++i) {
    CHECK(bar[0](i, cleared) == 0);
    for (Index const j : {reduced, lost})
      if (u(i, j) == 0)
        CHECK(bar[0](i, j) == 0);
      else
        CHECK(std::isnan(bar[0](i, j)));
    for (Index j = 0; j < lost; ++j) CHECK(bar[0](i, j) == made[0](i, j));
  }
}

TEST_CASE_TEMPLATE("(A2) factors of a metric's blocks change no bit of the cotangents", B, BACKENDS) {
  using Scalar = typename B::Scalar;
  constexpr Index n = 20, blocks = 3, k = n * blocks, N = 15;
  B b;
  Host Q(n, k);
  for (std::uint64_t g = 0; g < blocks; ++g) {
    auto const Q_g = definite_matrix<double>(n, 8, seed(740 + g));
    for (Index j = 0; j < n; ++j)
      for (Index i = 0; i < n; ++i) Q(i, static_cast<Index>(g) * n + j) = Q_g(std::max(i, j), std::min(i, j));
  }
  BlockDiagonalMetric<B> const metric(b, in_memory_of(b, Q));
  NonnegativeElasticNet<B> const psi(b, k, Scalar(.5), Scalar(.125));
  auto const z = random_matrix(b, k, N, seed(743)), u_bar = random_matrix(b, k, N, seed(744));
  auto const code = require_optimal(exact_prox(b, metric, psi, z, {.factor_bytes = plenty}));
  REQUIRE(code.factors.all);
  Host const u = in_double(b, ConstView<B>(code.u)), sizes = in_double(b, ConstView<B>(code.factors.sizes));
  REQUIRE(max_abs(u) > 0);
  for (Index g = 0; g < blocks; ++g)
    for (Index j = 0; j < N; ++j) {
      Index here = 0;
      for (Index i = 0; i < n; ++i) here += u(g * n + i, j) != 0;
      CHECK(sizes(g, j) == -static_cast<double>(here));
    }
  ExactProxCotangent<B> made, kept;
  exact_prox_pullback(b, metric, psi, z, code.u, u_bar, made);
  exact_prox_pullback(b, metric, psi, z, code.u, u_bar, kept, code.factors);
  auto const same = [&](Matrix<B> const& x, Matrix<B> const& y) {
    CHECK(in_double(b, ConstView<B>(x)) == in_double(b, ConstView<B>(y)));
  };
  same(kept.v, made.v);
  same(kept.z_bar, made.z_bar);
  same(kept.Q_bar, made.Q_bar);
  same(kept.lambda_bar, made.lambda_bar);
  same(kept.beta_bar, made.beta_bar);
}

TEST_CASE_TEMPLATE("factors: none unless asked for, none of an older call, none of images; refusals", B,
                   BACKENDS) {
  using Scalar = typename B::Scalar;
  Codes<B, NonnegativeElasticNet<B>> p(plenty);
  auto const of_all = p.code.factors;
  p.solve(0);
  CHECK(!p.code.factors.all);
  CHECK(p.code.factors.sizes.cols() == 0);
  CHECK(p.code.factors.slots.cols() == 0);
  p.solve(Index{sizeof(Scalar)} * p.N - 1);  // not a number for each
  CHECK(p.code.factors.sizes.cols() == 0);
  check_throws_with<DomainError>([&] { p.solve(-1); }, "factor_bytes = -1");
  SynthesisCotangent<B> bar;
  check_throws_with<ShapeError>(
      [&] {
        auto const x = zeros(p.b, p.m, 2), u = zeros(p.b, p.k, 2);
        exact_synthesis_pullback(p.b, p.synthesis, p.psi, x, u, u, bar, of_all);
      },
      "factors of 1 x 24 solutions, there are 1 x 2");
  auto const nothing = exact_synthesis(p.b, p.synthesis, p.psi, zeros(p.b, p.m, 0), {.factor_bytes = plenty});
  CHECK(nothing.factors.sizes.cols() == 0);
  exact_synthesis_pullback(p.b, p.synthesis, p.psi, zeros(p.b, p.m, 0), nothing.u, nothing.u, bar,
                           nothing.factors);
  CHECK(max_abs(in_double(p.b, ConstView<B>(bar.D_bar))) == 0);
  ConvolutionalMetric<B> const images(
      p.b, ConvolutionalBlocks{4, 4, 3},
      in_memory_of(p.b, host_matrix<double>(1, 9, [](Index, Index c) { return c == 4 ? 1. : 0.; })));
  NonnegativeElasticNet<B> const psi(p.b, 1, Scalar(.5), Scalar(.125));
  check_throws_with<DomainError>(
      [&] { exact_prox(p.b, images, psi, zeros(p.b, 1, 16), {.factor_bytes = plenty}); }, "0 for images");
}

}  // namespace detrame
