// SPDX-License-Identifier: Apache-2.0
//
// A network as one type, trained by Algorithm 2 on points of two spirals.
#include <cmath>
#include <detrame/detrame.hpp>
#include <iostream>

using namespace detrame;

using Prox = QMetricReLU<Full, Unroll<3>>;                         // three updates of eq. (20)
using Design = Stack<Dense<32>, Prox, Dense<32>, Prox, Dense<2>>;  // no shapes, no backend
using Net = Bind<Design, Shape{2}, Cpu<float>>;                    // the same, for points of the plane

// using Wrong = Bind<Repeat<3, Dense<5>>, Shape{2}, Cpu<float>>;  // refused: a block must keep its shape

int main() {
  Cpu<float> cpu(1);
  std::vector<int> labels;
  auto const x = host_matrix<float>(2, 400, [&](Index i, Index j) {
    if (i == 0) labels.push_back(static_cast<int>(j % 2));
    float const turn = 3.f * static_cast<float>(j) / 400.f;
    float const angle = 3.14159f * (turn + static_cast<float>(j % 2));
    return (0.2f + turn / 3.f) * (i == 0 ? std::cos(angle) : std::sin(angle));
  });
  Dataset<Cpu<float>> const data = dataset(cpu, Shape{2}, x, labels, 2);

  Net const net;
  auto theta = net.parameters(cpu);
  initialise(cpu, theta, ReluStart(), 1);
  std::cout << parameter_count(theta) << " parameters:";
  visit([](std::string_view path, Role const&,
           auto const& p) { std::cout << ' ' << path << ' ' << p.rows() << 'x' << p.cols(); },
        theta);
  std::cout << '\n';

  TrainingOptions options{.epochs = 200,
                          .schedule = step_schedule(.05, .2, 200, {.6, .8}),
                          .optimiser = Sgd{.decays = Sgd::weights_only}};
  options.on_epoch = [](FitRecord const& record) {
    EpochReport const& epoch = record.history.back();
    if (epoch.number % 50 == 0) std::cout << "epoch " << epoch.number << ": loss " << epoch.loss << '\n';
    return true;
  };
  auto const trained = fit(cpu, net, theta, Batches(cpu, data, {.size = 50}), options);
  auto const result = evaluate(cpu, net, SoftmaxCrossEntropy(), theta, data);
  std::cout << "accuracy on the training points: " << result.accuracy << "\n\nclasses in the plane:\n";

  with_inference(cpu, net, theta, [&](auto const& map) {  // one point a call: theta is prepared once
    Cpu<float>::Matrix point(2, 1), scores(2, 1);
    for (int row = 0; row < 24; ++row, std::cout << '\n')
      for (int col = 0; col < 48; ++col) {
        point << 1.3f * (float(col) / 23.5f - 1), 1.3f * (1 - float(row) / 11.5f);
        map(point, scores);
        std::cout << (scores(0) > scores(1) ? 'o' : '.');
      }
  });
  return trained.status == FitStatus::finished && result.accuracy > 0.9 ? 0 : 1;
}
