// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdio>
#include <ostream>
#include <string>

#include "detrame/train/status_line.hpp"
#include "detrame/train/training_options.hpp"

namespace detrame::inline DETRAME_ABI {

/// "[=====     ]", of so many characters between the brackets.
inline std::string bar_text(double share, std::size_t width = 20) {
  std::string text(width, ' ');
  for (std::size_t i = 0; i < width; ++i)
    if (static_cast<double>(i) + .5 < share * static_cast<double>(width)) text[i] = '=';
  return "[" + text + "]";
}

/// "1:05", "2:03:04"
inline std::string clock_text(double seconds) {
  auto const s = static_cast<long long>(seconds < 1e15 ? seconds : 1e15);
  std::array<char, 64> text;
  if (s >= 3600)
    std::snprintf(text.data(), text.size(), "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
  else
    std::snprintf(text.data(), text.size(), "%lld:%02lld", s / 60, s % 60);
  return text.data();
}

/// "epoch 3/60 [=====               ] rate 0.1  loss 0.4211  88.25 %  4012.3 samples/s  1:05 left"
inline std::string progress_text(StepReport const& r) {
  if (r.validating) return message("epoch ", r.epoch, "/", r.epochs, "  validation");
  std::array<char, 200> text;
  std::snprintf(text.data(), text.size(),
                "epoch %d/%d %s rate %.3g  loss %.4f  %.2f %%  %.1f samples/s  %s left", r.epoch, r.epochs,
                bar_text(static_cast<double>(r.position) / static_cast<double>(r.batches)).c_str(), r.rate,
                r.loss, 100 * r.accuracy, r.samples_per_second, clock_text(r.seconds_left).c_str());
  return text.data();
}

/// "epoch   3/60  rate 0.1      loss 0.4211  train  88.25 %  validation  86.40 %   4012.3 samples/s  1:05"
inline std::string epoch_text(EpochReport const& e, int epochs) {
  std::array<char, 200> text;
  std::array<char, 64> validation{};
  if (e.validation)
    std::snprintf(validation.data(), validation.size(), "  validation %6.2f %%",
                  100 * e.validation->accuracy);
  std::snprintf(text.data(), text.size(),
                "epoch %3d/%d  rate %-8.3g loss %.4f  train %6.2f %%%s  %8.1f samples/s  %s", e.number,
                epochs, e.rate, e.loss, 100 * e.accuracy, validation.data(), e.samples_per_second,
                clock_text(e.seconds).c_str());
  return text.data();
}

/// A StatusLine while training goes on, on a terminal; on any stream a line an epoch.
///
///   Progress progress(std::cout, options.epochs, /*terminal*/ true);
///   options.on_step = [&](StepReport const& report) { return progress.step(report); };
///   options.on_epoch = [&](FitRecord const& record) { return progress.epoch(record); };
///
/// Ensures   training is never stopped.
/// Tested    tests/train/progress_test.cpp
class Progress {
 public:
  Progress(std::ostream& out, int epochs, bool terminal, double every_seconds = .1)
      : out_(out), epochs_(epochs), line_(out, terminal, every_seconds) {}

  bool step(StepReport const& report) {
    if (line_.shows()) line_.show(progress_text(report));
    return true;
  }
  bool epoch(FitRecord const& record) {
    clear();
    out_ << epoch_text(record.history.back(), epochs_) << std::endl;
    return true;
  }
  /// Empties the line, before others are written.
  void clear() { line_.clear(); }

 private:
  std::ostream& out_;
  int epochs_;
  StatusLine line_;
};

}  // namespace detrame::inline DETRAME_ABI
