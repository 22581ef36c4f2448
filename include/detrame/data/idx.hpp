// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <istream>
#include <limits>
#include <string>
#include <vector>

#include "detrame/core/errors.hpp"
#include "detrame/core/matrix_view.hpp"

namespace detrame {

/// An array of unsigned bytes from an idx file, the last dimension fastest: images are samples x rows x columns.
struct IdxArray {
  std::string name;                 ///< of the file, for messages
  std::vector<Index> dims;          ///< at least one; any may be 0
  std::vector<std::uint8_t> bytes;  ///< as many as the product of dims

  /// Where an entry stands in the file.
  Index offset(Index entry) const { return 4 + 4 * static_cast<Index>(dims.size()) + entry; }
};

namespace detail {

/// "name: at byte offset: text"
template <class... Parts>
FormatError idx_error(std::string const& name, Index offset, Parts const&... parts) {
  return FormatError(message(name, ": at byte ", offset, ": ", parts...));
}

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

inline std::string product_text(std::vector<Index> const& dims) {
  std::string text;
  for (Index const d : dims) text += (text.empty() ? "" : " x ") + std::to_string(d);
  return text;
}

/// Up to n bytes; returns how many there were.
inline Index read_bytes(std::istream& in, std::uint8_t* bytes, Index n) {
  in.read(reinterpret_cast<char*>(bytes), static_cast<std::streamsize>(n));
  return static_cast<Index>(in.gcount());
}

/// The number of dimensions that the first four bytes announce.
inline Index read_idx_magic(std::istream& in, std::string const& name) {
  std::array<std::uint8_t, 4> magic{};
  Index const found = read_bytes(in, magic.data(), 4);
  if (found >= 2 && magic[0] == 0x1f && magic[1] == 0x8b)
    throw idx_error(name, 0, "the file is compressed with gzip, unpack it first (gunzip)");
  if (found < 4)
    throw idx_error(name, found, "expected the 4 bytes 00 00 08 n of an idx file, found the end of the file");
  if (magic[0] != 0 || magic[1] != 0 || magic[2] != 8)
    throw idx_error(name, 0, "expected the 4 bytes 00 00 08 n of an idx file of unsigned bytes, found ",
                    hexadecimal(magic.data(), 4));
  if (magic[3] == 0) throw idx_error(name, 3, "expected at least 1 dimension, found 0");
  return magic[3];
}

/// The product of the sizes. FormatError where even that of the sizes other than 0 cannot be represented.
inline Index entry_count(IdxArray const& array) {
  Index product = 1;
  bool empty = false;
  for (Index const dim : array.dims) {
    empty = empty || dim == 0;
    if (dim > 0 && product > std::numeric_limits<Index>::max() / dim)
      throw idx_error(array.name, 4, "expected sizes whose product fits ", 8 * sizeof(Index) - 1,
                      " bits, found ", product_text(array.dims));
    if (dim > 0) product *= dim;
  }
  return empty ? 0 : product;
}

}  // namespace detail

/// The array in an idx stream of unsigned bytes (type 08), big endian, any number of dimensions.
///
///   00 00 08 n | n sizes of 4 bytes each | the entries, one byte each
///
/// Requires  in: can be positioned (its end is looked up); name: what messages call it.
/// Ensures   (1) FormatError with the name, the offset, what was expected and what was found, if the stream is cut,
///               goes on after the last entry, starts otherwise, or announces another size than it has;
///           (2) entries are allocated only after the stream was found to have as many bytes.
/// Tested    tests/data/idx_test.cpp
inline IdxArray read_idx(std::istream& in, std::string const& name) {
  in.seekg(0, std::ios::end);
  Index const size = static_cast<Index>(in.tellg());
  in.seekg(0);
  if (!in || size < 0) throw FormatError(message(name, ": cannot be read: the size of the file is unknown"));

  IdxArray array{name, std::vector<Index>(static_cast<std::size_t>(detail::read_idx_magic(in, name))), {}};
  for (Index i = 0; Index & dim : array.dims) {
    std::array<std::uint8_t, 4> big_endian{};
    Index const found = detail::read_bytes(in, big_endian.data(), 4);
    if (found < 4)
      throw detail::idx_error(name, 4 + 4 * i + found, "expected ", array.dims.size(),
                              " sizes of 4 bytes each, found the end of the file in the size of dimension ",
                              i + 1);
    for (std::uint8_t const byte : big_endian) dim = dim * 256 + byte;
    ++i;
  }

  Index const start = array.offset(0), rest = size - start;
  Index const entries = detail::entry_count(array);
  if (entries > rest)
    throw detail::idx_error(name, size, "expected ", detail::product_text(array.dims), " entries from byte ",
                            start, " on, found the end of the file after ", rest);
  if (entries < rest)
    throw detail::idx_error(name, start + entries, "expected the end of the file after ",
                            detail::product_text(array.dims), " entries, found ", rest - entries,
                            " bytes more");

  array.bytes.resize(static_cast<std::size_t>(entries));
  if (Index const found = detail::read_bytes(in, array.bytes.data(), entries); found < entries)
    throw detail::idx_error(name, start + found, "expected ", entries - found,
                            " bytes more, but reading failed");
  return array;
}

/// The array in an idx file; see read_idx(stream, name).
inline IdxArray read_idx(std::filesystem::path const& file) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(file, error))
    throw FormatError(
        message(file.string(), ": expected an idx file, found ",
                std::filesystem::exists(file, error) ? "something that is not a file" : "no such file"));
  std::ifstream in(file, std::ios::binary);
  if (!in) throw FormatError(message(file.string(), ": cannot be opened for reading"));
  return read_idx(in, file.string());
}

}  // namespace detrame
