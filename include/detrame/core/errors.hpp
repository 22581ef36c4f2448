// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cassert>
#include <cstddef>
#include <locale>
#include <sstream>
#include <stdexcept>
#include <string>

#include "detrame/core/abi.hpp"

/// A broken invariant of the library itself. Checked in debug builds only; callers' mistakes throw instead.
#define DETRAME_ASSERT(condition) assert(condition)

namespace detrame::inline DETRAME_ABI {

/// Two sizes that the caller gave do not fit: the text names who asked, what, and both sizes.
struct ShapeError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

/// A number that the caller gave is outside its range: the text names it, its value and the range.
struct DomainError : std::domain_error {
  using std::domain_error::domain_error;
};

/// A file is cut, malformed or of another shape: the text names the file,
/// what was expected and what was found.
struct FormatError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The caller insisted on convergence (require_converged) and the iteration ended otherwise.
struct NotConverged : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A promised certificate does not hold: the text gives the quantity that fell short.
struct NotCertified : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The parts, streamed one after the other: message("z has ", rows, " rows, Q is ", k, " x ", k). Numbers are
/// written as in the classic locale, whatever the program's is.
template <class... Parts>
std::string message(Parts const&... parts) {
  std::ostringstream text;
  text.imbue(std::locale::classic());
  (text << ... << parts);
  return text.str();
}

/// Refuses what is not in [low, infinity), NaN included: "lambda = -0.1, must be >= 0".
template <class Scalar>
void require_at_least(char const* who, char const* name, Scalar value, Scalar low) {
  if (!(value >= low)) throw DomainError(message(who, ": ", name, " = ", value, ", must be >= ", low));
}

/// Refuses a matrix of the caller's that does not have the shape it must have.
template <class View>
void require_shape(char const* who, char const* name, View const& v, std::ptrdiff_t rows,
                   std::ptrdiff_t cols) {
  if (v.rows() != rows || v.cols() != cols)
    throw ShapeError(
        message(who, ": ", name, " is ", v.rows(), " x ", v.cols(), ", must be ", rows, " x ", cols));
}

}  // namespace detrame::inline DETRAME_ABI
