// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <limits>

#include "demo.hpp"
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/dense.hpp"
#include "detrame/network/initialise.hpp"
#include "detrame/network/stack.hpp"
#include "detrame/train/fit.hpp"

namespace demo {

using namespace detrame;

/// The three networks: codes of 96 and 64 entries, made by `First` and `Second`, and a linear classifier.
template <class... Codes>
using Network = Bind<Stack<Codes..., Dense<10>>, Shape{64}, Cpu<float>>;

template <class Net, class Start>
Run train_one(Digits const& digits, Start const& start, double rate, int epochs, std::uint64_t seed) {
  Cpu<float> cpu(1);
  Net const net;
  auto const data = [&](LabelledImages<float> const& d) {
    return dataset(cpu, d.shape, d.images, d.labels, d.classes);
  };
  auto const train = data(digits.train), validation = data(digits.validation), test = data(digits.test);
  auto theta = net.parameters(cpu);
  initialise(cpu, theta, start, seed);

  TrainingOptions const options{.epochs = epochs,
                                .schedule = step_schedule(rate, .2, epochs, {.3, .6, .8}),
                                .optimiser = Sgd{.trains = Sgd::not_the_problem},
                                .seed = seed};
  Run run{};
  auto const begin = std::chrono::steady_clock::now();
  auto const trained = fit(cpu, net, theta, Batches(cpu, train, {.size = 128, .seed = seed}), options);
  run.loss = trained.status == FitStatus::finished ? trained.record.history.back().loss
                                                   : std::numeric_limits<double>::quiet_NaN();
  run.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  run.validation = evaluate(cpu, net, SoftmaxCrossEntropy(), theta, validation).accuracy;
  run.test = evaluate(cpu, net, SoftmaxCrossEntropy(), theta, test).accuracy;
  return run;
}

}  // namespace demo
