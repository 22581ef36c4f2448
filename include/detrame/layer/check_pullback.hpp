// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "detrame/layer/concept.hpp"

namespace detrame {

/// What check_pullback found for one argument of a layer in one direction.
struct PullbackCheck {
  std::string argument;  ///< "x", or the path of a parameter
  double error;          ///< |<f_bar, d> - central difference|, relative to |y_bar| |df|
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
};

namespace detail {

/// Host copies of all entries of a few matrices, moved along a direction and back.
inline double inner(HostMatrix<double> const& u, HostMatrix<double> const& v) {
  double sum = 0;
  for (Index j = 0; j < u.cols(); ++j)
    for (Index i = 0; i < u.rows(); ++i) sum += u(i, j) * v(i, j);
  return sum;
}
inline HostMatrix<double> along(HostMatrix<double> const& u, double step, HostMatrix<double> const& d) {
  return host_matrix<double>(u.rows(), u.cols(), [&](Index i, Index j) { return u(i, j) + step * d(i, j); });
}
inline HostMatrix<double> normal_matrix(Random const& random, Index rows, Index cols) {
  return host_matrix<double>(rows, cols, [&](Index i, Index j) {
    return random.normal<double>(static_cast<std::uint64_t>(i + j * rows));
  });
}

template <class L>
struct PullbackProbe {
  using B = typename L::Backend;
  B& backend;
  L const& layer;
  Draw draw;

  struct Value {
    HostMatrix<double> y;
    std::vector<bool> support;
  };

  Value operator()(typename L::Parameters const& theta, typename B::Matrix const& x) const {
    typename L::Tape tape;
    Value value{to_host(backend, layer.forward(backend, theta, x, tape, draw)), {}};
    if constexpr (requires { L::visit_states([](auto const&) {}, tape); })
      L::visit_states(
          [&](auto const& state) {
            HostMatrix<double> const u = to_host(backend, state);
            for (Index j = 0; j < u.cols(); ++j)
              for (Index i = 0; i < u.rows(); ++i) value.support.push_back(u(i, j) != 0);
          },
          tape);
    return value;
  }
};

}  // namespace detail

/// Compares a layer's pullback with central differences of its forward map, argument by argument: for a random
/// y_bar and random directions d,
///
///   <f_bar, d>   against   <y_bar, f(. + h d) - f(. - h d)> / (2 h)
///
/// for x and for each parameter. Also checks that pullback *adds* to theta_bar.
///
/// Requires  double. x and theta of size about 1, away from kinks: a layer that has `visit_states` (the states
///           whose zeros are its kinks) has its support compared at both points, one that has not is trusted.
/// Ensures   one entry for each argument and direction; the error of a right pullback is O(h^2) + rounding / h.
/// Tested    tests/layer/layer_test.cpp, where a wrong pullback is told from a right one
template <Layer L>
std::vector<PullbackCheck> check_pullback(typename L::Backend& backend, L const& layer,
                                          typename L::Parameters const& theta,
                                          typename L::Backend::Matrix const& x,
                                          PullbackCheckOptions const& options = {}) {
  static_assert(std::is_same_v<typename L::Backend::Scalar, double>,
                "check_pullback: differences need double; compare a float pullback with the double one");
  using Host = HostMatrix<double>;
  detail::PullbackProbe<L> const f{backend, layer, options.draw};
  std::vector<PullbackCheck> checks;
  std::uint64_t stream = 0;

  for (int direction = 0; direction < options.directions; ++direction) {
    typename L::Tape tape;
    auto const y = layer.forward(backend, theta, x, tape, options.draw);
    Host const y_bar = detail::normal_matrix(Random(options.seed, ++stream), y.rows(), y.cols());
    auto theta_bar = layer.parameters(backend);
    visit([&](std::string_view, Kind, auto& g) { each(backend.lane(), formula::Fill<double>{1}, g); }, theta_bar);
    auto const y_bar_there = to_device(backend, y_bar);
    Host const x_bar = to_host(backend, layer.pullback(backend, theta, tape, y_bar_there, theta_bar));

    // moved(step) gives f with the argument moved along d; gradient is the argument's cotangent.
    auto const compare = [&](std::string_view name, Host const& gradient, Host const& d, auto const& moved) {
      auto const up = moved(options.step), down = moved(-options.step);
      Host const df = detail::along(up.y, -1, down.y);
      double const numeric = detail::inner(y_bar, df) / (2 * options.step);
      double const analytic = detail::inner(gradient, d);
      double const norms = std::sqrt(detail::inner(y_bar, y_bar) * detail::inner(df, df)) / (2 * options.step) +
                           std::sqrt(detail::inner(gradient, gradient) * detail::inner(d, d));
      double const error = std::abs(numeric - analytic) / std::max(norms, 1e-300);
      checks.push_back({std::string(name), error, 1e-8, up.support == down.support});
    };

    Host const x_here = to_host(backend, x);
    Host const dx = detail::normal_matrix(Random(options.seed, ++stream), x.rows(), x.cols());
    compare("x", x_bar, dx, [&](double step) {
      return f(theta, to_device(backend, detail::along(x_here, step, dx)));
    });
    visit(
        [&](std::string_view path, Kind, auto const& p, auto const& g) {
          Host gradient = to_host(backend, g);
          gradient = detail::along(gradient, -1, Host(gradient.rows(), gradient.cols(), 1.));
          Host const here = to_host(backend, p);
          Host const d = detail::normal_matrix(Random(options.seed, ++stream), p.rows(), p.cols());
          compare(path, gradient, d, [&](double step) {
            auto moved = theta;
            visit(
                [&](std::string_view other, Kind, auto& q) {
                  if (other == path) q = to_device(backend, detail::along(here, step, d));
                },
                moved);
            return f(moved, x);
          });
        },
        theta, std::as_const(theta_bar));
  }
  return checks;
}

}  // namespace detrame
