// SPDX-License-Identifier: Apache-2.0
//
// A layer of your own, with a kind of parameter of your own: y = s o x, one scale a channel, kept in [0, 1].
// Its pullbacks are checked against differences; then it stands in a Stack like any other, and is trained.
#include <detrame/detrame.hpp>
#include <iostream>

using namespace detrame;

/// All that others need to know of s: the interval that it is kept in, that weight decay passes it over, and
/// how it starts: at 1/2, under RandomStart anywhere in [1/4, 3/4]. `.trained = false` would leave it there.
struct Scale : Role {
  constexpr Scale() : Role{.name = "scale", .initial = 0.5, .low = 0, .high = 1, .decays = false} {}

  using Role::start;
  template <class Scalar>
  void start(HostMatrix<Scalar>& p, Random const& random, RandomStart const&) const {
    for (Index i = 0; i < p.rows(); ++i)
      p(i, 0) = Scalar(0.25) + random.uniform<Scalar>(static_cast<std::uint64_t>(i)) / 2;
  }
};

struct Scales {
  static constexpr Shape output(Shape in) { return in; }

  template <Shape in, Backend B>
  struct Layer {
    using Backend = B;
    static constexpr Shape input = in, output = in;

    struct Parameters {
      Matrix<B> s;  // channels x 1
      template <class F, class Theta, class... Rest>
      static void visit(F&& f, Path const& path, Theta&& theta, Rest&&... rest) {
        f(path / "s", Scale(), theta.s, rest.s...);
      }
    };
    struct Tape {
      ConstView<B> x{};
      Matrix<B> y;  // pullback writes x_bar over it
    };

    Parameters parameters(B& backend) const { return {zeros(backend, in.channels, 1)}; }

    ConstView<B> forward(B& backend, Parameters const& theta, ConstView<B> x, Tape& tape, Draw) const {
      resize(backend, tape.y, x.rows(), x.cols());
      tape.x = x;
      predict(backend, theta, x, tape.y);
      return tape.y;
    }

    void predict(B& backend, Parameters const& theta, ConstView<B> x, View<B> y) const {
      auto const times = [](auto& out, auto value, auto s) { out = s * value; };
      each(backend.lane(), times, y, x, PerRow{ConstView<B>(theta.s)});
    }

    ConstView<B> pullback(B& backend, Parameters const& theta, Tape& tape, ConstView<B> y_bar,
                          Parameters& theta_bar) const {
      require_cotangent("Scales", tape.y, y_bar);
      row_sums(backend.lane(), theta_bar.s, formula::Product(), y_bar, tape.x);  // s_bar += rowsum(y_bar o x)
      predict(backend, theta, y_bar, tape.y);                                    // x_bar = s o y_bar
      return tape.y;
    }

    // The gradient of predict in x alone, which leaves the tape as it is: for attacks on a network.
    void inference_pullback(B& backend, Parameters const& theta, Tape const& tape, ConstView<B> y_bar,
                            View<B> x_bar) const {
      require_cotangent("Scales", tape.y, y_bar);
      predict(backend, theta, y_bar, x_bar);
    }
  };
};

int main() {
  Cpu<double> cpu(1);
  using Net = Bind<Stack<Dense<6>, Scales, QMetricReLU<Full, Unroll<2>>>, Shape{4}, Cpu<double>>;
  Net const net;
  auto theta = net.parameters(cpu);
  initialise(cpu, theta, RandomStart(), 7);
  std::srand(1);
  Eigen::MatrixXd const x = Eigen::MatrixXd::Random(4, 9);

  bool right = true;
  for (auto const& checks : {check_pullback(cpu, net, theta, x, {.directions = 1}),
                             check_inference_pullback(cpu, net, theta, x, {.directions = 1})})
    for (PullbackCheck const& check : checks) {
      std::cout << check.argument << (check.agrees() ? ": agrees\n" : ": DOES NOT AGREE\n");
      right = right && check.agrees();
    }

  auto state = training_state(cpu, net);
  Eigen::MatrixXd const targets = Eigen::MatrixXd::Constant(6, 9, 2);  // more than scales in [0, 1] can give
  std::cout << "s before: " << leaf<1>(theta).s.transpose();
  for (int step = 0; step < 40; ++step)
    train_step(cpu, net, SquaredError(), Sgd(), 0.1, theta, state, ConstView<Cpu<double>>(x),
               ConstView<Cpu<double>>(targets), Draw{});
  Eigen::MatrixXd const& s = leaf<1>(theta).s;
  std::cout << "\nafter 40 steps, kept in [0, 1]: " << s.transpose() << '\n';
  return right && s.minCoeff() >= 0 && s.maxCoeff() == 1 ? 0 : 1;
}
