// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "detrame/core/parameters.hpp"
#include "detrame/core/version.hpp"
#include "detrame/io/metadata.hpp"

namespace detrame::inline DETRAME_ABI {

/// What a file of parameters says of the numbers in it. A text changes only with what it says.
namespace conventions {
inline constexpr char const* layout =
    "rows x cols, the last index fastest; a kernel: channels out x (taps channels in), taps row by row";
inline constexpr char const* signs =
    "W x - c; relu(h z + W~ (u - z) - b); D^T (D u - x) + (alpha + beta) u + d + lambda";
}  // namespace conventions

/// "detrame 0.1.0"
inline std::string version_text() {
  return message("detrame ", DETRAME_VERSION_MAJOR, ".", DETRAME_VERSION_MINOR, ".", DETRAME_VERSION_PATCH);
}

/// The updates T of the layers whose parameters are of a recursion (Role::updates), in the order of visit, "2
/// 2 5"; once where all have the same, "0" where there are none.
template <class Theta>
std::string updates_text(Theta const& theta) {
  std::string all, last;
  bool same = true;
  visit(
      [&](std::string_view, Role role, auto const&) {
        if (role.updates == 0) return;
        std::string const one = number_text(role.updates);
        same = same && (last.empty() || last == one);
        last = one;
        all += (all.empty() ? "" : " ") + one;
      },
      theta);
  return all.empty() ? "0" : same ? last : all;
}

/// Puts into the metadata how parameters lie in the file and what they mean: "layout", "signs" (of c, b and
/// the others), "T" (updates_text) and "written by" (version_text).
template <class Theta>
void store_conventions(Theta const& theta, TensorFile& file) {
  file.metadata["layout"] = conventions::layout;
  file.metadata["signs"] = conventions::signs;
  file.metadata["T"] = updates_text(theta);
  file.metadata["written by"] = version_text();
}

namespace detail {

/// A text of the metadata must be the expected one, where it stands there at all.
inline void require_text(TensorFile const& file, std::string const& key, std::string_view expected) {
  auto const found = file.metadata.find(key);
  if (found != file.metadata.end() && found->second != expected)
    throw FormatError(message(file.name, ": __metadata__: ", key, ": expected \"", expected, "\", found \"",
                              found->second.substr(0, 120), "\""));
}

/// Major and minor number of "detrame 0.1.0"; nothing of other programs' texts.
inline std::optional<std::pair<int, int>> version_in(TensorFile const& file, std::string_view text) {
  constexpr std::string_view mine = "detrame ";
  if (!text.starts_with(mine)) return std::nullopt;
  int numbers[3] = {};
  char const *at = text.data() + mine.size(), *const last = text.data() + text.size();
  for (int i = 0; i < 3; ++i) {
    auto const [end, error] = std::from_chars(at, last, numbers[i]);
    if (error != std::errc() || (i < 2 ? end == last || *end != '.' : end != last))
      throw FormatError(message(file.name,
                                ": __metadata__: written by: expected detrame and three numbers, found \"",
                                text.substr(0, 120), "\""));
    at = end + (i < 2);
  }
  return std::pair(numbers[0], numbers[1]);
}

}  // namespace detail

/// Refuses a file whose metadata say that its parameters lie otherwise, have other signs, or were written by
/// a later version of this library than this one (by major and minor number), which may mean something else
/// by them.
///
/// Ensures   FormatError with the file, the key, what was expected and what was found. What the metadata do
///           not say is not checked: files without these keys pass, and those that other programs wrote.
/// Tested    tests/io/parameters_test.cpp
inline void require_conventions(TensorFile const& file) {
  detail::require_text(file, "layout", conventions::layout);
  detail::require_text(file, "signs", conventions::signs);
  auto const writer = file.metadata.find("written by");
  if (writer == file.metadata.end()) return;
  auto const found = detail::version_in(file, writer->second);
  if (found && *found > std::pair(DETRAME_VERSION_MAJOR, DETRAME_VERSION_MINOR))
    throw FormatError(message(file.name, ": __metadata__: written by: expected ", version_text(),
                              " or an earlier version, found \"", writer->second.substr(0, 120), "\""));
}

/// Refuses a file whose metadata name another T than that of the parameters theta.
template <class Theta>
void require_updates(Theta const& theta, TensorFile const& file) {
  detail::require_text(file, "T", updates_text(theta));
}

}  // namespace detrame::inline DETRAME_ABI
