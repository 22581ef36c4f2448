// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zlib.h>

#include <algorithm>
#include <array>
#include <new>
#include <optional>
#include <string>

#include "detrame/core/file_bytes.hpp"

namespace detrame::inline DETRAME_ABI {

/// Whether a stream starts with the two bytes of gzip; it is then at its start again.
inline bool starts_with_gzip(std::istream& in) {
  std::array<std::uint8_t, 2> magic{};
  Index const found = read_bytes(in, magic.data(), 2);
  in.clear();
  in.seekg(0);
  return found == 2 && magic[0] == 0x1f && magic[1] == 0x8b;
}

/// What a gzip stream (RFC 1952, one member or several, perhaps filled up with zeros, as tapes are) inflates
/// to, read piece by piece.
///
/// Ensures   (1) FormatError with the name, the offset in the compressed file and what zlib says, if the
///               stream is cut, damaged, or goes on with anything but another member or zeros up to the end
///               of the file;
///           (2) no more memory than a buffer: what the file announces is not believed;
///           (3) the check sums were compared once read() has returned fewer bytes than asked for.
/// Tested    tests/data/idx_test.cpp
class GzipBytes {
 public:
  GzipBytes(std::istream& in, std::string const& name) : in_(in), file_(name), name_(name + " (inflated)") {
    if (int const status = inflateInit2(&z_, 16 + MAX_WBITS); status != Z_OK) refuse(status);
  }
  GzipBytes(GzipBytes const&) = delete;
  GzipBytes& operator=(GzipBytes const&) = delete;
  ~GzipBytes() { inflateEnd(&z_); }

  std::string const& name() const { return name_; }
  std::optional<Index> size() const { return std::nullopt; }

  Index read(std::uint8_t* bytes, Index n) {
    Index done = 0;
    while (done < n && !ended_) {
      constexpr Index most = Index{1} << 30;
      z_.next_out = bytes + done;
      z_.avail_out = static_cast<uInt>(std::min(n - done, most));
      uInt const before = z_.avail_out;
      inflate_once(inflated_ + done);
      done += static_cast<Index>(before - z_.avail_out);
    }
    inflated_ += done;
    return done;
  }

 private:
  /// One call of inflate, with input where there is any.
  void inflate_once(Index inflated) {
    if (z_.avail_in == 0) refill();
    if (z_.avail_in == 0) {
      ended_ = between_members_;
      if (ended_) return;
      throw format_error(file_, consumed_,
                         "expected the rest of a gzip stream, found the end of the file after ", inflated,
                         " inflated bytes");
    }
    if (between_members_ && *z_.next_in == 0) return read_padding();
    between_members_ = false;
    uInt const before = z_.avail_in;
    int const status = inflate(&z_, Z_NO_FLUSH);
    consumed_ += static_cast<Index>(before - z_.avail_in);
    if (status == Z_STREAM_END) {
      between_members_ = true;
      inflateReset(&z_);
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      refuse(status);
    }
  }

  /// Zeros up to the end of the file.
  void read_padding() {
    for (; z_.avail_in > 0; refill())
      for (; z_.avail_in > 0; --z_.avail_in, ++z_.next_in, ++consumed_)
        if (*z_.next_in != 0)
          throw format_error(file_, consumed_,
                             "expected zeros alone from the first one after a gzip stream on, found a byte ",
                             hexadecimal(z_.next_in, 1));
    ended_ = true;
  }

  [[noreturn]] void refuse(int status) const {
    if (status == Z_MEM_ERROR) throw std::bad_alloc();
    throw format_error(file_, consumed_,
                       "expected a gzip stream, found damage: ", z_.msg != nullptr ? z_.msg : zError(status));
  }

  void refill() {
    z_.next_in = buffer_.data();
    z_.avail_in = static_cast<uInt>(read_bytes(in_, buffer_.data(), static_cast<Index>(buffer_.size())));
  }

  std::istream& in_;
  std::string file_, name_;
  z_stream z_{};
  std::array<std::uint8_t, 16384> buffer_;
  Index consumed_ = 0, inflated_ = 0;  ///< bytes of the file, bytes returned
  bool between_members_ = false, ended_ = false;
};

}  // namespace detrame::inline DETRAME_ABI
