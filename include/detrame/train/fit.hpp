// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/loss/softmax_cross_entropy.hpp"
#include "detrame/train/fitting.hpp"

namespace detrame::inline DETRAME_ABI {

/// Algorithm 2: epochs of batches, each a train_step, from theta or from the state that `checkpoints` kept.
///                                                                                                       (F3)
///   fit(cpu, net, theta, Batches(cpu, data, {.size = 128}), {.epochs = 60, .schedule = schedule})
///
/// Requires  samples that the network reads, one an epoch or more, and for the validation too; no batch of
///           less than least_samples(net); epochs >= 0, patience >= 1, numbers >= 0, clip.norm > 0; a
///           validation for early_stopping and keep_best; else ShapeError or DomainError before the first
///           step. What is read from `checkpoints` is of these epochs and this source, else FormatError, and
///           theta is what it was; that it is of these options is the caller's to know.
/// Ensures   (1) theta, moments, losses and accuracies are a function of theta, source, options, validation
///               and loss: neither of the number of threads nor of stops that a checkpoint bridged;
///           (2) the validation is measured after each epoch, by the inference map, and changes nothing;
///           (3) a checkpoint is written at the start, after each epoch and before on_epoch, at a stop by
///               on_step, where a layer throws NotCertified, and as `saving` says;
///           (4) what is not finite ends training with its status: the step of such a loss, or of such a
///               clipped gradient, is not taken, and `checkpoints` are never given it. Infinite scores of
///               a finite loss are seen in the validation alone;
///           (5) `best` are the parameters after the epoch best_epoch(record.history);
///           (6) what source, layers, callbacks or checkpoints throw goes through.
/// Cost      a train_step a batch, and the count of what was classified; where an epoch ends, and before a
///           checkpoint, a look at parameters and moments; a copy of theta while `checkpoints` are read. On
///           Batches a step allocates what train_step says; a batch on the host is copied into new matrices.
/// Source    paper, Algorithm 2; docs/decisions/0014-fit.md
/// Tested    tests/train/fit_test.cpp, tests/io/training_checkpoint_test.cpp
template <LayerMaps Net, Backend B, class Source, class Validation = NoSource,
          class Checkpoints = NoCheckpoints, class Loss = SoftmaxCrossEntropy>
FitResult<typename Net::Parameters> fit(B& backend, Net const& net, typename Net::Parameters& theta,
                                        Source&& source, TrainingOptions const& options,
                                        Validation&& validation = {}, Checkpoints&& checkpoints = {},
                                        Loss const& loss = {}) {
  using S = std::remove_cvref_t<Source>;
  using V = std::remove_cvref_t<Validation>;
  using C = std::remove_cvref_t<Checkpoints>;
  constexpr bool on_source = SampleSource<S, B>, validates = SampleSource<V, B> || std::same_as<V, NoSource>;
  static_assert(on_source,
                "fit: samples come from a SampleSource: a Loader of images, or Batches of a Dataset");
  static_assert(validates,
                "fit: behind the options stand a validation, a SampleSource or NoSource(), then checkpoints");
  static_assert(CheckpointWriter<C, B, typename Net::Parameters>,
                "fit: checkpoints are written by a CheckpointWriter: TrainingCheckpoints(folder)");
  static_assert(LossOn<Loss, B>, "fit: a loss compares what the network returns with targets: LossOn");
  if constexpr (on_source && validates)
    return detail::Fitting<Net, S, V, C, Loss>(backend, net, theta, source, options, validation, checkpoints,
                                               loss)
        .run();
}

}  // namespace detrame::inline DETRAME_ABI
