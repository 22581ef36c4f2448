// SPDX-License-Identifier: Apache-2.0
//
// One program, both backends: a network trained for a few steps on the CPU and on a GPU,
// from the same parameters.
#include <detrame/cuda.hpp>
#include <iostream>

using namespace detrame;

template <int T>  // T updates of eq. (20) in place of a ReLU
using Design =
    Stack<Convolution<8, 3>, QMetricReLU<Convolutional<3>, Unroll<T>>, GlobalAveragePool, Dense<2>>;
constexpr Shape image{1, 6, 6};
constexpr Index count = 32;  // images

/// Scores of the images after some steps of Algorithm 2 from `start`: the same text for any backend.
template <class B>
HostMatrix<float> scores_after_training(B& backend, HostParameters<float> const& start,
                                        HostMatrix<float> const& images, std::vector<int> const& labels) {
  Bind<Design<2>, image, B> const net;
  auto theta = to_device(backend, net, start);
  auto state = training_state(backend, net);
  auto const x = to_device(backend, images);
  auto const targets = one_hot(backend, labels, 2);
  for (int step = 0; step < 5; ++step) {
    float const loss = train_step(backend, net, SoftmaxCrossEntropy(), Sgd(), .1, theta, state,
                                  ConstView<B>(x), ConstView<B>(targets), Draw())
                           .loss;
    std::cout << "  step " << step + 1 << ": loss " << loss << '\n';
  }
  return to_host(backend, predict(backend, net, theta, x));
}

int main() {
  if (!Cuda<float>::available()) {
    std::cout << "no device to run on\n";
    return 77;  // a skipped test
  }
  std::vector<int> labels;  // 1: the bright half is the upper one
  for (int n = 0; n < count; ++n) labels.push_back(n % 2);
  Random const random(1, 0);
  auto const images = host_matrix<float>(1, image.sites() * count, [&](Index, Index j) {
    bool const upper = j % image.sites() < image.sites() / 2, bright = upper == (j / image.sites() % 2 == 1);
    return (bright ? 1.f : 0.f) + 0.3f * random.normal<float>(static_cast<std::uint64_t>(j));
  });

  Cpu<float> cpu;
  Cuda<float> gpu;
  auto theta = Bind<Design<2>, image, Cpu<float>>().parameters(cpu);
  initialise(cpu, theta, ReluStart(), 1);
  auto const start = to_host(cpu, theta);

  std::cout << "on the CPU\n";
  auto const here = scores_after_training(cpu, start, images, labels);
  std::cout << "on the device\n";
  auto const there = scores_after_training(gpu, start, images, labels);

  float difference = 0, largest = 0;
  for (Index j = 0; j < count; ++j)
    for (Index i = 0; i < 2; ++i) {
      difference = std::max(difference, std::abs(here(i, j) - there(i, j)));
      largest = std::max(largest, std::abs(here(i, j)));
    }
  std::cout << "largest score " << largest << ", largest difference " << difference << '\n';
  return difference <= 1e-4f * largest ? 0 : 1;
}
