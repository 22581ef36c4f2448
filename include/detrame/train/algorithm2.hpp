// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "detrame/optim/concept.hpp"
#include "detrame/optim/schedule.hpp"
#include "detrame/optim/sgd.hpp"
#include "detrame/train/dataset.hpp"

namespace detrame::inline DETRAME_ABI {

/// What a training step writes besides theta: allocated in the first step, kept by the caller.
template <LayerMaps Net>
struct TrainingState {
  typename Net::Parameters gradient;
  std::vector<typename Net::Parameters> moments;  ///< what the optimiser remembers
  typename Net::Tape tape;
  Matrix<typename Net::Backend> x, targets, y_bar;
  Matrix<typename Net::Backend> scores;  ///< of the last step, before it
  std::uint64_t step = 0;
};

/// A state with moments that are zero, as many as the optimiser has.
template <LayerMaps Net, class Optimiser = Sgd>
TrainingState<Net> training_state(typename Net::Backend& backend, Net const& net, Optimiser const& = {}) {
  TrainingState<Net> state;
  state.gradient = net.parameters(backend);
  for (std::size_t n = 0; n < Optimiser::moments.size(); ++n)
    state.moments.push_back(net.parameters(backend));
  return state;
}

/// One step of Algorithm 2 on one batch: forward, loss, pullback, a step of the optimiser with the       (F3)
/// projections; then running statistics take the batch in. The state is that of the optimiser's kind.
/// Returns the mean loss before the step.
template <LayerMaps Net, class Loss, Backend B, OptimiserOn<B, typename Net::Parameters> Optimiser>
typename B::Scalar train_step(B& backend, Net const& net, Loss const& loss, Optimiser const& optimiser,
                              double rate, typename Net::Parameters& theta, TrainingState<Net>& state,
                              ConstView<B> x, ConstView<B> targets, Draw draw) {
  using Scalar = typename B::Scalar;
  visit([&](std::string_view, Role const&, auto& g) { each(backend.lane(), formula::Fill<Scalar>{0}, g); },
        state.gradient);
  auto const y = net.forward(backend, theta, x, state.tape, draw);
  for (auto* const matrix : {&state.scores, &state.y_bar}) resize(backend, *matrix, y.rows(), y.cols());
  each(backend.lane(), formula::Assign(), state.scores, y);
  Scalar const value = loss.value(backend, y, targets, state.y_bar);
  pullback_parameters(backend, net, theta, state.tape, state.y_bar, state.gradient);
  optimiser.step(backend, theta, state.gradient, std::span<typename Net::Parameters>(state.moments), rate,
                 state.step, 1.);
  absorb(backend, net, theta, state.tape);
  ++state.step;
  return value;
}

struct TrainingOptions {
  int epochs;
  Index batch = 128;
  StepSchedule schedule;
  Sgd sgd{};
  std::uint64_t seed = 0;
};

struct Epoch {
  int number;  ///< counted from 0
  double rate;
  double loss;  ///< mean over the epoch's batches, each before its step
};

/// Algorithm 2: epochs of shuffled batches. The last batch of an epoch may be smaller. `observe(epoch)` is
/// called after each; where it returns false, training ends.
///
/// Requires  epochs >= 0, batch >= 1, else DomainError; the data's shape is the network's, else ShapeError.
/// Ensures   the result is a function of theta, data, options: not of the number of threads.
template <LayerMaps Net, class Loss, Backend B, class Observe>
void fit(B& backend, Net const& net, Loss const& loss, typename Net::Parameters& theta,
         Dataset<B> const& data, TrainingOptions const& options, Observe&& observe) {
  require_at_least("fit", "epochs", options.epochs, 0);
  require_at_least("fit", "batch", options.batch, Index{1});
  require_data("fit", net, data);
  TrainingState<Net> state = training_state(backend, net);
  std::vector<Index> order(static_cast<std::size_t>(data.samples())), sites;
  for (int epoch = 0; epoch < options.epochs; ++epoch) {
    shuffle(Random(options.seed, static_cast<std::uint64_t>(epoch)), order);
    double const rate = options.schedule.at(epoch);
    double total = 0;
    for (Index first = 0; first < data.samples(); first += options.batch) {
      Index const n = std::min(options.batch, data.samples() - first);
      std::span<Index const> const samples(order.data() + first, static_cast<std::size_t>(n));
      gather_samples(backend, data, samples, sites, state.x, state.targets);
      Draw const draw{.seed = options.seed, .step = state.step, .first_sample = first};
      total += static_cast<double>(train_step(backend, net, loss, options.sgd, rate, theta, state,
                                              ConstView<B>(state.x), state.targets, draw)) *
               static_cast<double>(n);
    }
    if (!observe(Epoch{epoch, rate, total / static_cast<double>(std::max<Index>(data.samples(), 1))})) return;
  }
}

}  // namespace detrame::inline DETRAME_ABI
