// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <charconv>
#include <concepts>

#include "detrame/io/tensor.hpp"

namespace detrame::inline DETRAME_ABI {

/// The text that a file has under a key. FormatError with the file and the key where it has none.
inline std::string const& text_of(TensorFile const& file, std::string const& key) {
  auto const found = file.metadata.find(key);
  if (found == file.metadata.end())
    throw FormatError(message(file.name, ": __metadata__: expected a text for ", key, ", found none"));
  return found->second;
}

/// The number that stands under a key, whole or not as the type is; FormatError where the text is not all a
/// number of that type.
template <class Number>
  requires std::integral<Number> || std::floating_point<Number>
Number number_of(TensorFile const& file, std::string const& key) {
  std::string const& text = text_of(file, key);
  Number number{};
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size())
    throw FormatError(message(file.name, ": __metadata__: ", key, ": expected a ",
                              std::integral<Number> ? "whole number" : "number", " of ", 8 * sizeof(Number),
                              " bits, found \"", text.substr(0, 40), "\""));
  return number;
}

/// The shortest text from which number_of gives the same number back, bit for bit.
template <class Number>
  requires std::integral<Number> || std::floating_point<Number>
std::string number_text(Number number) {
  std::array<char, 64> text;
  auto const end = std::to_chars(text.data(), text.data() + text.size(), number).ptr;
  return {text.data(), end};
}

}  // namespace detrame::inline DETRAME_ABI
