// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "laws/any_layer.hpp"

namespace detrame::test {

/// The largest |f(x) - f(x')| / |x - x'| that a search finds on pairs of one sample: at random points, near
/// and far, in directions that the adjoint at x proposes (power iteration on the Jacobian). Never above the
/// Lipschitz constant but by rounding.
inline double largest_expansion(laws::AnyLayer<double>& layer, std::vector<HostMatrix<double>> const& theta,
                                std::uint64_t n, int points = 40) {
  using Host = HostMatrix<double>;
  auto const norm = [](Host const& A) { return std::sqrt(inner(A, A)); };
  Index const sites = layer.input.sites();
  double largest = 0;
  for (int point = 0; point < points; ++point) {
    double const size = std::ldexp(1., point % 6 - 2), step = point % 2 == 0 ? 1e-4 * size : size;
    auto const place = n + 100 * static_cast<std::uint64_t>(point);
    Host const x = mapped([&](double t) { return size * t; },
                          normal_matrix<double>(layer.input.channels, sites, seed(place)));
    Host v = normal_matrix<double>(layer.input.channels, sites, seed(place + 50));
    for (int round = 0; round < 8; ++round) {
      double const length = norm(v);
      if (!(length > 0)) break;
      Host const moved = mapped([&](double a, double b) { return a + step / length * b; }, x, v);
      Host const there = layer.forward(theta, moved, {}), here = layer.forward(theta, x, {});
      Host const w = mapped([](double a, double b) { return a - b; }, there, here);
      Host const dx = mapped([](double a, double b) { return a - b; }, moved, x);
      largest = std::max(largest, norm(w) / norm(dx));
      std::vector<Host> theta_bar;
      for (Host const& p : theta) theta_bar.emplace_back(p.rows(), p.cols());
      v = layer.pullback(theta, w, theta_bar);
    }
  }
  return largest;
}

}  // namespace detrame::test
