// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "detrame/backend/concept.hpp"
#include "detrame/core/parameters.hpp"

namespace detrame::inline DETRAME_ABI {

namespace formula {

/// 0 of what is finite, else NaN.
struct TimesZero {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar p) const {
    return Scalar(0) * p;
  }
};

}  // namespace formula

namespace detail {
/// 0 where all entries are finite, else NaN.
template <Backend B>
double zero_or_nan(B& backend, ConstView<B> x) {
  auto& lane = backend.lane();
  auto const frame = lane.frame();
  View<B> const sums = lane.scratch(1, x.cols());
  column_sums(lane, sums, formula::TimesZero(), x);
  return static_cast<double>(sum_to_host(lane, sums));
}
}  // namespace detail

/// Whether every entry of the parameters is finite, running statistics included. One number goes to the host.
template <Backend B, class Theta>
bool all_finite(B& backend, Theta const& theta) {
  Index cols = 0, at = 0;
  visit([&](std::string_view, Role const&, auto const& p) { cols += p.cols(); }, theta);
  auto& lane = backend.lane();
  auto const frame = lane.frame();
  View<B> const sums = lane.scratch(1, cols);
  visit(
      [&](std::string_view, Role const&, auto const& p) {
        column_sums(lane, sums.middle_cols(at, p.cols()), formula::TimesZero(), p);
        at += p.cols();
      },
      theta);
  return sum_to_host(lane, sums) == 0;
}

/// The first parameter with an entry that is not finite.
template <Backend B, class Theta>
std::optional<std::string> name_of_not_finite(B& backend, Theta const& theta) {
  std::optional<std::string> name;
  if (all_finite(backend, theta)) return name;
  visit(
      [&](std::string_view path, Role const&, auto const& p) {
        if (!name && detail::zero_or_nan(backend, ConstView<B>(p)) != 0) name = path;
      },
      theta);
  return name;
}

}  // namespace detrame::inline DETRAME_ABI
