// SPDX-License-Identifier: Apache-2.0
#include "detrame/learn/update_dictionary.hpp"

#include <doctest/doctest.h>

#include "detrame/backend/cpu/backend.hpp"
#include "laws/archetype.hpp"
#include "support.hpp"

namespace detrame {

using namespace detrame::test;

namespace {

/// Sums of sparse codes and samples, and a feasible dictionary: what an update starts from.
struct Sums {
  Index m, k;
  HostMatrix<double> AA, XA, D;

  Sums(Index m_, Index k_, std::uint64_t n, bool nonnegative) : m(m_), k(k_) {
    auto const x = normal_matrix<double>(m, 3 * k, seed(n));
    auto const a =
        mapped([](double v) { return v > .3 ? v : 0.; }, normal_matrix<double>(k, 3 * k, seed(n + 1)));
    AA = product(a, transposed(a));
    XA = product(x, transposed(a));
    D = unit_norm_dictionary<double>(m, k, seed(n + 2));
    if (nonnegative) D = mapped([](double v) { return std::abs(v); }, D);
  }
};

/// f(D) = 1/2 <D, D AA> - <D, XA>, in double.                                                          (O2)
double surrogate(HostMatrix<double> const& D, Sums const& s) {
  return inner(D, product(D, s.AA)) / 2 - inner(D, s.XA);
}

double length(HostMatrix<double> const& D, Index j) {
  double square = 0;
  for (Index i = 0; i < D.rows(); ++i) square += D(i, j) * D(i, j);
  return std::sqrt(square);
}

/// d_j <- P(d_j + (XA - D AA)_j / AA_jj), atom after atom, with loops of the test's own.
HostMatrix<double> swept(Sums const& s, HostMatrix<double> D, bool nonnegative) {
  for (Index j = 0; j < s.k; ++j) {
    auto const R = product(D, s.AA);
    for (Index i = 0; i < s.m; ++i) {
      D(i, j) += (s.XA(i, j) - R(i, j)) / s.AA(j, j);
      if (nonnegative) D(i, j) = std::max(0., D(i, j));
    }
    double const norm = std::max(1., length(D, j));
    for (Index i = 0; i < s.m; ++i) D(i, j) /= norm;
  }
  return D;
}

}  // namespace

TEST_CASE_TEMPLATE("(O2) a sweep is Algorithm 2 of Mairal et al., atom after atom", B, Cpu<float>,
                   Cpu<double>, archetype::Loops<double>) {
  using Scalar = typename B::Scalar;
  B b;
  for (auto const& [m, k] : {std::pair<Index, Index>{1, 1}, {5, 3}, {9, 31}, {7, 32}, {6, 33}, {12, 70}})
    for (bool const nonnegative : {false, true}) {
      Sums const s(m, k, 10, nonnegative);
      auto D = in_memory_of(b, s.D);
      update_dictionary(b, in_memory_of(b, s.AA), in_memory_of(b, s.XA), nonnegative, D);
      auto const expected = swept(s, s.D, nonnegative);
      // An atom's rounding, k terms of up to (AA_jj + AA_jl) / AA_jj, reaches those behind it; 30 for both.
      CHECK(max_abs_difference(in_double<B>(b, D), expected) <= 30 * tolerance<Scalar>(k, 1));
    }
}

TEST_CASE_TEMPLATE(
    "(O2) the surrogate falls from sweep to sweep, atoms stay in the ball, and each is optimal at the end", B,
    Cpu<float>, Cpu<double>, archetype::Loops<double>) {
  using Scalar = typename B::Scalar;
  B b;
  for (bool const nonnegative : {false, true}) {
    Sums const s(8, 12, 20, nonnegative);
    auto const AA = in_memory_of(b, s.AA), XA = in_memory_of(b, s.XA);
    auto D = in_memory_of(b, s.D);
    double before = surrogate(s.D, s);
    double const first = before;
    double const size = norm(s.XA) + norm(s.AA);
    for (int sweep = 0; sweep < 300; ++sweep) {
      update_dictionary(b, AA, XA, nonnegative, D);
      double const value = surrogate(in_double<B>(b, D), s);
      CHECK(value <= before + tolerance<Scalar>(12, size));
      before = value;
    }
    CHECK(before < first - .1 * std::abs(first));
    auto const end = in_double<B>(b, D);
    Index inside = 0;
    for (Index j = 0; j < 12; ++j) {
      CHECK(length(end, j) <= 1 + tolerance<Scalar>(8, 1));
      inside += length(end, j) < .999;
    }
    if (nonnegative)
      for (Index j = 0; j < 12; ++j)
        for (Index i = 0; i < 8; ++i) CHECK(end(i, j) >= 0);
    INFO("atoms inside the ball: ", inside);
    // A fixed point of the sweep is optimal in every atom; 300 sweeps come close to it.
    CHECK(max_abs_difference(swept(s, end, nonnegative), end) <= 1e-3);
  }
}

TEST_CASE_TEMPLATE("(O2) an atom that no code has used stays, bit for bit", B, Cpu<float>, Cpu<double>,
                   archetype::Loops<double>) {
  B b;
  Sums s(6, 5, 30, false);
  for (Index l = 0; l < 5; ++l) s.AA(l, 2) = s.AA(2, l) = 0;
  for (Index i = 0; i < 6; ++i) s.XA(i, 2) = 0;
  auto D = in_memory_of(b, s.D);
  auto const before = to_host(b, D);
  update_dictionary(b, in_memory_of(b, s.AA), in_memory_of(b, s.XA), false, D);
  auto const after = to_host(b, D);
  for (Index i = 0; i < 6; ++i) {
    CHECK(after(i, 2) == before(i, 2));
    CHECK(after(i, 1) != before(i, 1));
  }
}

TEST_CASE("update_dictionary: what it refuses") {
  using B = Cpu<double>;
  B b;
  B::Matrix D = B::Matrix::Identity(3, 2), none(0, 2);
  check_throws_with<ShapeError>([&] { update_dictionary(b, B::Matrix(3, 2), B::Matrix(3, 2), false, D); },
                                "update_dictionary: AA is 3 x 2, must be 2 x 2");
  check_throws_with<ShapeError>([&] { update_dictionary(b, B::Matrix(2, 2), B::Matrix(2, 2), false, D); },
                                "update_dictionary: XA is 2 x 2, must be 3 x 2");
  check_throws_with<ShapeError>([&] { update_dictionary(b, B::Matrix(2, 2), none, false, none); },
                                "update_dictionary: D is 0 x 2, must have a row");
}

}  // namespace detrame
