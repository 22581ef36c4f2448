// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "detrame/exact/result.hpp"
#include "support.hpp"

/// Answers do not depend on the units of what is given: scaling by powers of two rounds nothing, so where
/// nothing overflows or becomes subnormal the bits must be the same.                                     (U4)
namespace detrame::laws {

/// What a solver gave: u of every column, a status and a count of each.
struct Answer {
  HostMatrix<double> u;
  std::vector<int> status;
  std::vector<Index> counts;
};

/// Requires optimal columns.
template <Backend B>
Answer answer(B& b, ExactResult<B> const& result) {
  auto const status = to_host(b, ConstView<B>(result.column_status)),
             pivots = to_host(b, ConstView<B>(result.pivots));
  Answer a{test::in_double(b, ConstView<B>(result.u)), {}, {}};
  for (Index j = 0; j < status.cols(); ++j) {
    a.status.push_back(static_cast<int>(status(0, j)));
    a.counts.push_back(static_cast<Index>(pivots(0, j)));
  }
  CHECK(result.status == ExactStatus::optimal);
  return a;
}

/// A 2^power
template <class Scalar>
HostMatrix<Scalar> times(HostMatrix<Scalar> const& A, int power) {
  return test::mapped([power](Scalar a) { return std::ldexp(a, power); }, A);
}

/// The numbers of a synthesis problem, one column a sample or one an image.
template <class Scalar_>
struct SynthesisNumbers {
  using Scalar = Scalar_;
  HostMatrix<Scalar> D, x, d;
  Scalar alpha;
  HostMatrix<Scalar> lambda, beta;  // k x 1

  /// D and x times 2^n, alpha, beta, lambda and d times 4^n: the same u.
  SynthesisNumbers with_data(int n) const {
    return {times(D, n),          times(x, n),       times(d, 2 * n), std::ldexp(alpha, 2 * n),
            times(lambda, 2 * n), times(beta, 2 * n)};
  }
  /// x, lambda and d times 2^n: 2^n u.
  SynthesisNumbers with_codes(int n) const {
    return {D, times(x, n), times(d, n), alpha, times(lambda, n), beta};
  }
};

/// 7 x 9: codes with zeros and not.
template <class Scalar>
SynthesisNumbers<Scalar> dictionary(Index samples) {
  using namespace test;
  auto const small = [](double v) { return .1 * v; };
  return {unit_norm_dictionary<Scalar>(7, 9, seed(1)),
          normal_matrix<Scalar>(7, samples, seed(2)),
          rounded<Scalar>(mapped(small, normal_matrix<double>(9, 1, seed(3)))),
          Scalar(.2),
          uniform_matrix<Scalar>(9, 1, seed(4), .05, .3),
          uniform_matrix<Scalar>(9, 1, seed(5), 0, .1)};
}

/// The numbers of a problem in a metric. Q: its weights.
template <class Scalar_>
struct MetricNumbers {
  using Scalar = Scalar_;
  HostMatrix<Scalar> Q, z, lambda, beta;

  /// Q, beta and lambda times 4^n: the same u.
  MetricNumbers with_data(int n) const {
    return {times(Q, 2 * n), z, times(lambda, 2 * n), times(beta, 2 * n)};
  }
  /// z and lambda times 2^n: 2^n u.
  MetricNumbers with_codes(int n) const { return {Q, times(z, n), times(lambda, n), beta}; }
};

/// Powers at which no intermediate of a well-scaled problem leaves the range of the scalar.
template <class Scalar>
std::vector<int> powers() {
  if (sizeof(Scalar) == sizeof(float)) return {-44, -26, -7, 1, 12, 27, 44};
  return {-250, -206, -60, 1, 33, 207, 250};
}

inline void check_same(Answer const& expected, Answer const& found, int power) {
  CHECK(found.status == expected.status);
  CHECK(found.counts == expected.counts);
  CHECK(test::max_abs_difference(times(found.u, -power), expected.u) == 0);
}

/// solve(numbers) -> Answer.
template <class Numbers, class Solve>
void scaling_laws(Numbers const& numbers, Solve const& solve,
                  std::vector<int> const& at = powers<typename Numbers::Scalar>()) {
  Answer const expected = solve(numbers);
  REQUIRE(test::max_abs(expected.u) > 0);
  for (int const n : at) {
    CAPTURE(n);
    check_same(expected, solve(numbers.with_data(n)), 0);
    check_same(expected, solve(numbers.with_codes(n)), n);
  }
}

}  // namespace detrame::laws
