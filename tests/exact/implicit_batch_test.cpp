// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/exact/exact_prox.hpp"
#include "detrame/exact/exact_prox_pullback.hpp"
#include "detrame/exact/exact_synthesis.hpp"
#include "detrame/exact/exact_synthesis_pullback.hpp"
#include "detrame/metric/block_metric.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

using namespace detrame::test;
using Host = HostMatrix<double>;

#define BACKENDS Cpu<float>, Cpu<double>, archetype::Loops<double>

namespace {

/// x with A_SS x = b on S = {i: u_i != 0}, else 0, by elimination: A is definite there.
Host solved_on_support(Host const& A, Host const& u, Host const& b, Index j, Index first) {
  Index const n = A.rows();
  Host M = A;  // n x n, of which the rows and columns in S count
  Host x(n, 1);
  auto const in = [&](Index i) { return u(first + i, j) != 0; };
  for (Index i = 0; i < n; ++i) x(i, 0) = in(i) ? b(first + i, j) : 0;
  for (Index p = 0; p < n; ++p)
    for (Index i = p + 1; in(p) && i < n; ++i) {
      if (!in(i)) continue;
      double const share = M(i, p) / M(p, p);
      for (Index c = p; c < n; ++c) M(i, c) -= share * M(p, c);
      x(i, 0) -= share * x(p, 0);
    }
  for (Index p = n; p-- > 0;) {
    if (!in(p)) continue;
    for (Index c = p + 1; c < n; ++c) x(p, 0) -= in(c) ? M(p, c) * x(c, 0) : 0;
    x(p, 0) /= M(p, p);
  }
  return x;
}

double sign(double v) { return v > 0 ? 1 : v < 0 ? -1 : 0; }

/// Synthesis problems of k atoms, two of them equal and one held at 0, with two equal samples and one whose
/// code is 0.
template <Backend B, class Psi>
struct Atoms {
  using Scalar = typename B::Scalar;
  static constexpr Index m = 9, k = 37;  // no multiple of what any team works on side by side
  B b;
  Synthesis<B> synthesis;
  Host D, x, beta;
  Psi psi;
  Matrix<B> X, u, u_bar;

  explicit Atoms(Index N)
      : synthesis{{}, Scalar(.25), 0, 0, zeros(b, k, 1)},
        D(rounded<double>(rounded<Scalar>(unit_norm_dictionary<double>(m, k, seed(700))))),
        x(normal_matrix<double>(m, N, seed(701))),
        beta(uniform_matrix<double>(k, 1, seed(702), .0625, .25)),
        psi(of_rows()) {
    for (Index i = 0; i < m; ++i) {
      D(i, 30) = D(i, 4);
      if (N > 3) {
        x(i, 3) = x(i, 1);
        x(i, 2) = 0;
      }
    }
    synthesis.D = in_memory_of(b, D);
    X = in_memory_of(b, x);
    Host bar = normal_matrix<double>(k, N, seed(704));
    for (Index i = 0; N > 3 && i < k; ++i) bar(i, 3) = bar(i, 1);
    u_bar = in_memory_of(b, bar);
    u = require_optimal(exact_synthesis(b, synthesis, psi, X)).u;
  }

  Psi of_rows() {
    beta(7, 0) = limits::infinity<double>;
    return Psi(b, in_memory_of(b, uniform_matrix<double>(k, 1, seed(703), .05, .2)), in_memory_of(b, beta));
  }

  SynthesisCotangent<B> pullback() {
    SynthesisCotangent<B> bar;
    exact_synthesis_pullback(b, synthesis, psi, X, u, u_bar, bar);
    return bar;
  }
  Host host(Matrix<B> const& A) { return in_double(b, ConstView<B>(A)); }

  /// v of column j, by elimination.
  Host solution(Host const& code, Host const& bar, Index j) const {
    Host H = product(transposed(D), D);
    for (Index i = 0; i < k; ++i) H(i, i) += .25 + beta(i, 0);
    return solved_on_support(H, code, bar, j, 0);
  }
};

}  // namespace

TEST_CASE_TEMPLATE("(A3) a batch of sparse codes has the cotangents that are summed entry by entry", B,
                   BACKENDS) {
  auto const check = [](auto p) {
    constexpr Index m = p.m, k = p.k;
    using Scalar = typename B::Scalar;
    Index const N = p.x.cols();
    Host const u = p.host(p.u), u_bar = p.host(p.u_bar), x = p.host(p.X);
    Host V(k, N), X_bar(m, N), D_bar(m, k), d_bar(k, 1), lambda_bar(k, 1), beta_bar(k, 1);
    Index members = 0, empty = 0;
    for (Index j = 0; j < N; ++j) {
      Host const v = p.solution(u, u_bar, j);
      Index here = 0;
      for (Index i = 0; i < k; ++i) {
        here += u(i, j) != 0;
        V(i, j) = v(i, 0);
        d_bar(i, 0) -= v(i, 0);
        lambda_bar(i, 0) -= sign(u(i, j)) * v(i, 0);
        beta_bar(i, 0) -= u(i, j) * v(i, 0);
      }
      members += here;
      empty += here == 0;
      for (Index l = 0; l < m; ++l) {
        double e = x(l, j);
        for (Index i = 0; i < k; ++i) {
          e -= p.D(l, i) * u(i, j);
          X_bar(l, j) += p.D(l, i) * v(i, 0);
        }
        for (Index i = 0; i < k; ++i) D_bar(l, i) += e * v(i, 0) - X_bar(l, j) * u(i, j);
      }
    }
    REQUIRE(members > 4 * N);
    REQUIRE(empty > 0);
    REQUIRE(4 * members < 3 * k * N);
    auto const bar = p.pullback();
    // H has condition (1.25 k + .5) / .25 at most, of which its members see less: sums of N |A| terms.
    double const near = static_cast<double>(tolerance<Scalar>(k + N, 50));
    auto const agree = [&](Matrix<B> const& got, Host const& expected) {
      CHECK(relative_difference(p.host(got), expected) <= near);
    };
    agree(bar.v, V);
    agree(bar.X_bar, X_bar);
    agree(bar.D_bar, D_bar);
    agree(bar.d_bar, d_bar);
    agree(bar.lambda_rows, lambda_bar);
    agree(bar.beta_rows, beta_bar);
    double lambda = 0, beta = 0;
    for (Index i = 0; i < k; ++i) {
      lambda += lambda_bar(i, 0);
      beta += beta_bar(i, 0);
    }
    CHECK(std::abs(p.host(bar.lambda_bar)(0, 0) - lambda) <= near * norm(lambda_bar) * k);
    CHECK(std::abs(p.host(bar.alpha_bar)(0, 0) - beta) <= near * norm(beta_bar) * k);
    CHECK(p.host(bar.alpha_bar) == p.host(bar.beta_bar));
    CHECK(p.host(bar.d_bar)(7, 0) == 0);  // held at 0
    Host const v = p.host(bar.v);
    for (Index i = 0; i < k; ++i) CHECK(v(i, 1) == v(i, 3));  // equal samples
  };
  Index const N = 150;  // more than two runs of columns
  check(Atoms<B, NonnegativeElasticNet<B>>(N));
  check(Atoms<B, ElasticNet<B>>(N));
}

TEST_CASE_TEMPLATE("(A3) NaN in one code stays in its column and at its atoms; no column, no cotangent", B,
                   BACKENDS) {
  Atoms<B, ElasticNet<B>> p(70), none(0);
  auto const before = p.pullback();
  Host u = p.host(p.u);
  constexpr Index lost = 66;
  Index at = 0;
  while (u(at, lost) == 0) ++at;
  u(at, lost) = std::numeric_limits<double>::quiet_NaN();
  p.u = in_memory_of(p.b, u);
  auto const after = p.pullback();
  Host const X_bar = p.host(after.X_bar), X_before = p.host(before.X_bar), D_bar = p.host(after.D_bar),
             D_before = p.host(before.D_bar), rows = p.host(after.lambda_rows);
  Index used = 0;
  for (Index i = 0; i < p.k; ++i) {
    bool const here = u(i, lost) != 0;
    used += here;
    CHECK(std::isnan(rows(i, 0)) == here);
    for (Index l = 0; l < p.m; ++l) {
      CHECK(std::isnan(D_bar(l, i)) == here);
      if (!here) CHECK(D_bar(l, i) == D_before(l, i));
    }
  }
  REQUIRE(used > 0);
  REQUIRE(used < p.k);
  CHECK(std::isnan(p.host(after.lambda_bar)(0, 0)));
  for (Index j = 0; j < u.cols(); ++j)
    for (Index l = 0; l < p.m; ++l)
      if (j == lost)
        CHECK(std::isnan(X_bar(l, j)));
      else
        CHECK(X_bar(l, j) == X_before(l, j));

  auto const nothing = none.pullback();
  CHECK(nothing.X_bar.cols() == 0);
  CHECK(none.host(nothing.D_bar) == Host(p.m, p.k));
  CHECK(max_abs(none.host(nothing.beta_rows)) == 0);
  CHECK(none.host(nothing.lambda_bar)(0, 0) == 0);
}

TEST_CASE_TEMPLATE("(A2) the cotangent of Q is that which is summed entry by entry, and symmetric to the bit",
                   B, BACKENDS) {
  using Scalar = typename B::Scalar;
  constexpr Index n = 11, blocks = 2, k = n * blocks, N = 70;
  B b;
  Host Q(n, k);
  for (std::uint64_t g = 0; g < blocks; ++g) {
    auto const Q_g = rounded<double>(rounded<Scalar>(definite_matrix<double>(n, 8, seed(710 + g))));
    for (Index j = 0; j < n; ++j)
      for (Index i = 0; i < n; ++i) Q(i, static_cast<Index>(g) * n + j) = Q_g(std::max(i, j), std::min(i, j));
  }
  auto const z = rounded<double>(rounded<Scalar>(normal_matrix<double>(k, N, seed(712)))),
             u_bar = rounded<double>(rounded<Scalar>(normal_matrix<double>(k, N, seed(713))));
  BlockDiagonalMetric<B> const metric(b, in_memory_of(b, Q));
  ElasticNet<B> const psi(b, k, Scalar(.5), Scalar(.125));
  auto const Z = in_memory_of(b, z), U_bar = in_memory_of(b, u_bar);
  auto const code = require_optimal(exact_prox(b, metric, psi, Z));
  auto const bar = exact_prox_pullback(b, metric, psi, Z, code.u, U_bar);
  Host const u = in_double(b, ConstView<B>(code.u)), Q_bar = in_double(b, ConstView<B>(bar.Q_bar));
  Host expected(n, k), z_bar(k, N);
  Index members = 0;
  for (Index j = 0; j < N; ++j)
    for (Index g = 0; g < blocks; ++g) {
      Index const top = g * n;
      Host H(n, n);
      for (Index c = 0; c < n; ++c)
        for (Index i = 0; i < n; ++i) H(i, c) = Q(i, top + c) + (i == c ? .125 : 0);
      Host const v = solved_on_support(H, u, u_bar, j, top);
      for (Index c = 0; c < n; ++c) {
        members += u(top + c, j) != 0;
        for (Index i = 0; i < n; ++i) {
          z_bar(top + i, j) += Q(i, top + c) * v(c, 0);
          expected(i, top + c) -=
              .5 * (v(i, 0) * (u(top + c, j) - z(top + c, j)) + (u(top + i, j) - z(top + i, j)) * v(c, 0));
        }
      }
    }
  REQUIRE(members > k * N / 4);
  REQUIRE(members < k * N * 3 / 4);
  double const near = static_cast<double>(tolerance<Scalar>(n + N, 8));  // the condition
  CHECK(relative_difference(Q_bar, expected) <= near);
  CHECK(relative_difference(in_double(b, ConstView<B>(bar.z_bar)), z_bar) <= near);
  for (Index c = 0; c < k; ++c)
    for (Index i = 0; i < n; ++i) CHECK(Q_bar(i, c) == Q_bar(c % n, c / n * n + i));
}

TEST_CASE_TEMPLATE("the adjoints of exact codes have the same bits for any number of threads", Scalar, float,
                   double) {
  using B = Cpu<Scalar>;
  Index const m = 16, k = 64, N = 600;
  auto const D = unit_norm_dictionary<Scalar>(m, k, seed(720)), x = normal_matrix<Scalar>(m, N, seed(721)),
             u_bar = normal_matrix<Scalar>(k, N, seed(722));
  auto const cotangents = [&](int threads) {
    B b(threads);
    Synthesis<B> const synthesis{to_device(b, D), Scalar(.1), Scalar(.05), Scalar(.2), zeros(b, k, 1)};
    auto const psi = synthesis.penalty(b);
    auto const code = require_optimal(exact_synthesis(b, synthesis, psi, to_device(b, x)));
    SynthesisCotangent<B> bar;
    exact_synthesis_pullback(b, synthesis, psi, to_device(b, x), code.u, to_device(b, u_bar), bar);
    auto const Q = synthesis.metric(b);
    auto const z = to_device(b, u_bar);
    auto const prox = exact_prox_pullback(b, Q, psi, z, require_optimal(exact_prox(b, Q, psi, z)).u, z);
    return std::vector{to_host(b, ConstView<B>(bar.X_bar)),       to_host(b, ConstView<B>(bar.D_bar)),
                       to_host(b, ConstView<B>(bar.lambda_rows)), to_host(b, ConstView<B>(bar.alpha_bar)),
                       to_host(b, ConstView<B>(prox.z_bar)),      to_host(b, ConstView<B>(prox.Q_bar)),
                       to_host(b, ConstView<B>(prox.beta_bar))};
  };
  auto const one = cotangents(1), three = cotangents(3);
  REQUIRE(max_abs(one[1]) > 0);
  for (std::size_t n = 0; n < one.size(); ++n) CHECK(one[n] == three[n]);
}

}  // namespace detrame
