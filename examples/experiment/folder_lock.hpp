// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>
#include <vector>

#include "ranges.hpp"

namespace experiment {

/// The folder that --out names is made where there is none, with those above it; they go again where nothing
/// was put into them. WrongOption where none can be made.
class MadeFolder {
 public:
  explicit MadeFolder(std::filesystem::path const& folder) {
    if (folder.empty()) throw WrongOption("--out is empty, must be the name of a folder");
    std::error_code error;
    for (auto path = folder; !path.empty() && !std::filesystem::exists(path, error);
         path = path.parent_path())
      made_.push_back(path);
    std::filesystem::create_directories(folder, error);
    if (!error) return;
    remove_empty();
    throw WrongOption(
        detrame::message("--out ", folder.string(), ": no folder can be made there: ", error.message()));
  }
  MadeFolder(MadeFolder const&) = delete;
  MadeFolder& operator=(MadeFolder const&) = delete;
  ~MadeFolder() { remove_empty(); }

 private:
  void remove_empty() const {
    for (auto const& path : made_)
      if (std::error_code none; std::filesystem::is_directory(path, none))
        std::filesystem::remove(path, none);  // one with files stays
  }

  std::vector<std::filesystem::path> made_;  ///< the innermost first
};

/// Only one process at a time works in a folder. The system unlocks it when the process ends,
/// however it does.
class FolderLock {
 public:
  explicit FolderLock(std::filesystem::path const& folder)
      : descriptor_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (descriptor_ < 0 || ::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      if (descriptor_ >= 0) ::close(descriptor_);
      throw detrame::DomainError(folder.string() +
                                 ": another process works in this folder, or it cannot be locked");
    }
  }
  FolderLock(FolderLock const&) = delete;
  FolderLock& operator=(FolderLock const&) = delete;
  ~FolderLock() { ::close(descriptor_); }

 private:
  int descriptor_;
};

}  // namespace experiment
