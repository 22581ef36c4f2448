// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <istream>
#include <string>
#include <system_error>
#include <vector>

#include "detrame/core/checksum.hpp"
#include "detrame/core/errors.hpp"
#include "detrame/core/matrix_view.hpp"

namespace detrame::inline DETRAME_ABI {

/// "name: at byte offset: text", what readers of files say.
template <class... Parts>
FormatError format_error(std::string const& name, Index offset, Parts const&... parts) {
  return FormatError(message(name, ": at byte ", offset, ": ", parts...));
}

/// "1f 8b 08": bytes for messages.
inline std::string hexadecimal(std::uint8_t const* bytes, Index count) {
  constexpr char const* digits = "0123456789abcdef";
  std::string text;
  for (Index i = 0; i < count; ++i) {
    if (i > 0) text += ' ';
    text += digits[bytes[i] >> 4];
    text += digits[bytes[i] & 15];
  }
  return text;
}

/// "00000000000000ff", 16 digits.
inline std::string hexadecimal_text(std::uint64_t number) {
  std::string text(16, '0');
  for (std::size_t i = text.size(); i-- > 0; number >>= 4) text[i] = "0123456789abcdef"[number & 15];
  return text;
}

/// Up to n bytes; returns how many there were.
inline Index read_bytes(std::istream& in, std::uint8_t* bytes, Index n) {
  in.read(reinterpret_cast<char*>(bytes), static_cast<std::streamsize>(n));
  return static_cast<Index>(in.gcount());
}

/// The number of bytes of a stream, which is then at its start. FormatError where it cannot be positioned.
inline Index size_and_rewind(std::istream& in, std::string const& name) {
  in.seekg(0, std::ios::end);
  Index const size = static_cast<Index>(in.tellg());
  in.seekg(0);
  if (!in || size < 0) throw FormatError(message(name, ": cannot be read: the size of the file is unknown"));
  return size;
}

/// The checksum of all bytes of a stream, wherever it stands.
inline std::uint64_t checksum_of(std::istream& in, std::string const& name) {
  in.clear();
  Checksum sum;
  std::vector<std::uint8_t> bytes(1 << 16);
  for (Index left = size_and_rewind(in, name); left > 0;) {
    Index const found = read_bytes(in, bytes.data(), std::min(left, static_cast<Index>(bytes.size())));
    if (found == 0) throw FormatError(message(name, ": expected ", left, " bytes more, but reading failed"));
    sum.add(bytes.data(), static_cast<std::size_t>(found));
    left -= found;
  }
  return sum.value();
}

/// A file opened for reading. FormatError, which says that `kind` ("an idx file") was expected, where there
/// is none.
inline std::ifstream open_file(std::filesystem::path const& file, char const* kind) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(file, error))
    throw FormatError(
        message(file.string(), ": expected ", kind, ", found ",
                std::filesystem::exists(file, error) ? "something that is not a file" : "no such file"));
  std::ifstream in(file, std::ios::binary);
  if (!in) throw FormatError(message(file.string(), ": cannot be opened for reading"));
  return in;
}

}  // namespace detrame::inline DETRAME_ABI
