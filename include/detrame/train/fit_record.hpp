// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "detrame/train/evaluate.hpp"

namespace detrame::inline DETRAME_ABI {

/// What an epoch of training came to.
struct EpochReport {
  int number = 0;                 ///< counted from 1
  double rate = 0;                ///< of its first step
  double loss = 0, accuracy = 0;  ///< means over its samples, each before the step that the sample is part of
  std::optional<Evaluation> validation{};
  double samples_per_second = 0, seconds = 0,
         processor_seconds = 0;  ///< of training; of all threads together
};

/// Where a training stands: with source and options all that the next step depends on, besides parameters and
/// moments. Files have its numbers under the names of `each`.
struct FitRecord {
  int epoch = 0;           ///< of the next batch, counted from 0
  Index position = 0;      ///< of the next batch in its epoch
  std::uint64_t step = 0;  ///< of the next batch in all
  double loss = 0;         ///< of the epoch so far, summed over samples
  Index samples = 0, correct = 0;
  double seconds = 0, processor_seconds = 0;
  std::vector<EpochReport> history{};  ///< of the epochs that are done

  template <class Record, class F>
  static void each(Record& r, F&& f) {
    f("epoch", r.epoch), f("position", r.position), f("next step", r.step), f("loss", r.loss);
    f("samples", r.samples), f("correct", r.correct), f("seconds", r.seconds);
    f("processor_seconds", r.processor_seconds);
  }

  /// The history as a matrix, an epoch a row: number, rate, loss, accuracy, loss and accuracy of the
  /// validation (NaN where there was none), samples a second, seconds, processor seconds.
  static constexpr Index columns = 9;
  HostMatrix<double> history_matrix() const {
    constexpr double none = std::numeric_limits<double>::quiet_NaN();
    HostMatrix<double> rows(static_cast<Index>(history.size()), columns);
    for (Index i = 0; i < rows.rows(); ++i) {
      EpochReport const& e = history[static_cast<std::size_t>(i)];
      Evaluation const v = e.validation.value_or(Evaluation{none, none});
      double const row[columns] = {static_cast<double>(e.number),
                                   e.rate,
                                   e.loss,
                                   e.accuracy,
                                   v.loss,
                                   v.accuracy,
                                   e.samples_per_second,
                                   e.seconds,
                                   e.processor_seconds};
      for (Index j = 0; j < columns; ++j) rows(i, j) = row[j];
    }
    return rows;
  }
  /// Requires  so many columns, else ShapeError.
  void take_history(HostMatrix<double> const& rows) {
    require_shape("FitRecord", "the history", rows, rows.rows(), columns);
    history.clear();
    for (Index i = 0; i < rows.rows(); ++i) {
      Evaluation const v{rows(i, 4), rows(i, 5)};
      history.push_back({static_cast<int>(i) + 1, rows(i, 1), rows(i, 2), rows(i, 3),
                         v.finite() ? std::optional(v) : std::nullopt, rows(i, 6), rows(i, 7), rows(i, 8)});
    }
  }
};

/// The number of the first epoch whose validation loss is less, by more than the gain, than that of every
/// such epoch before; 0 where none was validated.
inline int best_epoch(std::vector<EpochReport> const& history, double gain = 0) {
  int best = 0;
  double least = 0;
  for (EpochReport const& e : history)
    if (e.validation && (best == 0 || e.validation->loss < least - gain)) {
      best = e.number;
      least = e.validation->loss;
    }
  return best;
}

/// Refuses a record that is not one of so many epochs on a source.
template <class Source>
void require_record(std::string const& who, FitRecord const& at, int epochs, Source const& source) {
  Index const batches = source.batches(), most = at.epoch == epochs ? 0 : batches;
  bool const placed = at.epoch >= 0 && at.epoch <= epochs && at.position >= 0 && at.position <= most &&
                      at.step == static_cast<std::uint64_t>(at.epoch) * static_cast<std::uint64_t>(batches) +
                                     static_cast<std::uint64_t>(at.position);
  if (!placed)
    throw FormatError(message(who, ": __metadata__: expected an epoch in 0 ... ", epochs, " of ", batches,
                              " batches, a batch of it, and the step that is theirs, found epoch ", at.epoch,
                              ", batch ", at.position, ", step ", at.step));
  Index const seen = std::min(at.position * batch_size(source), source.samples());
  auto const is_time = [](double seconds) { return seconds >= 0 && std::isfinite(seconds); };
  if (at.samples != seen || at.correct < 0 || at.correct > seen || !std::isfinite(at.loss) ||
      !is_time(at.seconds) || !is_time(at.processor_seconds))
    throw FormatError(
        message(who, ": __metadata__: expected ", seen,
                " samples, of which at most all are correct, a finite loss and times >= 0, found ",
                at.samples, " samples, ", at.correct, " correct, loss ", at.loss, ", seconds ", at.seconds,
                " and ", at.processor_seconds));
  if (static_cast<int>(at.history.size()) != at.epoch)
    throw FormatError(message(who, ": history: expected ", at.epoch, " epochs, found ", at.history.size()));
}

}  // namespace detrame::inline DETRAME_ABI
