// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "detrame/core/file_bytes.hpp"

namespace detrame::inline DETRAME_ABI::detail {

/// "double": what MATLAB calls the class of this number.
inline std::string mat_class_name(int number) {
  constexpr std::array<char const*, 17> names{
      "cell",  "struct", "object", "char",   "sparse", "double", "single",          "int8",  "uint8",
      "int16", "uint16", "int32",  "uint32", "int64",  "uint64", "function handle", "opaque"};
  return number >= 1 && number <= 17 ? names[static_cast<std::size_t>(number - 1)]
                                     : message("number ", number, ", which is none");
}

/// The first bytes of a variable: its class, rank and name, which say how much a reader allocates for them.
///
///   tag 6, 8 | class, flags, 8 bytes | tag 5, 4 rank | sizes, filled up to 8 bytes | tag 1, n | name
///
/// A tag is a type and a size, 4 bytes each; of up to 4 bytes, 2 each, followed by the bytes themselves.
class Mat5Variable {
 public:
  static constexpr Index rank_limit = 32, name_limit = 256;
  static constexpr std::size_t most_bytes = 8 + 8 + 8 + 4 * rank_limit + 8 + name_limit;

  /// `at`: where the variable stands in the file `name`. FormatError where the bytes are not so, or sizes are
  /// larger than the limits.
  Mat5Variable(std::string const& file, Index at, std::vector<std::uint8_t> const& bytes)
      : bytes_(bytes), file_(file), at_(at) {
    if (element("class and flags of a variable", 6, 8) != 8)
      refuse("class and flags of a variable in 8 bytes");
    class_number = bytes_[8];
    if (class_number == 17) return;  // opaque: what follows is MATLAB's own affair
    if (Index const sizes = element("the sizes of a variable", 5, 4 * rank_limit);
        sizes < 8 || sizes % 4 != 0)
      refuse("at least 2 sizes of a variable, 4 bytes each");
    Index const length = element("the name of a variable", 1, name_limit);
    name.assign(reinterpret_cast<char const*>(bytes_.data()) + content_, static_cast<std::size_t>(length));
  }

  int class_number = 0;
  std::string name;

 private:
  [[noreturn]] void refuse(std::string const& expected) const {
    throw format_error(file_, at_, "expected ", expected, ", found others");
  }

  std::uint32_t word(std::size_t at) const {
    std::uint32_t w = 0;
    for (std::size_t i = 4; i-- > 0;) w = w << 8 | bytes_[at + i];
    return w;
  }

  /// Goes past the next element, which must be of the type and of at most `most` bytes, and there; returns
  /// its bytes.
  Index element(char const* what, std::uint32_t type, Index most) {
    std::string const expected = message(what, " in at most ", most, " bytes");
    if (next_ + 8 > bytes_.size()) refuse(expected);
    std::uint32_t const first = word(next_);
    bool const small = first >> 16 != 0;
    Index const size = small ? static_cast<Index>(first >> 16) : static_cast<Index>(word(next_ + 4));
    if ((first & 0xffff) != type || size > (small ? 4 : most)) refuse(expected);
    content_ = next_ + (small ? 4 : 8);
    if (content_ + static_cast<std::size_t>(size) > bytes_.size()) refuse(expected);
    next_ = small ? next_ + 8 : content_ + static_cast<std::size_t>((size + 7) / 8 * 8);
    return size;
  }

  std::vector<std::uint8_t> const& bytes_;
  std::string const& file_;
  Index at_;
  std::size_t next_ = 0, content_ = 0;
};

/// What the first bytes of a stream of zlib's inflate to, up to a count; less where there is damage.
inline std::vector<std::uint8_t> inflated_start(std::vector<std::uint8_t>& compressed, std::size_t count) {
  std::vector<std::uint8_t> bytes(count);
  z_stream z{};
  if (inflateInit(&z) != Z_OK) throw std::bad_alloc();
  z.next_in = compressed.data();
  z.avail_in = static_cast<uInt>(compressed.size());
  z.next_out = bytes.data();
  z.avail_out = static_cast<uInt>(count);
  inflate(&z, Z_SYNC_FLUSH);
  bytes.resize(count - z.avail_out);
  inflateEnd(&z);
  return bytes;
}

/// Checks that the data elements of a MATLAB file of level 5 follow one another up to its end, and that each
/// starts as a variable does, so that libmatio allocates no more for its sizes and name than they may have.
/// `judge` is called with each Mat5Variable. FormatError with the place where the chain breaks. Returns the
/// size of the file.
///
///   header of 128 bytes | type 14 (a variable) or 15 (one compressed by zlib) and size, 4 bytes each | its
///   bytes | ...
template <class Judge>
Index require_mat5(std::filesystem::path const& file, Judge&& judge) {
  std::string const name = file.string();
  std::ifstream in = open_file(file, "a MATLAB file");
  Index const size = size_and_rewind(in, name);
  std::array<std::uint8_t, 128> header{};
  if (Index const found = read_bytes(in, header.data(), 128); found < 128)
    throw format_error(name, found, "expected the 128 bytes of a MATLAB header, found the end of the file");
  // 0x0100 and "MI", in the byte order of the writer; every machine that MATLAB still runs on is
  // little-endian.
  if (header[124] != 0 || header[125] != 1 || header[126] != 'I' || header[127] != 'M')
    throw format_error(name, 124,
                       "expected the bytes 00 01 49 4d of a little-endian MATLAB file of level 5, found ",
                       hexadecimal(header.data() + 124, 4));
  for (Index at = 128; at < size;) {
    std::array<std::uint8_t, 8> tag{};
    if (Index const found = read_bytes(in, tag.data(), 8); found < 8)
      throw format_error(name, at + found,
                         "expected type and size of a data element, found the end of the file");
    Index bytes = 0, type = 0;
    for (std::size_t i = 8; i-- > 4;) bytes = bytes * 256 + tag[i];
    for (std::size_t i = 4; i-- > 0;) type = type * 256 + tag[i];
    if (bytes > size - at - 8)
      throw format_error(name, size, "expected a data element of ", bytes, " bytes from byte ", at + 8,
                         " on, found the end of the file after ", size - at - 8);
    if (type != 14 && type != 15)
      throw format_error(name, at, "expected a variable, 14, or one that is compressed, 15, found type ",
                         type);
    std::vector<std::uint8_t> start(std::min(static_cast<std::size_t>(bytes), 2 * Mat5Variable::most_bytes));
    read_bytes(in, start.data(), static_cast<Index>(start.size()));
    if (type == 15) {
      start = inflated_start(start, 8 + Mat5Variable::most_bytes);
      if (start.size() < 8 || start[0] != 14 || start[1] != 0 || start[2] != 0 || start[3] != 0)
        throw format_error(name, at + 8, "expected a compressed variable, found others");
      start.erase(start.begin(), start.begin() + 8);
    }
    judge(Mat5Variable(name, at + 8, start));
    at += 8 + bytes;
    in.clear();
    in.seekg(at);
  }
  return size;
}

}  // namespace detrame::inline DETRAME_ABI::detail
