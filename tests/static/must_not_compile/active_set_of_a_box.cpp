// expect: exact: the active set takes penalties whose only kink is 0
// lines: 80
// SPDX-License-Identifier: Apache-2.0
#include "detrame/detrame.hpp"

using namespace detrame;

struct BoxRule {
  BoxRule scaled(int) const { return *this; }
  double operator()(double t, double) const { return t < 0 ? 0 : t > 1 ? 1 : t; }
  double slope(double u) const { return u > 0 && u < 1; }
  double subgradient(double u, double g, double) const {
    return (u <= 0 && g > 0) || (u >= 1 && g < 0) ? 0 : g;
  }
  double kink(double, double p) const { return p < 0 ? 0 : 1; }
  double margin(double u, double g, double) const { return slope(u) == 0 ? std::abs(g) : std::min(u, 1 - u); }
};

struct Box {
  using Backend = Cpu<double>;
  using Activation = BoxRule;
  Matrix<Backend> zero;
  Index dim() const { return zero.rows(); }
  ConstView<Backend> lambda() const { return zero; }
  ConstView<Backend> beta() const { return zero; }
  Activation activation() const { return {}; }
  void value(Backend::Lane&, ConstView<Backend>, View<Backend>) const {}
};

int main() {
  Cpu<double> cpu;
  Eigen::MatrixXd const Q = Eigen::MatrixXd::Identity(2, 2);
  exact_prox(cpu, DenseMetric<Cpu<double>>(cpu, Q), Box{Eigen::MatrixXd::Zero(2, 1)}, Q);
}
