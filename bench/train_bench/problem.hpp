// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "detrame/layer/inference_pullback.hpp"
#include "detrame/loss/softmax_cross_entropy.hpp"
#include "detrame/network/initialise.hpp"
#include "detrame/train/algorithm2.hpp"

namespace bench {

using namespace detrame;

inline constexpr Shape image{3, 32, 32};

/// A network of random parameters on a backend, N random images in 10 classes, and what a step writes.
template <Backend B, Recipe R>
struct TrainProblem {
  using Net = Bind<R, image, B>;
  static constexpr Index sites = Net::input.sites(), classes = Net::output.channels;
  static_assert(Net::output == Shape{10});

  B& backend;
  Net net;
  typename Net::Parameters theta;
  TrainingState<Net> state;
  std::vector<int> labels;
  Matrix<B> x, targets, y;  // 3 x (sites N), classes x N, classes x N
  Matrix<B> x_bar;          // 3 x (sites N), where it is asked for

  TrainProblem(B& backend_, Index N)
      : backend(backend_),
        theta(net.parameters(backend)),
        state(training_state(backend, net)),
        labels(static_cast<std::size_t>(N)),
        y(zeros(backend, classes, N)) {
    initialise(backend, theta, RandomStart(), 1);
    for (std::size_t j = 0; j < labels.size(); ++j)
      labels[j] = static_cast<int>(Random(1, 1).below(classes, j));
    x = to_device(backend, images());
    targets = one_hot(backend, labels, classes);
  }

  /// Algorithm 2 as `fit` takes its steps, on the same batch each time.
  float step(bool dropping = true) {
    Draw const draw{.seed = 1, .step = state.step, .dropping = dropping};
    return train_step(backend, net, SoftmaxCrossEntropy(), Sgd(), .01, theta, state, ConstView<B>(x),
                      ConstView<B>(targets), draw)
        .loss;
  }

  /// A forward in training and its pullback, with `targets` for y_bar.
  void gradient() {
    net.forward(backend, theta, ConstView<B>(x), state.tape, {.seed = 1});
    net.pullback(backend, theta, state.tape, ConstView<B>(targets), state.gradient);
  }

  /// The same of the inference map, in x alone: what a step of an attack costs.
  void input_gradient() {
    resize(backend, x_bar, x.rows(), x.cols());
    inference_forward(backend, net, theta, ConstView<B>(x), state.tape);
    inference_pullback(backend, net, theta, state.tape, ConstView<B>(targets), View<B>(x_bar));
  }

  void predict() { net.predict(backend, theta, ConstView<B>(x), View<B>(y)); }

  /// For compare_pytorch.py: the number of trainable parameters as a 64-bit integer; as floats theta in the
  /// order of `visit`, x, all by columns, and the labels. Prints the losses of `count` steps that drop
  /// nothing, each before its step.
  static void steps(B& backend, std::string const& path, Index N, int count) {
    TrainProblem p(backend, N);
    std::vector<float> numbers;
    auto const append = [&](HostMatrix<float> const& m) {
      numbers.insert(numbers.end(), m.data(), m.data() + m.rows() * m.cols());
    };
    visit(
        [&](std::string_view, Role const& role, auto& m) {
          if (role.name == "weight")  // else nothing of an image arrives at the end of nine layers
            each(backend.lane(), formula::Scale<float>{std::sqrt(6.f)}, m);
          append(to_host(backend, m));
        },
        p.theta);
    append(p.images());
    numbers.insert(numbers.end(), p.labels.begin(), p.labels.end());
    std::int64_t const parameters = parameter_count(p.theta);
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<char const*>(&parameters), sizeof parameters);
    file.write(reinterpret_cast<char const*>(numbers.data()),
               static_cast<std::streamsize>(sizeof(float) * numbers.size()));
    if (!file.flush()) throw FormatError(message("train_bench: ", path, " cannot be written"));
    for (int i = 0; i < count; ++i) std::printf("%.9g\n", double{p.step(false)});
  }

 private:
  HostMatrix<float> images() const {
    constexpr Index channels = Net::input.channels;
    Random const pixel(1, 0);
    return host_matrix<float>(channels, sites * static_cast<Index>(labels.size()), [&](Index i, Index j) {
      return 2 * pixel.uniform<float>(static_cast<std::uint64_t>(i + channels * j)) - 1;
    });
  }
};

/// Flops of the products alone: those of one prediction of N images, and three times as many of a step.
template <class Net>
double product_flops(Index N) {
  return 2 * static_cast<double>(N) * static_cast<double>(multiply_adds<Net>());
}

}  // namespace bench
