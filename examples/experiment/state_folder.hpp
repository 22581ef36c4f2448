// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>

#include "detrame/io/safetensors.hpp"
#include "folder_lock.hpp"
#include "perturbation_report.hpp"

namespace experiment {

/// The folder of a job that stops and goes on, and the job's state in it: made, locked, and no other job's.
/// Without --out nothing is kept.
class StateFolder {
 public:
  TensorFile state;

  /// `file` is the state's name. DomainError, which says that it holds `what`, where the folder has a state
  /// and --resume was not asked for.
  StateFolder(std::filesystem::path const& out, char const* file, bool resume, char const* what) {
    if (out.empty()) return;
    folder_.emplace(out), lock_.emplace(out);
    require_none_of_others(out, file);
    file_ = out / file;
    std::error_code none;
    found_ = std::filesystem::exists(file_, none);
    if (found_ && !resume)
      throw DomainError(message(out.string(), " holds ", what, "; for another name another folder"));
    if (found_) state = read_safetensors(file_);
  }

  /// Whether there was a state to go on from.
  bool found() const { return found_; }
  /// Whether the state was last written a minute ago.
  bool due() const { return Clock::now() - saved_ > std::chrono::seconds(60); }
  void save() {
    if (file_.empty()) return;
    write_safetensors(file_, state);
    saved_ = Clock::now();
  }

 private:
  using Clock = std::chrono::steady_clock;

  std::optional<MadeFolder> folder_;
  std::optional<FolderLock> lock_;
  std::filesystem::path file_;
  bool found_ = false;
  Clock::time_point saved_ = Clock::now();
};

}  // namespace experiment
