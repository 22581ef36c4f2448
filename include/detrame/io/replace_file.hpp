// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "detrame/core/checksum.hpp"
#include "detrame/core/matrix_view.hpp"

namespace detrame::inline DETRAME_ABI {

/// The name of the target, where `file` is called as ReplacedFile calls what it writes beside one, and
/// nothing else is: "a.csv" of "a.csv.part1234-0", digits alone after ".part" and "-"; nothing of
/// "a.csv.partial", "a.part-of-mine".
inline std::optional<std::string_view> replaced_target(std::string_view file) {
  auto const without_digits = [](std::string_view text) {
    std::size_t const end = text.find_last_not_of("0123456789") + 1;
    return end < text.size() ? std::optional(text.substr(0, end)) : std::nullopt;
  };
  for (std::string_view const mark : {"-", ".part"}) {
    auto const rest = without_digits(file);
    if (!rest || !rest->ends_with(mark)) return std::nullopt;
    file = rest->substr(0, rest->size() - mark.size());
  }
  return file;
}

/// A file that is written beside its target and takes its place at the end, so that nobody ever sees half of
/// it: until `commit` returns, the target is what it was.
///
/// Ensures   (1) bytes are on the disk (fsync) before the name is; the folder is synchronised afterwards;
///           (2) without commit, or when anything fails, the new file is removed and the target left alone;
///           (3) std::filesystem::filesystem_error with the file and the system's reason;
///           (4) what a process that is killed leaves behind is called as replaced_target says;
///           (5) a link stays, and the file it leads to is replaced; a device, pipe or folder is refused.
/// Tested    tests/io/safetensors_test.cpp
class ReplacedFile {
 public:
  explicit ReplacedFile(std::filesystem::path const& target) : target_(replaceable(target)) {
    for (int n = 0; descriptor_ < 0; ++n) {
      beside_ = target_.string() + ".part" + std::to_string(::getpid()) + "-" + std::to_string(n);
      descriptor_ = ::open(beside_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (descriptor_ < 0 && errno != EEXIST) fail("cannot be created", beside_);
    }
  }
  ReplacedFile(ReplacedFile const&) = delete;
  ReplacedFile& operator=(ReplacedFile const&) = delete;
  ~ReplacedFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
    if (!committed_) ::unlink(beside_.c_str());
  }

  void write(void const* bytes, std::size_t n) {
    checksum_.add(static_cast<std::uint8_t const*>(bytes), n);
    char const* from = static_cast<char const*>(bytes);
    while (n > 0) {
      ssize_t const written = ::write(descriptor_, from, n);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail("cannot be written", beside_);
      from += written;
      n -= static_cast<std::size_t>(written);
    }
  }

  /// Of all that was written.
  std::uint64_t checksum() const { return checksum_.value(); }

  void commit() {
    if (::fsync(descriptor_) != 0) fail("cannot be written to the disk", beside_);
    int const closed = ::close(descriptor_);
    descriptor_ = -1;
    if (closed != 0) fail("cannot be closed", beside_);
    if (::rename(beside_.c_str(), target_.c_str()) != 0) fail("cannot be put in its place", target_);
    committed_ = true;
    auto const folder = target_.has_parent_path() ? target_.parent_path() : std::filesystem::path(".");
    if (int const d = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); d >= 0) {
      ::fsync(d);  // file systems that cannot say so themselves
      ::close(d);
    }
  }

 private:
  static std::filesystem::path replaceable(std::filesystem::path file) {
    std::error_code none;
    for (int links = 0; links < 40 && std::filesystem::is_symlink(file, none); ++links)
      file = file.parent_path() / std::filesystem::read_symlink(file);
    auto const status = std::filesystem::status(file, none);
    if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
      errno = EINVAL;
      fail("cannot be replaced, as it is no regular file", file);
    }
    return file;
  }
  [[noreturn]] static void fail(char const* what, std::filesystem::path const& file) {
    throw std::filesystem::filesystem_error(what, file, std::error_code(errno, std::generic_category()));
  }

  std::filesystem::path target_, beside_;
  int descriptor_ = -1;
  Checksum checksum_;
  bool committed_ = false;
};

}  // namespace detrame::inline DETRAME_ABI
