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

  /// "[=====     ]"
  static std::string bar(double share) {
    std::string text(20, ' ');
    for (std::size_t i = 0; i < text.size(); ++i)
      if (static_cast<double>(i) + .5 < share * static_cast<double>(text.size())) text[i] = '=';
    return "[" + text + "]";
  }

  /// "1:05", "2:03:04"
  static std::string clock(double seconds) {
    auto const s = static_cast<long long>(seconds);
    char text[64];
    if (s >= 3600)
      std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    else
      std::snprintf(text, sizeof text, "%lld:%02lld", s / 60, s % 60);
    return text;
  }

 private:
  bool terminal_ = ::isatty(STDOUT_FILENO) == 1;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace experiment
