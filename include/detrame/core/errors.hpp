// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cassert>
#include <charconv>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

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

namespace detail {

/// Compiled once, and out of the way of what computes.
[[gnu::cold]] inline void append(std::string& text, char const* part) { text += part; }
[[gnu::cold]] inline void append(std::string& text, std::string_view part) { text += part; }
[[gnu::cold]] inline void append(std::string& text, char part) { text += part; }
[[gnu::cold]] inline void append(std::string& text, long long part) { text += std::to_string(part); }
[[gnu::cold]] inline void append(std::string& text, unsigned long long part) { text += std::to_string(part); }
/// Six digits, as %g.
[[gnu::cold]] inline void append(std::string& text, double part) {
  std::array<char, 32> digits;
  text.append(
      digits.data(),
      std::to_chars(digits.data(), digits.data() + digits.size(), part, std::chars_format::general, 6).ptr);
}

template <class Part>
[[gnu::cold]] void append_part(std::string& text, Part const& part) {
  if constexpr (std::is_floating_point_v<Part>) {
    append(text, static_cast<double>(part));
  } else if constexpr (std::is_integral_v<Part> && !std::is_same_v<Part, char>) {
    append(text,
           static_cast<std::conditional_t<std::is_signed_v<Part>, long long, unsigned long long>>(part));
  } else {
    append(text, part);
  }
}

}  // namespace detail

/// The parts, one after the other: message("z has ", rows, " rows, Q is ", k, " x ", k). Numbers are written
/// as in the classic locale, whatever the program's is. Another type is a part by its `append(text, it)`.
template <class... Parts>
[[gnu::cold]] std::string message(Parts const&... parts) {
  std::string text;
  (detail::append_part(text, parts), ...);
  return text;
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
