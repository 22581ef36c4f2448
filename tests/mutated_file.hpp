// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "detrame/core/random.hpp"

/// Files of the tests: written, read back, compressed, damaged.
namespace detrame::test {

using Bytes = std::vector<std::uint8_t>;

/// One to three changes, each in the first `reach` bytes, but for cuts and what is appended: cut, insert,
/// erase, flip a bit, overwrite, append. A function of (random, trial) alone.
inline Bytes mutated(Bytes file, Random const& random, std::uint64_t trial, Index reach) {
  std::uint64_t position = trial * 64;
  for (Index n = 1 + random.below(3, position++); n > 0; --n) {
    Index const size = static_cast<Index>(file.size());
    auto const at = file.begin() + (size == 0 ? 0 : random.below(std::min(size, reach), position++));
    auto const any = static_cast<std::uint8_t>(random.below(256, position++));
    Index const change = size == 0 ? 5 : random.below(6, position++);
    if (change == 0) file.resize(static_cast<std::size_t>(random.below(size + 1, position++)));
    if (change == 1) file.insert(at, any);
    if (change == 2) file.erase(at);
    if (change == 3) *at = static_cast<std::uint8_t>(*at ^ (1 << (any % 8)));
    if (change == 4) *at = any;
    if (change == 5) file.push_back(any);
  }
  return file;
}

/// The same bytes compressed with gzip.
inline Bytes gzipped(Bytes const& bytes) {
  z_stream z{};
  deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY);
  Bytes out(deflateBound(&z, static_cast<uLong>(bytes.size())));
  z.next_in = const_cast<Bytef*>(bytes.data());
  z.avail_in = static_cast<uInt>(bytes.size());
  z.next_out = out.data();
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

inline void write_bytes(std::filesystem::path const& file, Bytes const& bytes) {
  std::filesystem::remove(file);  // ext4 would bring a file that is emptied and rewritten to the disk at once
  std::ofstream out(file, std::ios::binary);
  out.write(reinterpret_cast<char const*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

inline Bytes read_all(std::filesystem::path const& file) {
  std::ifstream in(file, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(in), {});
}

/// An empty folder of this program's own, removed at the end of the scope.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(std::string const& name) {
    for (int n = 0; path_.empty(); ++n) {
      auto const path = std::filesystem::temp_directory_path() / ("detrame-" + name + std::to_string(n));
      if (std::filesystem::create_directory(path)) path_ = path;
    }
  }
  TemporaryFolder(TemporaryFolder const&) = delete;
  TemporaryFolder& operator=(TemporaryFolder const&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  std::filesystem::path operator/(std::string const& name) const { return path_ / name; }
  std::filesystem::path const& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace detrame::test
