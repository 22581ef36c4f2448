// SPDX-License-Identifier: Apache-2.0
//
// A layer of your own: y = s o x, one scale a channel. Its pullback is checked against differences, and it
// then stands in a Stack like any other.
#include <detrame/detrame.hpp>
#include <iostream>

using namespace detrame;

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
        f(path / "s", Kind::weight, theta.s, rest.s...);
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
  for (PullbackCheck const& check : check_pullback(cpu, net, theta, x, {.directions = 1})) {
    std::cout << check.argument << (check.agrees() ? ": agrees\n" : ": DOES NOT AGREE\n");
    right = right && check.agrees();
  }
  return right ? 0 : 1;
}
