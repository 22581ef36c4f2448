// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "detrame/layer/inference_pullback.hpp"

namespace detrame::inline DETRAME_ABI {

/// What check_pullback found for one argument of a layer in one direction.
struct PullbackCheck {
  std::string argument;  ///< "x", or the path of a parameter
  double error;          ///< |<f_bar, d> - central difference|, relative to |y_bar| |df| + |f_bar| |d|
  double tolerance;      ///< what the central difference can be wrong by
  bool same_support;     ///< no kink between the two points; where false, the comparison means nothing

  bool agrees() const { return same_support && error <= tolerance; }
  friend std::ostream& operator<<(std::ostream& out, PullbackCheck const& c) {
    return out << c.argument << ": relative error " << c.error << ", tolerance " << c.tolerance
               << (c.same_support ? "" : ", across a kink");
  }
};

struct PullbackCheckOptions {
  int directions = 3;
  std::uint64_t seed = 1;
  double step = 6e-6;  ///< about the cube root of the rounding unit, times inputs of size 1
  Draw draw{};

  /// Some hundred times what a step leaves of functions of size 1: h^2 by truncation, eps / h by rounding.
  double tolerance() const { return 200 * (step * step + std::numeric_limits<double>::epsilon() / step); }
};

namespace detail {

/// A layer at a point, on the host: what works on it is compiled once, not once a layer.
struct PullbackProblem {
  using Host = HostMatrix<double>;
  struct Value {
    Host y;
    std::vector<bool> support;
  };
  std::vector<std::string> names;  ///< "x", then the paths of the parameters
  std::vector<Host> arguments;
  std::function<Value(std::vector<Host> const& arguments)> forward;
  std::function<std::vector<Host>(Host const& y_bar)> pullback;  ///< at the point
};

inline double inner(HostMatrix<double> const& u, HostMatrix<double> const& v) {
  double sum = 0;
  for (Index j = 0; j < u.cols(); ++j)
    for (Index i = 0; i < u.rows(); ++i) sum += u(i, j) * v(i, j);
  return sum;
}
inline HostMatrix<double> along(HostMatrix<double> const& u, double step, HostMatrix<double> const& d) {
  return host_matrix<double>(u.rows(), u.cols(), [&](Index i, Index j) { return u(i, j) + step * d(i, j); });
}
inline HostMatrix<double> normal_like(HostMatrix<double> const& u, Random const& random) {
  return host_matrix<double>(u.rows(), u.cols(), [&](Index i, Index j) {
    return random.normal<double>(static_cast<std::uint64_t>(i + j * u.rows()));
  });
}

/// Whether a state with these kinks, zeros unless a rule says otherwise, is on a line between them.
inline bool on_a_line(double u) { return u != 0; }
template <class Rule>
bool on_a_line(double u, Rule const& rule) {
  return rule.curvature(u) == 0;
}

/// <f_bar, d> against the central difference along d, in one argument.
inline PullbackCheck compare(PullbackProblem const& f, std::size_t argument, HostMatrix<double> const& f_bar,
                             HostMatrix<double> const& y_bar, Random const& random,
                             PullbackCheckOptions const& options) {
  HostMatrix<double> const d = normal_like(f.arguments[argument], random);
  auto const moved = [&](double step) {
    auto arguments = f.arguments;
    arguments[argument] = along(arguments[argument], step, d);
    return f.forward(arguments);
  };
  auto const up = moved(options.step), down = moved(-options.step);
  HostMatrix<double> const df = along(up.y, -1, down.y);
  double const numeric = inner(y_bar, df) / (2 * options.step);
  double const scale = std::sqrt(inner(y_bar, y_bar) * inner(df, df)) / (2 * options.step) +
                       std::sqrt(inner(f_bar, f_bar) * inner(d, d));
  double const error =
      std::abs(numeric - inner(f_bar, d)) / std::max(scale, std::numeric_limits<double>::min());
  return {f.names[argument], error, options.tolerance(), up.support == down.support};
}

inline std::vector<PullbackCheck> check(PullbackProblem const& f, PullbackCheckOptions const& options) {
  std::vector<PullbackCheck> checks;
  std::uint64_t stream = 0;
  HostMatrix<double> const y = f.forward(f.arguments).y;
  for (int direction = 0; direction < options.directions; ++direction) {
    HostMatrix<double> const y_bar = normal_like(y, Random(options.seed, ++stream));
    std::vector<HostMatrix<double>> const f_bar = f.pullback(y_bar);
    for (std::size_t i = 0; i < f.arguments.size(); ++i)
      checks.push_back(compare(f, i, f_bar[i], y_bar, Random(options.seed, ++stream), options));
  }
  return checks;
}

/// The entries of the states whose kinks are a layer's: whether each is on a line.
template <Layer L>
std::vector<bool> support(typename L::Backend& backend, typename L::Tape const& tape) {
  std::vector<bool> on_lines;
  if constexpr (requires { L::visit_states([](auto const&...) {}, tape); })
    L::visit_states(
        [&](auto const& state, auto const&... rule) {
          auto const u = to_host(backend, state);
          for (Index i = 0; i < u.rows() * u.cols(); ++i) on_lines.push_back(on_a_line(u.data()[i], rule...));
        },
        tape);
  return on_lines;
}

/// The parameters with their entries from values[1], values[2], ...
template <Backend B, class Theta>
Theta with_values(B& backend, Theta theta, std::vector<HostMatrix<double>> const& values) {
  visit([&, i = std::size_t(1)](std::string_view, Role const&,
                                auto& p) mutable { p = to_device(backend, values[i++]); },
        theta);
  return theta;
}

}  // namespace detail

/// Compares a layer's pullback with central differences of its forward map, argument by argument: for a
/// random y_bar and random directions d,
///
///   <f_bar, d>   against   <y_bar, f(. + h d) - f(. - h d)> / (2 h)
///
/// for x and for each parameter. Also checks that pullback *adds* to theta_bar.
///
/// Requires  double. x and theta of size about 1, away from kinks: a layer that has `visit_states` (the
///           states whose zeros are its kinks, or the kinks of a rule beside them) has its support compared
///           at both points, one that has not is trusted.
/// Ensures   one entry for each argument and direction; the error of a right pullback is O(h^2) + rounding /
///           h, NaN where anything is.
/// Tested    tests/layer/check_pullback_test.cpp, where a wrong pullback is told from a right one
template <Layer L>
  requires std::same_as<typename L::Backend::Scalar, double>
std::vector<PullbackCheck> check_pullback(typename L::Backend& backend, L const& layer,
                                          typename L::Parameters const& theta,
                                          Matrix<typename L::Backend> const& x,
                                          PullbackCheckOptions const& options = {}) {
  using Host = HostMatrix<double>;
  detail::PullbackProblem f{{"x"}, {to_host(backend, x)}, {}, {}};
  visit(
      [&](std::string_view path, Role const&, auto const& p) {
        f.names.emplace_back(path);
        f.arguments.push_back(to_host(backend, p));
      },
      theta);
  f.forward = [&](std::vector<Host> const& arguments) {
    typename L::Tape tape;
    auto const x_there = to_device(backend, arguments[0]);
    auto const theta_there = detail::with_values(backend, theta, arguments);
    Host const y = to_host(backend, layer.forward(backend, theta_there, x_there, tape, options.draw));
    return detail::PullbackProblem::Value{y, detail::support<L>(backend, tape)};
  };
  f.pullback = [&](Host const& y_bar) {  // theta_bar starts at 1, to which it must be added
    typename L::Tape tape;
    layer.forward(backend, theta, x, tape, options.draw);
    std::vector<Host> ones = f.arguments;
    for (Host& one : ones) one = Host(one.rows(), one.cols(), 1.);
    auto theta_bar = detail::with_values(backend, theta, ones);
    auto const y_bar_there = to_device(backend, y_bar);
    std::vector<Host> f_bar{to_host(backend, layer.pullback(backend, theta, tape, y_bar_there, theta_bar))};
    visit([&](std::string_view, Role const&,
              auto const& g) { f_bar.push_back(detail::along(to_host(backend, g), -1, ones[f_bar.size()])); },
          std::as_const(theta_bar));
    return f_bar;
  };
  return detail::check(f, options);
}

/// The same of inference_pullback and of predict, in x alone.
///
/// Tested    tests/layer/inference_pullback_test.cpp
template <Layer L>
  requires std::same_as<typename L::Backend::Scalar, double>
std::vector<PullbackCheck> check_inference_pullback(typename L::Backend& backend, L const& layer,
                                                    typename L::Parameters const& theta,
                                                    Matrix<typename L::Backend> const& x,
                                                    PullbackCheckOptions const& options = {}) {
  using B = typename L::Backend;
  using Host = HostMatrix<double>;
  typename L::Tape tape;
  detail::PullbackProblem f{{"x"}, {to_host(backend, x)}, {}, {}};
  Matrix<B> y = to_device(backend, Host(L::output.channels, x.cols() / L::input.sites() * L::output.sites()));
  f.forward = [&](std::vector<Host> const& arguments) {
    auto const x_there = to_device(backend, arguments[0]);
    layer.predict(backend, theta, x_there, y);
    inference_forward(backend, layer, theta, x_there, tape);
    return detail::PullbackProblem::Value{to_host(backend, y), detail::support<L>(backend, tape)};
  };
  f.pullback = [&](Host const& y_bar) {
    Matrix<B> x_bar = to_device(backend, f.arguments[0]);
    inference_forward(backend, layer, theta, x, tape);
    inference_pullback(backend, layer, theta, tape, to_device(backend, y_bar), x_bar);
    return std::vector<Host>{to_host(backend, x_bar)};
  };
  return detail::check(f, options);
}

template <Layer L>
std::vector<PullbackCheck> check_pullback(typename L::Backend&, L const&, typename L::Parameters const&,
                                          Matrix<typename L::Backend> const&,
                                          PullbackCheckOptions const& = {}) {
  static_assert(std::is_same_v<typename L::Backend::Scalar, double>,
                "check_pullback: differences need double; compare a float pullback with the double one");
  return {};
}

}  // namespace detrame::inline DETRAME_ABI
