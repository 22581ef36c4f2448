// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>

#include "detrame/core/errors.hpp"

namespace experiment {

/// A folder that is made where there is none, and goes again where nothing was put into it.
class MadeFolder {
 public:
  explicit MadeFolder(std::filesystem::path folder)
      : folder_(std::move(folder)), made_(std::filesystem::create_directories(folder_)) {}
  MadeFolder(MadeFolder const&) = delete;
  MadeFolder& operator=(MadeFolder const&) = delete;
  ~MadeFolder() {
    if (std::error_code none; made_) std::filesystem::remove(folder_, none);  // one with files stays
  }

 private:
  std::filesystem::path folder_;
  bool made_;
};

/// Only one process at a time trains in a folder. The system unlocks it when the process ends,
/// however it does.
class FolderLock {
 public:
  explicit FolderLock(std::filesystem::path const& folder)
      : descriptor_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (descriptor_ < 0 || ::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      if (descriptor_ >= 0) ::close(descriptor_);
      throw detrame::DomainError(folder.string() +
                                 ": another process trains in this folder, or it cannot be locked");
    }
  }
  FolderLock(FolderLock const&) = delete;
  FolderLock& operator=(FolderLock const&) = delete;
  ~FolderLock() { ::close(descriptor_); }

 private:
  int descriptor_;
};

}  // namespace experiment
