// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <variant>

#include "detrame/optim/adam_w.hpp"
#include "detrame/optim/clip.hpp"
#include "detrame/optim/schedule.hpp"
#include "detrame/optim/sgd.hpp"
#include "detrame/train/fit_record.hpp"

namespace detrame::inline DETRAME_ABI {

/// What `on_step` is told: after each step, and before each batch of the validation.
struct StepReport {
  int epoch, epochs;          ///< counted from 1
  Index position, batches;    ///< batches of the epoch that are done, of so many
  std::uint64_t step;         ///< steps done in all
  double rate;                ///< of the last step
  double loss, accuracy;      ///< means over the samples of the epoch so far
  double samples_per_second;  ///< of training, since fit was called; 0 before its first step
  double seconds_left;        ///< of training, at this speed
  bool validating;            ///< the steps of the epoch are done
};

/// Training ends where the validation loss was not below its least, by more than least_gain, for so many
/// validated epochs (best_epoch).
struct EarlyStopping {
  int patience;
  double least_gain = 0;

  bool is_due(std::vector<EpochReport> const& history) const {
    auto const validated = std::count_if(history.begin() + best_epoch(history, least_gain), history.end(),
                                         [](EpochReport const& e) { return e.validation.has_value(); });
    return validated >= patience;
  }
  std::string explanation(std::vector<EpochReport> const& history) const {
    int const best = best_epoch(history, least_gain), since = static_cast<int>(history.size()) - best;
    return message("the loss of the validation was least in epoch ", best, ", ", since,
                   since == 1 ? " epoch ago" : " epochs ago");
  }
};

/// When checkpoints are written besides start, end of an epoch and stop; 0 is never.
struct Saving {
  Index steps = 0;     ///< after every so many steps
  double seconds = 0;  ///< after a step, where the last one was written so long ago
};

struct TrainingOptions {
  int epochs;         ///< in all: those before a checkpoint count
  Schedule schedule;  ///< in epochs: a batch has the rate at epoch + position / batches
  /// One of your own is for train_step, in a loop of your own.
  std::variant<Sgd, AdamW> optimiser{};
  std::uint64_t seed = 0;  ///< of what layers draw
  std::optional<Clip> clip{};
  std::optional<EarlyStopping> early_stopping{};
  bool keep_best = false;  ///< the parameters of the epoch with the least validation loss
  Saving saving{};
  std::function<bool(StepReport const&)> on_step{};  ///< true: go on; false: training stops
  std::function<bool(FitRecord const&)> on_epoch{};  ///< likewise; history.back() is the epoch

  void check() const {
    require_at_least("fit", "epochs", epochs, 0);
    require_at_least("fit", "saving.steps", saving.steps, Index{0});
    require_at_least("fit", "saving.seconds", saving.seconds, 0.);
    if (clip) clip->check();
    if (!early_stopping) return;
    require_at_least("fit", "patience", early_stopping->patience, 1);
    require_at_least("fit", "least_gain", early_stopping->least_gain, 0.);
  }
};

}  // namespace detrame::inline DETRAME_ABI
