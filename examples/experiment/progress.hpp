// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>

namespace experiment {

/// A line that is written over while work goes on; nothing where the output is not a terminal.
class Progress {
 public:
  bool shows() const { return terminal_; }

  /// At most ten times a second.
  void show(std::string const& line) {
    auto const now = std::chrono::steady_clock::now();
    if (!terminal_ || now - last_ < std::chrono::milliseconds(100)) return;
    last_ = now;
    std::printf("\r%s\033[K", line.c_str());
    std::fflush(stdout);
  }
  void clear() const {
    if (!terminal_) return;
    std::printf("\r\033[K");
    std::fflush(stdout);
  }

 private:
  bool terminal_ = ::isatty(STDOUT_FILENO) == 1;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace experiment
