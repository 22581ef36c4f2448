// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "detrame/core/sizes.hpp"
#include "detrame/data/gzip.hpp"

namespace detrame::inline DETRAME_ABI {

/// An array of unsigned bytes from an idx file, the last dimension fastest:
/// images are samples x rows x columns.
struct IdxArray {
  std::string name;                 ///< of the file, for messages
  std::vector<Index> dims;          ///< at least one; any may be 0
  std::vector<std::uint8_t> bytes;  ///< as many as the product of dims

  /// Where an entry stands in the file.
  Index offset(Index entry) const { return 4 + 4 * static_cast<Index>(dims.size()) + entry; }
};

/// The bytes of a stream as they are; GzipBytes inflates them.
class PlainBytes {
 public:
  PlainBytes(std::istream& in, std::string name) : in_(in), name_(std::move(name)) {
    size_ = size_and_rewind(in_, name_);
  }

  std::string const& name() const { return name_; }    ///< for messages
  std::optional<Index> size() const { return size_; }  ///< how many bytes there are, where that is known
  /// Fewer than n only at the end.
  Index read(std::uint8_t* bytes, Index n) { return read_bytes(in_, bytes, n); }

 private:
  std::istream& in_;
  std::string name_;
  Index size_;
};

namespace detail {

inline std::string product_text(std::vector<Index> const& dims) {
  std::string text;
  for (Index const d : dims) text += (text.empty() ? "" : " x ") + std::to_string(d);
  return text;
}

/// The number of dimensions that the first four bytes announce.
template <class Source>
Index read_idx_magic(Source& source) {
  std::array<std::uint8_t, 4> magic{};
  Index const found = source.read(magic.data(), 4);
  if (found < 4)
    throw format_error(source.name(), found,
                       "expected the 4 bytes 00 00 08 n of an idx file, found the end of the file");
  if (magic[0] != 0 || magic[1] != 0 || magic[2] != 8)
    throw format_error(source.name(), 0,
                       "expected the 4 bytes 00 00 08 n of an idx file of unsigned bytes, found ",
                       hexadecimal(magic.data(), 4));
  if (magic[3] == 0) throw format_error(source.name(), 3, "expected at least 1 dimension, found 0");
  return magic[3];
}

/// The product of the sizes. FormatError where even that of the sizes other than 0 cannot be represented.
inline Index entry_count(IdxArray const& array) {
  auto const product = product_of_sizes(array.dims);
  if (!product)
    throw format_error(array.name, 4, "expected sizes whose product fits ", 8 * sizeof(Index) - 1,
                       " bits, found ", product_text(array.dims));
  return *product;
}

/// The sizes that follow the first four bytes.
template <class Source>
void read_idx_sizes(Source& source, IdxArray& array) {
  for (Index i = 0; Index & dim : array.dims) {
    std::array<std::uint8_t, 4> big_endian{};
    Index const found = source.read(big_endian.data(), 4);
    if (found < 4)
      throw format_error(array.name, 4 + 4 * i + found, "expected ", array.dims.size(),
                         " sizes of 4 bytes each, found the end of the file in the size of dimension ",
                         i + 1);
    for (std::uint8_t const byte : big_endian) dim = dim * 256 + byte;
    ++i;
  }
}

/// The entries, and nothing after them. Memory grows with what was read,
/// unless the size of the source is known.
template <class Source>
void read_idx_entries(Source& source, IdxArray& array) {
  Index const start = array.offset(0), entries = entry_count(array);
  auto const too_few = [&](Index found) {
    return format_error(array.name, start + found, "expected ", product_text(array.dims),
                        " entries from byte ", start, " on, found the end of the file after ", found);
  };
  if (source.size() && entries > *source.size() - start) throw too_few(*source.size() - start);
  if (source.size() && entries < *source.size() - start)
    throw format_error(array.name, start + entries, "expected the end of the file after ",
                       product_text(array.dims), " entries, found ", *source.size() - start - entries,
                       " bytes more");
  Index const step = source.size() ? entries : Index{1} << 20;
  for (Index done = 0; done < entries;) {
    Index const n = std::min(step, entries - done);
    array.bytes.resize(static_cast<std::size_t>(done + n));
    Index const found = source.read(array.bytes.data() + done, n);
    done += found;
    if (found < n) throw too_few(done);
  }
  if (std::uint8_t more = 0; !source.size() && source.read(&more, 1) > 0)
    throw format_error(array.name, start + entries, "expected the end of the file after ",
                       product_text(array.dims), " entries, found more bytes");
}

template <class Source>
IdxArray read_idx_from(Source&& source) {
  IdxArray array{source.name(), std::vector<Index>(static_cast<std::size_t>(read_idx_magic(source))), {}};
  read_idx_sizes(source, array);
  read_idx_entries(source, array);
  return array;
}

}  // namespace detail

/// The array in an idx stream of unsigned bytes (type 08), big endian, any number of dimensions; the stream
/// may be compressed with gzip, which its first bytes 1f 8b tell.
///
///   00 00 08 n | n sizes of 4 bytes each | the entries, one byte each
///
/// Requires  in: can be positioned (its start is read twice); name: what messages call it.
/// Ensures   (1) FormatError with the name, the offset, what was expected and what was found, if the stream
///               is cut, goes on after the last entry, starts otherwise, or announces another size than it
///               has; offsets are those of the inflated bytes where the name is followed by "(inflated)";
///           (2) entries are allocated only after the stream was found to have as many bytes; while
///               inflating, a mebibyte at a time, and never more than announced.
/// Tested    tests/data/idx_test.cpp
inline IdxArray read_idx(std::istream& in, std::string const& name) {
  size_and_rewind(in, name);
  if (starts_with_gzip(in)) return detail::read_idx_from(GzipBytes(in, name));
  return detail::read_idx_from(PlainBytes(in, name));
}

/// The array in an idx file, compressed with gzip or not; see read_idx(stream, name).
inline IdxArray read_idx(std::filesystem::path const& file) {
  std::ifstream in = open_file(file, "an idx file");
  return read_idx(in, file.string());
}

}  // namespace detrame::inline DETRAME_ABI
