// SPDX-License-Identifier: Apache-2.0
#include "quoted.hpp"

#include <algorithm>
#include <string_view>

#include "detrame/core/errors.hpp"

namespace experiment {

namespace {

bool between(char c, unsigned low, unsigned high) {
  auto const byte = static_cast<unsigned char>(c);
  return byte >= low && byte <= high;
}

/// The bytes of the character that a text begins with; 0 where that is a control character or no UTF-8.
std::size_t printable(std::string_view text) {
  char const first = text[0];
  if (between(first, 0x20, 0x7e)) return 1;
  std::size_t const bytes = between(first, 0xc2, 0xdf)   ? 2
                            : between(first, 0xe0, 0xef) ? 3
                            : between(first, 0xf0, 0xf4) ? 4
                                                         : 0;
  if (bytes == 0 || text.size() < bytes) return 0;
  for (std::size_t i = 1; i < bytes; ++i)
    if (!between(text[i], 0x80, 0xbf)) return 0;
  // What a shorter form has, surrogates, what is beyond the last character, and the second set of controls.
  char const second = text[1];
  bool const none =
      (first == '\xe0' && between(second, 0x80, 0x9f)) || (first == '\xed' && between(second, 0xa0, 0xbf)) ||
      (first == '\xf0' && between(second, 0x80, 0x8f)) || (first == '\xf4' && between(second, 0x90, 0xbf)) ||
      (first == '\xc2' && between(second, 0x80, 0x9f));
  return none ? 0 : bytes;
}

}  // namespace

std::string shell_quoted(std::string const& text_or_path) {
  std::string_view text = text_or_path;
  auto const plain = [](char c) {
    return between(c, '0', '9') || between(c, 'A', 'Z') || between(c, 'a', 'z') ||
           std::string_view("_./:,+-@%").find(c) != std::string_view::npos;
  };
  if (!text.empty() && std::all_of(text.begin(), text.end(), plain)) return text_or_path;
  std::string simple = "'", escaped = "$'";
  bool needs_escapes = false;
  while (!text.empty()) {
    if (std::size_t const bytes = printable(text); bytes > 0) {
      std::string_view const character = text.substr(0, bytes);
      simple += character == "'" ? "'\\''" : character;
      if (character == "'" || character == "\\") escaped += '\\';
      escaped += character;
      text.remove_prefix(bytes);
    } else {
      constexpr std::string_view digits = "0123456789abcdef";
      auto const byte = static_cast<unsigned char>(text[0]);
      escaped += {'\\', 'x', digits[byte / 16], digits[byte % 16]};
      needs_escapes = true;
      text.remove_prefix(1);
    }
  }
  return (needs_escapes ? escaped : simple) + "'";
}

std::string with_word(std::string const& option, std::string const& word) {
  bool const dash = word.starts_with('-') || word.starts_with("'-") || word.starts_with("$'-");
  return detrame::message(' ', option, dash ? '=' : ' ', word);
}
std::string with_value(std::string const& option, std::string const& value) {
  return with_word(option, shell_quoted(value));
}

}  // namespace experiment
