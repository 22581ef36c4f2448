// SPDX-License-Identifier: Apache-2.0
#include "detrame/robust/firm_nonexpansiveness.hpp"

#include "../support.hpp"

using namespace detrame;
using namespace detrame::test;

namespace {

using Point = std::vector<double>;

/// T updates of (M6) with gamma = 1, from 0, on the problem of D, s = alpha + beta, lambda, in plain loops:
/// u <- (u - S^{-1} (D^T (D u - x) + s u + lambda))_+, S = theta + s; then D u.
struct Synthesised {
  HostMatrix<double> D;
  double s, lambda, theta;
  int T;

  Point codes(Point const& x) const {
    Index const m = D.rows(), k = D.cols();
    Point u(static_cast<std::size_t>(k)), e(static_cast<std::size_t>(m));
    for (int t = 0; t < T; ++t) {
      for (Index i = 0; i < m; ++i) {
        e[static_cast<std::size_t>(i)] = -x[static_cast<std::size_t>(i)];
        for (Index j = 0; j < k; ++j)
          e[static_cast<std::size_t>(i)] += D(i, j) * u[static_cast<std::size_t>(j)];
      }
      for (Index j = 0; j < k; ++j) {
        auto& u_j = u[static_cast<std::size_t>(j)];
        double g = s * u_j + lambda;
        for (Index i = 0; i < m; ++i) g += D(i, j) * e[static_cast<std::size_t>(i)];
        u_j = std::max(u_j - g / (theta + s), 0.);
      }
    }
    return u;
  }
  Point operator()(Point const& x) const {
    auto const u = codes(x);
    Point y(x.size());
    for (std::size_t i = 0; i < y.size(); ++i)
      for (std::size_t j = 0; j < u.size(); ++j)
        y[i] += D(static_cast<Index>(i), static_cast<Index>(j)) * u[j];
    return y;
  }
};

/// The square of |D|_2, up to 1e-9 from above: power iteration that has settled.
double square_of_norm(HostMatrix<double> const& D) {
  auto v = normal_matrix<double>(D.cols(), 1, seed(979));
  double square = 0;
  for (int t = 0; t < 3000; ++t) {
    double const size = norm(v);
    v = product(transposed(D), product(D, mapped([&](double x) { return x / size; }, v)));
    square = norm(v);
  }
  return square * (1 + 1e-9);
}

double worst_reflection(int T, double theta_share, std::uint64_t dictionaries = 6) {
  double worst = 0;
  for (std::uint64_t n = 0; n < dictionaries; ++n) {
    auto const D = normal_matrix<double>(3, 4, seed(980 + n));
    Synthesised const f{D, 0, .1, theta_share * square_of_norm(D), T};
    worst =
        std::max(worst, worst_pair(f, 3, {}, {.starts = 8, .steps = 600, .scale = 2, .seed = n}).reflected);
  }
  return worst;
}

}  // namespace

TEST_CASE("(L6) D U_1(x) is firmly nonexpansive where Theta + beta >= D^T D, and D M_D(x) is") {
  CHECK(worst_reflection(1, 1) <= 1 + 1e-9);
  CHECK(worst_reflection(4000, 1, 2) <= 1 + 1e-6);
  CHECK(worst_reflection(1, 1) > .9);  // the search does go to where there is nothing to spare
}

TEST_CASE("(L6) truncated in between it is not: pairs of points that show it, for T = 2, ..., 10") {
  for (int const T : {2, 3, 5, 10}) {
    double const found = worst_reflection(T, 1);
    MESSAGE("T = ", T, ": |dx - 2 df| / |dx| = ", found);
    CHECK(found > 1.05);
    CHECK(found < 2);
  }
}

TEST_CASE("(L6) a Theta that is too small is seen, too") {
  double worst = 0;
  for (std::uint64_t n = 0; n < 6; ++n) {  // one atom: |D|^2 = theta is the limit
    auto const D = normal_matrix<double>(3, 1, seed(990 + n));
    Synthesised const f{D, 0, .1, .9 * inner(D, D), 1};
    worst = std::max(worst, worst_pair(f, 3, {}, {.starts = 4, .steps = 300, .scale = 2}).reflected);
  }
  CHECK(worst > 1.05);
  CHECK(worst <= 2 / .9 - 1 + 1e-9);
}

namespace {

/// T updates towards the prox of lambda |u|, u >= 0, in the metric Q, of the step 1 / theta: plain loops.
struct MetricProx {
  HostMatrix<double> Q;
  double lambda, theta;
  int T;

  Point operator()(Point const& z) const {
    auto const size = static_cast<std::size_t>(Q.rows());
    Point u(size), g(size);
    for (int t = 0; t < T; ++t) {
      for (std::size_t i = 0; i < size; ++i) {
        g[i] = lambda;
        for (std::size_t j = 0; j < size; ++j)
          g[i] += Q(static_cast<Index>(i), static_cast<Index>(j)) * (u[j] - z[j]);
      }
      for (std::size_t i = 0; i < size; ++i) u[i] = std::max(u[i] - g[i] / theta, 0.);
    }
    return u;
  }
};

}  // namespace

TEST_CASE("(L1) in the metric Q: an exact prox is firmly nonexpansive, two or three updates are not") {
  double reflected = 0, ratio = 0;
  for (std::uint64_t n = 0; n < 6; ++n) {
    auto const Q = definite_matrix<double>(3, 30, seed(1000 + n));  // of norm 1
    for (int const T : {2, 3}) {
      auto const truncated =
          worst_pair(MetricProx{Q, .2, 1, T}, 3, Q, {.starts = 8, .steps = 500, .scale = 2, .seed = n});
      reflected = std::max(reflected, truncated.reflected);
      ratio = std::max(ratio, truncated.ratio);
    }
  }
  MESSAGE("two and three updates: ", reflected, ", ratio ", ratio);
  CHECK(reflected > 1.05);
  CHECK(ratio > 1.2);

  auto const Q = definite_matrix<double>(3, 30, seed(1000));
  auto const exact = worst_pair(MetricProx{Q, .2, 1, 2000}, 3, Q, {.starts = 4, .steps = 100, .scale = 2});
  CHECK(exact.reflected <= 1 + 1e-6);
  CHECK(exact.ratio <= 1 + 1e-6);
  PairSearch const search{.starts = 2, .steps = 50};
  auto const once = worst_pair(MetricProx{Q, .2, 1, 2}, 3, Q, search);
  CHECK(worst_pair(MetricProx{Q, .2, 1, 2}, 3, Q, search).x == once.x);  // the same pair for the same seed
}

TEST_CASE("worst_pair: a map that is constant but for its rounding is not found to expand") {
  auto const constant = [](Point x) {
    for (double& v : x) v = (v + .1) - v;
    return x;
  };
  auto const Q = definite_matrix<double>(3, 30, seed(1001));
  for (auto const& metric : {HostMatrix<double>(), Q}) {
    auto const found = worst_pair(constant, 3, metric, {.starts = 6, .steps = 200});
    CHECK(found.reflected <= 1);
    CHECK(found.reflected > .999);
    CHECK(found.ratio == 0);
    auto const exactly = worst_pair(constant, 3, metric, {.starts = 6, .steps = 200, .rounding = 0});
    CHECK(exactly.ratio > 1);
  }
  // each number is that of its own pair
  auto const turned = [](Point x) { return Point{x[0] + x[1], x[1] - x[0]}; };
  auto const found = worst_pair(turned, 2, {}, {.starts = 4, .steps = 20});
  auto const y = turned(found.ratio_x), y_prime = turned(found.ratio_x_prime);
  double square = 0, along = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    square += (y[i] - y_prime[i]) * (y[i] - y_prime[i]);
    along += (y[i] - y_prime[i]) * (found.ratio_x[i] - found.ratio_x_prime[i]);
  }
  CHECK(found.ratio == doctest::Approx(square / along));
  check_throws_with<DomainError>([&] { worst_pair(turned, 2, {}, {.rounding = -1}); }, "rounding = -1");
}

TEST_CASE("worst_pair: what cannot be is refused, and an expanding map is found out") {
  auto const twice = [](Point x) {
    for (double& v : x) v *= 2;
    return x;
  };
  CHECK(worst_pair(twice, 3, {}).reflected == doctest::Approx(3));
  CHECK(worst_pair(twice, 3, {}).ratio == doctest::Approx(2));
  CHECK(worst_pair([](Point x) { return Point(x.size()); }, 3, {}).reflected == doctest::Approx(1));
  auto const minus = [](Point x) {
    for (double& v : x) v = -v;
    return x;
  };
  CHECK(worst_pair(minus, 2, {}).ratio == std::numeric_limits<double>::infinity());
  check_throws_with<ShapeError>([&] { worst_pair(twice, 3, HostMatrix<double>(2, 2)); },
                                "Q is 2 x 2, points have 3 entries");
  check_throws_with<DomainError>([&] { worst_pair(twice, 3, {}, {.starts = 0}); }, "0 starts, 400 steps");
}
