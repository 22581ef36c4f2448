// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <string>
#include <string_view>
#include <type_traits>

#include "detrame/io/metadata.hpp"

namespace experiment {

/// A number by a format of printf.
inline std::string formatted(char const* format, double number) {
  char text[64];
  std::snprintf(text, sizeof text, format, number);
  return text;
}

/// "0.01, 0.03": texts, or numbers by number_text, with something between.
template <class List>
std::string joined(List const& list, std::string_view between) {
  std::string all;
  bool first = true;
  for (auto const& one : list) {
    if (!first) all += between;
    first = false;
    if constexpr (std::is_arithmetic_v<std::remove_cvref_t<decltype(one)>>)
      all += detrame::number_text(one);
    else
      all += one;
  }
  return all;
}

}  // namespace experiment
