// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "detrame/train/fit_record.hpp"

namespace detrame::inline DETRAME_ABI {

/// How a training ended.
enum class FitStatus {
  finished,             ///< all epochs are done
  stopped_early,        ///< by EarlyStopping
  stopped,              ///< by on_step or on_epoch
  loss_not_finite,      ///< of a batch, whose step was not taken
  gradient_not_finite,  ///< likewise: its norm, which only clipping asks for
  validation_not_finite,
  parameters_not_finite  ///< or moments: seen where an epoch ends, and before a checkpoint is written
};

constexpr std::string_view name(FitStatus status) {
  switch (status) {
    case FitStatus::finished: return "finished";
    case FitStatus::stopped_early: return "stopped_early";
    case FitStatus::stopped: return "stopped";
    case FitStatus::loss_not_finite: return "loss_not_finite";
    case FitStatus::gradient_not_finite: return "gradient_not_finite";
    case FitStatus::validation_not_finite: return "validation_not_finite";
    case FitStatus::parameters_not_finite: return "parameters_not_finite";
  }
  return "";
}

template <class Theta>
struct [[nodiscard]] FitResult {
  FitStatus status;
  FitRecord record;
  std::optional<Theta> best;  ///< where keep_best asked for it, and an epoch is done
  std::string explanation;    ///< "in epoch 3, batch 7: the loss is nan"; empty where nothing is to be said
};

}  // namespace detrame::inline DETRAME_ABI
