// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <span>
#include <string>
#include <string_view>

#include "detrame/train/fit_record.hpp"

namespace detrame::inline DETRAME_ABI {

/// All that a training is, besides network, source and options: what a checkpoint keeps.
template <class Theta>
struct FitState {
  Theta& theta;
  std::span<std::string_view const> names;  ///< of the moments, "velocity.": before those of the parameters
  std::span<Theta> moments;
  Theta* best;  ///< the parameters of the best epoch so far; null where they are not kept
  FitRecord& record;
};

/// Keeps where a training stands, so that it goes on after a stop.
///
///   checkpoints.write(backend, state)   keeps the state, of which nothing is written
///   checkpoints.read(backend, state)    gives what was kept last, and true; false where nothing was
///   checkpoints.name()                  what read reads, for messages
///
/// Laws: what write was given is what read gives, bit for bit; where read gives false or throws, the state is
/// as it was.
/// Models    NoCheckpoints, TrainingCheckpoints (io/training_checkpoint.hpp)
template <class C, class B, class Theta>
concept CheckpointWriter = requires(C& checkpoints, B& backend, FitState<Theta> const& state) {
  checkpoints.write(backend, state);
  { checkpoints.read(backend, state) } -> std::same_as<bool>;
  { checkpoints.name() } -> std::convertible_to<std::string>;
};

/// Keeps nothing.
struct NoCheckpoints {
  template <class B, class State>
  void write(B&, State const&) const {}
  template <class B, class State>
  bool read(B&, State const&) const {
    return false;
  }
  std::string name() const { return ""; }
};

}  // namespace detrame::inline DETRAME_ABI
