// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

#include "demo.hpp"
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/dense.hpp"
#include "detrame/loss/softmax_cross_entropy.hpp"
#include "detrame/network/initialise.hpp"
#include "detrame/network/stack.hpp"
#include "detrame/train/algorithm2.hpp"
#include "detrame/train/evaluate.hpp"

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

  TrainingOptions options{
      .epochs = epochs, .batch = 128, .schedule = step_schedule(rate, .2, epochs, {.3, .6, .8})};
  options.seed = seed;
  options.sgd.trains = Sgd::not_the_problem;
  Run run{};
  auto const begin = std::chrono::steady_clock::now();
  fit(cpu, net, SoftmaxCrossEntropy(), theta, train, options, [&](Epoch const& epoch) {
    run.loss = epoch.loss;
    return std::isfinite(epoch.loss);  // from NaN nothing comes back
  });
  run.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  run.validation = evaluate(cpu, net, SoftmaxCrossEntropy(), theta, validation).accuracy;
  run.test = evaluate(cpu, net, SoftmaxCrossEntropy(), theta, test).accuracy;
  return run;
}

}  // namespace demo
