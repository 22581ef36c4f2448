// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <ostream>
#include <string>

#include "detrame/core/abi.hpp"

namespace detrame::inline DETRAME_ABI {

/// A line that is written over while work goes on, where the stream leads to a terminal; nothing elsewhere.
///
/// Ensures   the line is written at most every so many seconds, and at once after a `clear`.
/// Tested    tests/train/progress_test.cpp
class StatusLine {
 public:
  StatusLine(std::ostream& out, bool terminal, double every_seconds = .1)
      : out_(&out), terminal_(terminal), every_(every_seconds) {}

  bool shows() const { return terminal_; }

  /// Writes over the line, where it is due.
  void show(std::string const& line) {
    auto const now = std::chrono::steady_clock::now();
    if (!terminal_ || (shown_ && now - last_ < every_)) return;
    last_ = now;
    shown_ = true;
    *out_ << '\r' << line << "\033[K" << std::flush;
  }
  /// Empties the line, before others are written.
  void clear() {
    if (shown_) *out_ << "\r\033[K" << std::flush;
    shown_ = false;
  }

 private:
  std::ostream* out_;
  bool terminal_, shown_ = false;
  std::chrono::duration<double> every_;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace detrame::inline DETRAME_ABI
