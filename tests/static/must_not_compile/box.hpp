// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/detrame.hpp"

using namespace detrame;

/// A penalty whose rule has data: the indicator of [low, high].
struct BoxRule {
  double low, high;
  BoxRule scaled(int power) const { return {std::ldexp(low, power), std::ldexp(high, power)}; }
  double operator()(double t, double) const { return t < low ? low : t > high ? high : t; }
  double slope(double u) const { return u > low && u < high; }
  double subgradient(double u, double g, double) const {
    return (u <= low && g > 0) || (u >= high && g < 0) ? 0 : g;
  }
  double kink(double, double p) const { return p < 0 ? low : high; }
  double margin(double u, double g, double) const {
    return slope(u) == 0 ? std::abs(g) : std::min(u - low, high - u);
  }
};

struct Box {
  using Backend = Cpu<double>;
  using Activation = BoxRule;
  Activation rule;
  Matrix<Backend> zero;
  Index dim() const { return zero.rows(); }
  ConstView<Backend> lambda() const { return zero; }
  ConstView<Backend> beta() const { return zero; }
  Activation activation() const { return rule; }
  void value(Backend::Lane&, ConstView<Backend>, View<Backend>) const {}
};
