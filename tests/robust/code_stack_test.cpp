// SPDX-License-Identifier: Apache-2.0
#include "detrame/robust/code_stack.hpp"

#include "../support.hpp"
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/exact/exact_synthesis.hpp"

using namespace detrame;
using namespace detrame::test;

namespace {

/// X_r of (L5) as it stands, with the best of the same tau, and v^T X^{-1} v, in long double.
struct Naive {
  using Square = std::vector<std::vector<long double>>;
  Square Y;                     // X_{r-1}^{-1} of the best
  std::vector<Square> of_last;  // X_r^{-1}

  static std::vector<std::vector<long double>> inverse(std::vector<std::vector<long double>> A) {
    std::size_t const n = A.size();
    std::vector<std::vector<long double>> I(n, std::vector<long double>(n));
    for (std::size_t i = 0; i < n; ++i) I[i][i] = 1;
    for (std::size_t p = 0; p < n; ++p) {
      long double const pivot = A[p][p];
      for (std::size_t j = 0; j < n; ++j) {
        A[p][j] /= pivot;
        I[p][j] /= pivot;
      }
      for (std::size_t i = 0; i < n; ++i) {
        if (i == p) continue;
        long double const f = A[i][p];
        for (std::size_t j = 0; j < n; ++j) {
          A[i][j] -= f * A[p][j];
          I[i][j] -= f * I[p][j];
        }
      }
    }
    return I;
  }
  long double bound(std::vector<double> const& v) const {
    long double least = std::numeric_limits<long double>::infinity();
    for (auto const& inverse_X : of_last) {
      long double sum = 0;
      for (std::size_t i = 0; i < v.size(); ++i)
        for (std::size_t j = 0; j < v.size(); ++j) sum += v[i] * inverse_X[i][j] * v[j];
      least = std::min(least, std::sqrt(sum));
    }
    return least;
  }
  static long double largest(Square const& A) {  // eigenvalue, by power iteration
    std::vector<long double> v(A.size(), 1), w(A.size());
    v[0] = 1.5L;
    long double value = 0;
    for (int t = 0; t < 5000; ++t) {
      long double size = 0;
      for (std::size_t i = 0; i < v.size(); ++i) {
        w[i] = 0;
        for (std::size_t j = 0; j < v.size(); ++j) w[i] += A[i][j] * v[j];
        size += w[i] * w[i];
      }
      value = std::sqrt(size);
      for (std::size_t i = 0; i < v.size(); ++i) v[i] = w[i] / value;
    }
    return value;
  }
  static bool definite(Square A) {
    for (std::size_t j = 0; j < A.size(); ++j) {
      if (!(A[j][j] > 0)) return false;
      for (std::size_t i = j + 1; i < A.size(); ++i)
        for (std::size_t l = j + 1; l < A.size(); ++l) A[i][l] -= A[i][j] * A[j][l] / A[j][j];
    }
    return true;
  }
  void add(HostMatrix<double> const& D, double s) {
    of_last.clear();
    long double const step = 2 / largest(Y);
    for (double const share : CodeStack::shares) {
      long double const tau = share * step;
      Square X(static_cast<std::size_t>(D.cols()),
               std::vector<long double>(static_cast<std::size_t>(D.cols())));
      for (Index i = 0; i < D.cols(); ++i)
        for (Index j = 0; j < D.cols(); ++j) {
          long double gram = i == j ? s : 0, inner = 0;
          for (Index l = 0; l < D.rows(); ++l) {
            gram += static_cast<long double>(D(l, i)) * D(l, j);
            for (Index n = 0; n < D.rows(); ++n)
              inner += D(l, i) * Y[static_cast<std::size_t>(l)][static_cast<std::size_t>(n)] * D(n, j);
          }
          X[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)] = 2 * tau * gram - tau * tau * inner;
        }
      if (definite(X)) of_last.push_back(inverse(X));
    }
    Y = of_last.front();
    for (auto const& inverse_X : of_last)
      if (largest(inverse_X) < largest(Y)) Y = inverse_X;
  }
  explicit Naive(std::size_t m) : Y(m, std::vector<long double>(m)) {
    for (std::size_t i = 0; i < m; ++i) Y[i][i] = 1;
  }
};

}  // namespace

TEST_CASE_TEMPLATE(
    "(L5) codes of codes: above what any two samples show, the recursion, and below the product", Scalar,
    float, double) {
  Cpu<double> cpu;
  Cpu<Scalar> own;
  Index const sizes[] = {5, 7, 6, 4};
  double const moduli[] = {.3, .2, .4};
  CodeStack stack(5);
  Naive naive(5);
  std::vector<HostMatrix<double>> dictionaries;
  double product_of_constants = 1;
  for (std::size_t r = 0; r < 3; ++r) {
    auto const D =
        mapped([](double v) { return .8 * v; }, normal_matrix<double>(sizes[r], sizes[r + 1], seed(960 + r)));
    dictionaries.push_back(D);
    stack.add(own, D, moduli[r]);
    naive.add(D, moduli[r]);
    product_of_constants /= 2 * std::sqrt(moduli[r]);
    CHECK(stack.lipschitz() <= product_of_constants * (1 + 1e-12));
  }
  auto const pairs = normal_matrix<double>(4, 10, seed(970));
  bool gained = false;
  for (Index p = 0; p < 10; ++p) {
    std::vector<double> v;
    double length = 0;
    for (Index i = 0; i < 4; ++i) {
      v.push_back(pairs(i, p));
      length = std::hypot(length, pairs(i, p));
    }
    double const bound = stack.bound(v), exact = static_cast<double>(naive.bound(v));
    double const slack = std::is_same_v<Scalar, float> ? 1e-3 : 1e-12;  // tau follows float's eigenvalues
    CHECK(bound >= std::min(exact, product_of_constants * length) * (1 - slack));
    CHECK(bound <= exact * (std::is_same_v<Scalar, float> ? 1 + 1e-3 : 1 + 1e-9));
    CHECK(bound <= product_of_constants * length * (1 + 1e-12));
    gained = gained || bound < .99 * product_of_constants * length;

    // pairs of samples, near and far
    double steepest = 0;
    auto const x = normal_matrix<double>(5, 400, seed(971));
    auto u = host_matrix<double>(5, 800, [&](Index i, Index j) {
      Random const random(seed(972), static_cast<std::uint64_t>(j / 2));
      double const by = j % 4 < 2 ? 1 : .01;
      return 3 * x(i, j / 2) + (j % 2 == 0 ? 0 : by * random.normal<double>(static_cast<std::uint64_t>(i)));
    });
    auto const inputs = u;
    for (std::size_t r = 0; r < 3; ++r) {
      Synthesis<Cpu<double>> const problem{in_memory_of(cpu, dictionaries[r]), moduli[r], 0, .02,
                                           zeros(cpu, sizes[r + 1], 1)};
      u = in_double(cpu, ConstView<Cpu<double>>(exact_synthesis(cpu, problem, in_memory_of(cpu, u)).u));
    }
    for (Index j = 0; j < 800; j += 2) {
      double along = 0, apart = 0;
      for (Index i = 0; i < 4; ++i) along += v[static_cast<std::size_t>(i)] * (u(i, j) - u(i, j + 1));
      for (Index i = 0; i < 5; ++i) apart = std::hypot(apart, inputs(i, j) - inputs(i, j + 1));
      steepest = std::max(steepest, std::abs(along) / apart);
    }
    CHECK(steepest > 0);
    CHECK(steepest <= bound * (1 + 1e-9));
  }
  CHECK(gained);
}

TEST_CASE("(L5) where D^T D = s I nothing can be gained, and nothing is lost") {
  Cpu<double> cpu;
  CodeStack stack(3);
  HostMatrix<double> D(3, 3);
  for (Index i = 0; i < 3; ++i) D(i, i) = .5;
  for (int r = 0; r < 3; ++r) {
    stack.add(cpu, D, .25);
    CHECK(stack.bound({1, 2, 2}) >= 3);
    CHECK(stack.bound({1, 2, 2}) <= 3 * (1 + 1e-12));
    CHECK(stack.lipschitz() >= 1);
    CHECK(stack.lipschitz() <= 1 + 1e-12);
  }
  check_throws_with<ShapeError>([&] { stack.add(cpu, HostMatrix<double>(2, 3), .25); },
                                "D has 2 rows, the codes before have 3");
  check_throws_with<DomainError>([&] { stack.add(cpu, D, 0); }, "alpha + beta = 0, must be > 0");
  check_throws_with<ShapeError>([&] { stack.bound({1, 2}); }, "v has 2 entries, the codes have 3");
}

TEST_CASE("(L5) what cancels in X_r is charged: never below the recursion in more digits") {
  Cpu<double> cpu;
  auto const D = mapped([](double v) { return 1e4 * v; }, normal_matrix<double>(2, 4, seed(976)));
  CodeStack stack(2);
  Naive naive(2);
  stack.add(cpu, D, 1e-4);
  naive.add(D, 1e-4);
  auto const G = product(D, transposed(D));  // 2 x 2
  double const det = G(0, 0) * G(1, 1) - G(0, 1) * G(1, 0);
  for (std::uint64_t n = 0; n < 20; ++n) {
    auto v = normal_matrix<double>(4, 1, seed(1100 + n));  // less its part along atoms: D v = 0
    auto const Dv = product(D, v);
    HostMatrix<double> w(2, 1);
    w(0, 0) = (G(1, 1) * Dv(0, 0) - G(0, 1) * Dv(1, 0)) / det;
    w(1, 0) = (G(0, 0) * Dv(1, 0) - G(1, 0) * Dv(0, 0)) / det;
    auto const along = product(transposed(D), w);
    v = mapped([](double a, double b) { return a - b; }, v, along);
    std::vector<double> const entries(v.data(), v.data() + 4);
    double const product_of_constants = norm(v) / (2 * std::sqrt(1e-4));
    CHECK(stack.bound(entries) >=
          std::min(static_cast<double>(naive.bound(entries)), product_of_constants) * (1 - 1e-6));
    CHECK(stack.bound(entries) <= product_of_constants * (1 + 1e-12));
  }
}

TEST_CASE("(L5) bounds are in the unit of v: the same bits for v times a power of two, however small") {
  Cpu<double> cpu;
  auto const D = normal_matrix<double>(3, 4, seed(977));
  CodeStack stack(3);
  stack.add(cpu, D, .3);
  double const bound = stack.bound({1, -2, .5, 3});
  for (int const e : {-1000, -600, -540, 40, 900}) {
    double const s = std::ldexp(1., e);
    CHECK(std::ldexp(stack.bound({s, -2 * s, .5 * s, 3 * s}), -e) == doctest::Approx(bound).epsilon(1e-6));
    CHECK(stack.bound({s, -2 * s, .5 * s, 3 * s}) >= bound * s);
  }
  CHECK(stack.bound({0, 0, 0, 0}) == 0);
  CHECK(stack.bound({0, 5e-324, 0, 0}) > 0);
  stack.add(cpu, normal_matrix<double>(4, 2, seed(978)), 1e300);
  CHECK(stack.bound({1, 0}) > 0);
  stack.add(cpu, normal_matrix<double>(2, 2, seed(979)), 1e300);
  CHECK(stack.bound({1, 0}) > 0);
}

TEST_CASE("(L5) dictionaries far beyond what double can invert: the product, and no less") {
  Cpu<double> cpu;
  auto const D = mapped([](double v) { return 1e9 * v; }, normal_matrix<double>(4, 6, seed(975)));
  CodeStack stack(4);
  stack.add(cpu, D, 1e-9);
  double const product = 1 / (2 * std::sqrt(1e-9));
  CHECK(stack.bound({1, 0, 0, 0, 0, 0}) >= product * (1 - 1e-12));
  CHECK(stack.bound({1, 0, 0, 0, 0, 0}) <= product * (1 + 1e-9));
}
