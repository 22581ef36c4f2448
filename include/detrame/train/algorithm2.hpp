// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <optional>
#include <vector>

#include "detrame/layer/concept.hpp"
#include "detrame/loss/concept.hpp"
#include "detrame/optim/clip.hpp"
#include "detrame/optim/sgd.hpp"

namespace detrame::inline DETRAME_ABI {

/// What a training step writes besides theta: allocated in the first step, kept by the caller.
template <LayerMaps Net>
struct TrainingState {
  typename Net::Parameters gradient;
  std::vector<typename Net::Parameters> moments;  ///< of the optimiser, as O::moments names them
  typename Net::Tape tape;
  Matrix<typename Net::Backend> x, targets, y_bar;
  Matrix<typename Net::Backend> scores;  ///< of the last step, before it
  std::uint64_t step = 0;                ///< steps taken
};

/// A state before the first step: the optimiser's moments are zero.
template <LayerMaps Net, class O = Sgd>
TrainingState<Net> training_state(typename Net::Backend& backend, Net const& net, O const& = {}) {
  TrainingState<Net> state;
  state.gradient = net.parameters(backend);
  state.moments.assign(O::moments.size(), state.gradient);
  return state;
}

enum class StepStatus {
  taken,
  loss_not_finite,
  gradient_not_finite  ///< looked at only where it is clipped
};

template <class Scalar>
struct StepResult {
  Scalar loss;  ///< the mean over the batch, before the step
  StepStatus status;
};

namespace detail {
/// train_step, whose optimiser is update(scale of the gradient).
template <LayerMaps Net, class Loss, Backend B, class Update>
StepResult<typename B::Scalar> take_step(B& backend, Net const& net, Loss const& loss, Update const& update,
                                         bool (*trains)(Role const&), typename Net::Parameters& theta,
                                         TrainingState<Net>& state, ConstView<B> x, ConstView<B> targets,
                                         Draw draw, std::optional<Clip> const& clip) {
  using Scalar = typename B::Scalar;
  auto const y = net.forward(backend, theta, x, state.tape, draw);
  for (auto* const matrix : {&state.scores, &state.y_bar}) resize(backend, *matrix, y.rows(), y.cols());
  each(backend.lane(), formula::Assign(), state.scores, y);
  Scalar const value = loss.value(backend, y, targets, state.y_bar);
  if (!std::isfinite(value)) return {value, StepStatus::loss_not_finite};
  visit([&](std::string_view, Role const&, auto& g) { each(backend.lane(), formula::Fill<Scalar>{0}, g); },
        state.gradient);
  pullback_parameters(backend, net, theta, state.tape, state.y_bar, state.gradient);
  double scale = 1;
  if (clip) {
    double const norm = gradient_norm(backend, state.gradient, trains);
    if (!std::isfinite(norm)) return {value, StepStatus::gradient_not_finite};
    scale = clip->scale(norm);
  }
  update(scale);
  absorb(backend, net, theta, state.tape);
  ++state.step;
  return {value, StepStatus::taken};
}
}  // namespace detail

/// One step of Algorithm 2 on one batch: forward, loss, pullback, a step of the optimiser, which ends with
/// the projections; then running statistics take the batch in.                                           (F3)
///
/// Requires  a state of that optimiser. With `clip` one that says by `trains` what it trains is asked; any
///           other trains all.
/// Ensures   (1) where the loss is not finite, or the gradient's norm where it is clipped, the step is not
///               taken: theta, moments, running statistics and step count stay, bit for bit;
///           (2) nothing is allocated from the second step on a batch of one size on, but for two numbers a
///               column of the gradient where it is clipped.
/// Tested    tests/train/train_test.cpp
template <LayerMaps Net, class Loss, Backend B, OptimiserOn<B, typename Net::Parameters> O>
StepResult<typename B::Scalar> train_step(B& backend, Net const& net, Loss const& loss, O const& optimiser,
                                          double rate, typename Net::Parameters& theta,
                                          TrainingState<Net>& state, ConstView<B> x, ConstView<B> targets,
                                          Draw draw, std::optional<Clip> const& clip = {}) {
  bool (*trains)(Role const&) = Sgd::everything;
  if constexpr (requires { optimiser.trains; }) trains = optimiser.trains;
  auto const update = [&](double scale) {
    optimiser.step(backend, theta, state.gradient, std::span<typename Net::Parameters>(state.moments), rate,
                   state.step, scale);
  };
  return detail::take_step(backend, net, loss, update, trains, theta, state, x, targets, draw, clip);
}

}  // namespace detrame::inline DETRAME_ABI
