// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "detrame/core/host_matrix.hpp"
#include "detrame/core/random.hpp"

namespace detrame::inline DETRAME_ABI {

/// How a search for the worst pair of points is made.
struct PairSearch {
  int starts = 20;   ///< pairs from which a search sets out, at random
  int steps = 400;   ///< tries of each
  double scale = 1;  ///< of the points
  std::uint64_t seed = 0;
  double rounding = 0x1p-44;  ///< f(x), as computed, is off by at most this share of |x|_2 + |f(x)|_2
};

/// The worst pairs of points that were found, of a map f and a metric Q: lower bounds of what there is, less
/// what f may have rounded.
struct WorstPair {
  double reflected = 0;  ///< |dx - 2 df|_Q / |dx|_Q: at most 1 where f is firmly nonexpansive
  double ratio = 0;      ///< |df|_Q^2 / <df, dx>_Q: at most 1 there, too; infinite for <df, dx>_Q <= 0
  std::vector<double> x{}, x_prime{};              ///< of `reflected`
  std::vector<double> ratio_x{}, ratio_x_prime{};  ///< of `ratio`
};

/// Looks for a pair of points that shows that f is not firmly nonexpansive in the metric Q.         (L1) (L6)
///
///   |f(x) - f(x')|_Q^2 <= <f(x) - f(x'), x - x'>_Q   <=>   |dx - 2 df|_Q <= |dx|_Q
///
/// From random pairs, near and far, uphill by turns on the one and the other ratio, by steps in random
/// directions that grow where they succeed and shrink where they fail.
///
/// Shapes    Q: n x n, symmetric, or without entries for the Euclidean metric.  f: of a std::vector<double>
///           with n entries to one with n entries.
/// Ensures   what is returned was seen, beyond the rounding of f: both numbers are the least that df can
///           make of them where it is off by `rounding`. That nothing is seen proves nothing. The same pair
///           for the same seed.
/// Tested    tests/robust/firm_nonexpansiveness_test.cpp
template <class F>
WorstPair worst_pair(F const& f, Index n, HostMatrix<double> const& Q, PairSearch const& search = {}) {
  using Point = std::vector<double>;
  if (Q.rows() * Q.cols() != 0 && (Q.rows() != n || Q.cols() != n))
    throw ShapeError(
        message("worst_pair: Q is ", Q.rows(), " x ", Q.cols(), ", points have ", n, " entries"));
  if (!(search.rounding >= 0))
    throw DomainError(message("worst_pair: rounding = ", search.rounding, ", must be >= 0"));
  if (!(search.scale > 0) || search.starts < 1 || search.steps < 0)
    throw DomainError(message("worst_pair: ", search.starts, " starts, ", search.steps, " steps, scale ",
                              search.scale, ", must be >= 1, >= 0 and > 0"));
  auto const inner = [&](Point const& a, Point const& b) {
    double sum = 0;
    for (Index i = 0; i < n; ++i) {
      double row = Q.rows() == 0 ? b[static_cast<std::size_t>(i)] : 0;
      for (Index j = 0; j < Q.cols(); ++j) row += Q(i, j) * b[static_cast<std::size_t>(j)];
      sum += a[static_cast<std::size_t>(i)] * row;
    }
    return sum;
  };
  auto const size = static_cast<std::size_t>(n);
  double most = 0;  // |v|_Q <= sqrt(most) |v|_2
  for (Index i = 0; i < Q.rows() * Q.cols(); ++i) most = std::hypot(most, Q.data()[i]);
  double const of_Q = Q.rows() == 0 ? 1 : std::sqrt(most);
  auto const length_of = [](Point const& v) {
    double length = 0;
    for (double const entry : v) length = std::hypot(length, entry);
    return length;
  };
  auto const judged = [&](Point x, Point x_prime) {
    Point dx(size), df(size), reflected(size);
    auto const y = f(x), y_prime = f(x_prime);
    for (std::size_t i = 0; i < size; ++i) {
      dx[i] = x[i] - x_prime[i];
      df[i] = y[i] - y_prime[i];
      reflected[i] = dx[i] - 2 * df[i];
    }
    double const square = inner(df, df), along = inner(df, dx), length = inner(dx, dx);
    double const off =
        of_Q * search.rounding * (length_of(x) + length_of(x_prime) + length_of(y) + length_of(y_prime));
    WorstPair pair{.x = std::move(x), .x_prime = std::move(x_prime)};
    if (!(length > 0)) return pair;
    double const apart = std::sqrt(length), moved = std::sqrt(std::max(square, 0.)) - off;
    pair.reflected = std::max(std::sqrt(std::max(inner(reflected, reflected), 0.)) - 2 * off, 0.) / apart;
    if (moved > 0) {
      double const at_most = along + off * apart;
      pair.ratio = at_most > 0 ? moved * moved / at_most : std::numeric_limits<double>::infinity();
    }
    return pair;
  };
  WorstPair worst;
  for (int start = 0; start < search.starts; ++start) {
    Random const random(search.seed, static_cast<std::uint64_t>(start));
    std::uint64_t drawn = 0;
    auto const moved = [&](Point p, double by) {
      for (double& v : p) v += by * random.normal<double>(drawn++);
      return p;
    };
    Point const from = moved(Point(size), search.scale);
    double const apart = search.scale * std::pow(10., -(start / 2 % 3));
    WorstPair best = judged(from, moved(from, apart));
    double by = apart;
    for (int step = 0; step < search.steps; ++step) {
      WorstPair next = judged(moved(best.x, by), moved(best.x_prime, by));
      bool const better = start % 2 == 0 ? next.reflected > best.reflected : next.ratio > best.ratio;
      if (better) best = std::move(next);
      by = std::clamp(by * (better ? 1.5 : .95), 1e-6 * search.scale, 10 * search.scale);
    }
    if (!(best.ratio <= worst.ratio)) {
      worst.ratio = best.ratio;
      worst.ratio_x = best.x;
      worst.ratio_x_prime = best.x_prime;
    }
    if (!(best.reflected <= worst.reflected)) {
      worst.reflected = best.reflected;
      worst.x = std::move(best.x);
      worst.x_prime = std::move(best.x_prime);
    }
  }
  return worst;
}

}  // namespace detrame::inline DETRAME_ABI
