// SPDX-License-Identifier: Apache-2.0
#pragma once

#define DOCTEST_CONFIG_SUPER_FAST_ASSERTS  // of two compile times, the smaller one
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <locale>
#include <string>

#include "detrame/backend/concept.hpp"
#include "detrame/core/random.hpp"

/// What tests share: tolerances, seeds, random matrices, naive host arithmetic as an oracle, comparisons.
namespace detrame::test {

/// The rounding of n operations on terms of size `scale`: c n eps scale. The one place where c stands.
template <class Scalar>
Scalar tolerance(Index n, double scale) {
  constexpr double c = 4;
  double const eps = static_cast<double>(std::numeric_limits<Scalar>::epsilon());
  return static_cast<Scalar>(c * static_cast<double>(std::max<Index>(n, 1)) * eps * std::abs(scale));
}

/// The n-th seed of the tests: fixed, so that every failure can be replayed.
constexpr std::uint64_t seed(std::uint64_t n) { return 0xD37A3E00u + n; }

// ---- random matrices on the host; the float ones are the double ones, rounded -----------------------------

/// Independent standard normal entries.
template <class Scalar>
HostMatrix<Scalar> normal_matrix(Index rows, Index cols, std::uint64_t seed) {
  Random const random(seed, 0);
  return host_matrix<Scalar>(rows, cols, [&](Index i, Index j) {
    return static_cast<Scalar>(random.normal<double>(static_cast<std::uint64_t>(i + j * rows)));
  });
}

/// Independent entries, uniform in [low, high].
template <class Scalar>
HostMatrix<Scalar> uniform_matrix(Index rows, Index cols, std::uint64_t seed, double low = 0,
                                  double high = 1) {
  Random const random(seed, 1);
  return host_matrix<Scalar>(rows, cols, [&](Index i, Index j) {
    return static_cast<Scalar>(low + (high - low) *
                                         random.uniform<double>(static_cast<std::uint64_t>(i + j * rows)));
  });
}

/// The same matrix in another precision.
template <class To, class From>
HostMatrix<To> rounded(HostMatrix<From> const& A) {
  return host_matrix<To>(A.rows(), A.cols(), [&](Index i, Index j) { return static_cast<To>(A(i, j)); });
}

/// A random orthogonal k x k matrix: Gram and Schmidt, twice, in double.
inline HostMatrix<double> orthogonal_matrix(Index k, std::uint64_t seed) {
  HostMatrix<double> V = normal_matrix<double>(k, k, seed);
  for (Index j = 0; j < k; ++j)
    for (int pass = 0; pass < 2; ++pass) {
      for (Index l = 0; l < j; ++l) {
        double inner = 0;
        for (Index i = 0; i < k; ++i) inner += V(i, l) * V(i, j);
        for (Index i = 0; i < k; ++i) V(i, j) -= inner * V(i, l);
      }
      double square = 0;
      for (Index i = 0; i < k; ++i) square += V(i, j) * V(i, j);
      for (Index i = 0; i < k; ++i) V(i, j) /= std::sqrt(square);
    }
  return V;
}

/// A random symmetric k x k matrix whose eigenvalues run geometrically from 1 down to 1 / condition.
template <class Scalar>
HostMatrix<Scalar> definite_matrix(Index k, double condition, std::uint64_t seed) {
  HostMatrix<double> const V = orthogonal_matrix(k, seed);
  auto const eigenvalue = [&](Index l) {
    return k == 1 ? 1.0 : std::pow(condition, -static_cast<double>(l) / static_cast<double>(k - 1));
  };
  return host_matrix<Scalar>(k, k, [&](Index i, Index j) {
    double sum = 0;
    for (Index l = 0; l < k; ++l) sum += eigenvalue(l) * V(std::min(i, j), l) * V(std::max(i, j), l);
    return static_cast<Scalar>(sum);
  });
}

/// A dictionary of k Gaussian atoms in m dimensions, each of unit norm.
template <class Scalar>
HostMatrix<Scalar> unit_norm_dictionary(Index m, Index k, std::uint64_t seed) {
  HostMatrix<double> D = normal_matrix<double>(m, k, seed);
  for (Index j = 0; j < k; ++j) {
    double square = 0;
    for (Index i = 0; i < m; ++i) square += D(i, j) * D(i, j);
    for (Index i = 0; i < m; ++i) D(i, j) /= std::sqrt(square);
  }
  return rounded<Scalar>(D);
}

/// A matrix of the tests, rounded to a backend's scalar and in its memory.
template <Backend B>
Matrix<B> in_memory_of(B& b, HostMatrix<double> const& A) {
  return to_device(b, rounded<typename B::Scalar>(A));
}

/// What lies in a backend's memory, on the host and in double.
template <Backend B>
HostMatrix<double> in_double(B& b, ConstView<B> v) {
  return rounded<double>(to_host(b, v));
}

/// Independent standard normal entries, in a backend's memory.
template <Backend B>
Matrix<B> random_matrix(B& b, Index rows, Index cols, std::uint64_t seed) {
  return to_device(b, normal_matrix<typename B::Scalar>(rows, cols, seed));
}

// ---- naive arithmetic on the host: the oracle of small sizes ----------------------------------------------

/// The same entries, read column by column, as rows x cols.
template <class Scalar>
HostMatrix<Scalar> reshaped(HostMatrix<Scalar> const& A, Index rows, Index cols) {
  return host_matrix<Scalar>(rows, cols, [&](Index i, Index j) {
    Index const place = i + j * rows;
    return A(place % A.rows(), place / A.rows());
  });
}

template <class Scalar>
HostMatrix<Scalar> identity(Index k) {
  return host_matrix<Scalar>(k, k, [](Index i, Index j) { return i == j ? Scalar(1) : Scalar(0); });
}

template <class Scalar>
HostMatrix<Scalar> transposed(HostMatrix<Scalar> const& A) {
  return host_matrix<Scalar>(A.cols(), A.rows(), [&](Index i, Index j) { return A(j, i); });
}

template <class Scalar>
HostMatrix<Scalar> product(HostMatrix<Scalar> const& A, HostMatrix<Scalar> const& B) {
  if (A.cols() != B.rows()) throw ShapeError(message("product: ", A.cols(), " columns, ", B.rows(), " rows"));
  return host_matrix<Scalar>(A.rows(), B.cols(), [&](Index i, Index j) {
    Scalar sum(0);
    for (Index l = 0; l < A.cols(); ++l) sum += A(i, l) * B(l, j);
    return sum;
  });
}

/// f(a_ij, b_ij...) for every entry.
template <class Scalar, class F, class... More>
HostMatrix<Scalar> mapped(F const& f, HostMatrix<Scalar> const& A, More const&... more) {
  return host_matrix<Scalar>(A.rows(), A.cols(), [&](Index i, Index j) { return f(A(i, j), more(i, j)...); });
}

/// <A, B> = sum_ij a_ij b_ij, in double.
template <class Scalar>
double inner(HostMatrix<Scalar> const& A, HostMatrix<Scalar> const& B) {
  if (A.rows() != B.rows() || A.cols() != B.cols())
    throw ShapeError(message("inner: ", A.rows(), " x ", A.cols(), " and ", B.rows(), " x ", B.cols()));
  double sum = 0;
  for (Index j = 0; j < A.cols(); ++j)
    for (Index i = 0; i < A.rows(); ++i) sum += static_cast<double>(A(i, j)) * static_cast<double>(B(i, j));
  return sum;
}

template <class Scalar>
double norm(HostMatrix<Scalar> const& A) {
  return std::sqrt(inner(A, A));
}

// ---- comparisons: NaN anywhere gives NaN, which passes no test of the form d <= tolerance -----------------

template <class Scalar>
Scalar max_abs(HostMatrix<Scalar> const& A) {
  Scalar largest(0);
  for (Index j = 0; j < A.cols(); ++j)
    for (Index i = 0; i < A.rows(); ++i) {
      if (std::isnan(A(i, j))) return A(i, j);
      largest = std::max(largest, std::abs(A(i, j)));
    }
  return largest;
}

template <class Scalar>
Scalar max_abs_difference(HostMatrix<Scalar> const& A, HostMatrix<Scalar> const& B) {
  if (A.rows() != B.rows() || A.cols() != B.cols())
    throw ShapeError(
        message("max_abs_difference: ", A.rows(), " x ", A.cols(), " and ", B.rows(), " x ", B.cols()));
  return max_abs(mapped([](Scalar a, Scalar b) { return a - b; }, A, B));
}

/// max |a_ij - b_ij| in units of max |b_ij|; b is what was expected.
template <class Scalar>
Scalar relative_difference(HostMatrix<Scalar> const& A, HostMatrix<Scalar> const& B) {
  return max_abs_difference(A, B) / std::max(max_abs(B), std::numeric_limits<Scalar>::min());
}

/// The same for what lies in a backend's memory (matrices or views).
template <Backend B>
typename B::Scalar max_abs_difference(B& b, ConstView<B> x, ConstView<B> y) {
  return max_abs_difference(to_host(b, x), to_host(b, y));
}
template <Backend B>
typename B::Scalar relative_difference(B& b, ConstView<B> x, ConstView<B> y) {
  return relative_difference(to_host(b, x), to_host(b, y));
}

// ---- refusals ---------------------------------------------------------------------------------------------

/// f() must throw an Error whose text contains `fragment`. A failure is reported at the line of the call.
template <class Error, class F>
void check_throws_with(F&& f, std::string const& fragment, char const* file = __builtin_FILE(),
                       int line = __builtin_LINE()) {
  try {
    f();
    ADD_FAIL_CHECK_AT(file, line, "nothing was thrown; expected: " << fragment);
  } catch (Error const& error) {
    std::string const text = error.what();
    if (text.find(fragment) == std::string::npos)
      ADD_FAIL_CHECK_AT(file, line, "thrown: \"" << text << "\"; expected: \"" << fragment << "\"");
    else
      CHECK(true);
  } catch (std::exception const& error) {
    ADD_FAIL_CHECK_AT(file, line,
                      "another type was thrown: \"" << error.what() << "\"; expected: " << fragment);
  }
}

// ---- another locale ---------------------------------------------------------------------------------------

/// While it lives, the program's locale writes 1234574 as "1.234.574" and 0.5 as "0,5".
class GroupedDigits {
 public:
  GroupedDigits() : before_(std::locale::global(std::locale(std::locale::classic(), new Digits))) {}
  GroupedDigits(GroupedDigits const&) = delete;
  GroupedDigits& operator=(GroupedDigits const&) = delete;
  ~GroupedDigits() { std::locale::global(before_); }

 private:
  struct Digits : std::numpunct<char> {
    char do_thousands_sep() const override { return '.'; }
    char do_decimal_point() const override { return ','; }
    std::string do_grouping() const override { return "\3"; }
  };
  std::locale before_;
};

}  // namespace detrame::test
