// SPDX-License-Identifier: Apache-2.0
//
// Gradients by layer of 2 to 12 equal layers on the digits, before any training: deep dictionaries solved
// exactly, ReLU networks and DeTraMe-Nets (T = 3) under each start. Prints CSV.
//   07_gradients [SEEDS]
#include <detrame/data/labelled.hpp>
#include <detrame/detrame.hpp>
#include <iostream>

using namespace detrame;
using B = Cpu<double>;

namespace {

constexpr Index width = 64, images = 100;
using Exactly = Dictionary<width, Exact>;
using Rectified = Stack<Dense<width>, ReLU>;
using Proximal = Stack<Dense<width>, QMetricReLU<Full, Unroll<3>>>;
using Classifier = Bind<Dense<10>, Shape{width}, B>;

double norm(B::Matrix const& x) { return x.norm(); }

/// Layer after layer, of one type: so its number may be chosen at run time.
template <class Block, StartPolicy Start>
void measure(B& cpu, LabelledImages<double> const& data, char const* network, char const* start_name,
             Start const& start, int seeds) {
  using Net = Bind<Block, Shape{width}, B>;
  Net const layer;
  Classifier const last;
  B::Matrix const x = to_device(cpu, data.images), t = one_hot(cpu, data.labels, 10);
  for (std::size_t depth = 2; depth <= 12; depth += 2)
    for (int seed = 1; seed <= seeds; ++seed) {
      std::vector<typename Net::Parameters> theta(depth, layer.parameters(cpu)), theta_bar = theta;
      std::vector<typename Net::Tape> tape(depth);
      std::vector<double> inputs, input_gradients(depth);  // norms of what a layer reads, and of its gradient
      ConstView<B> u = x;
      for (std::size_t l = 0; l < depth; ++l) {
        initialise(cpu, theta[l], start, 1000 * static_cast<std::uint64_t>(seed) + l);
        inputs.push_back(norm(to_device(cpu, to_host(cpu, u))));
        u = layer.forward(cpu, theta[l], u, tape[l], {});
      }
      auto theta_last = last.parameters(cpu), theta_last_bar = theta_last;
      Classifier::Tape tape_last;
      initialise(cpu, theta_last, start, static_cast<std::uint64_t>(seed));
      ConstView<B> const y = last.forward(cpu, theta_last, u, tape_last, {});
      B::Matrix y_bar = zeros(cpu, y.rows(), y.cols());
      SoftmaxCrossEntropy().value(cpu, y, ConstView<B>(t), View<B>(y_bar));
      ConstView<B> u_bar = last.pullback(cpu, theta_last, tape_last, y_bar, theta_last_bar);
      for (std::size_t l = depth; l-- > 0;) {
        u_bar = layer.pullback(cpu, theta[l], tape[l], u_bar, theta_bar[l]);
        input_gradients[l] = norm(to_device(cpu, to_host(cpu, u_bar)));
      }
      for (std::size_t l = 0; l < depth; ++l) {
        double weight = 0;
        visit([&](std::string_view, Role const& role,
                  auto const& p) { weight += role.weight && role.taps == 0 ? norm(p) : 0; },
              theta_bar[l]);
        std::cout << network << ',' << start_name << ',' << depth << ',' << seed << ',' << l + 1 << ','
                  << weight << ',' << input_gradients[l] << ',' << inputs[l] << '\n';
      }
    }
}

}  // namespace

int main(int argc, char** argv) {
  int const seeds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 1;
  B cpu(1);
  std::string const folder = DETRAME_DATA_DIR "/digits/digits-";
  auto const data = flatten(subset(
      read_labelled_images<double>(folder + "images-idx3-ubyte", folder + "labels-idx1-ubyte", {16, 10}), 0,
      images));
  std::cout << "network,start,depth,seed,layer,weight_gradient,input_gradient,input\n";
  auto const dictionaries = [&](char const* name, TiedValues const& values) {
    measure<Exactly>(cpu, data, "exact dictionaries", name, ReluStart{values}, seeds);
  };
  dictionaries("default", {});  // alpha 0.5, lambda 0.02
  dictionaries("alpha 0.05", {.alpha = .05, .beta = .001, .lambda = .002});
  dictionaries("alpha 0.01", {.alpha = .01, .beta = .0002, .lambda = .0004});
  auto const both = [&](char const* name, auto const& start) {
    measure<Rectified>(cpu, data, "ReLU", name, start, seeds);
    measure<Proximal>(cpu, data, "DeTraMe", name, start, seeds);
  };
  both("default", ReluStart());
  both("he", HeStart());
  both("algorithm2", Algorithm2Start());
  return std::cout ? 0 : 1;
}
