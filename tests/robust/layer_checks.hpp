// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "affine_map.hpp"
#include "detrame/robust/guarantee.hpp"

/// What tests ask of the constant and the deviation of any layer.
namespace detrame::test {

template <class R, Shape in>
using Wide = Bind<R, in, Cpu<double>>;
template <class R, Shape in>
using Narrow = Bind<R, in, Cpu<float>>;

/// An affine layer: its constant is not below its norm, and not above `factor` times it.
template <class R, Shape in>
void check_affine(std::uint64_t s, double factor, double b = .1) {
  Cpu<double> cpu;
  Wide<R, in> const layer;
  auto const theta = random_parameters(cpu, layer, seed(s), .5, b);
  double const below = norm_from_below(materialised(cpu, layer, theta)),
               bound = lipschitz(cpu, layer, theta).value();
  INFO(layer.name(), " ", below, " ", bound);
  CHECK(below > 0);
  CHECK(below <= bound * (1 + 1e-12));
  CHECK(bound <= below * factor);
}

/// Any layer: no two samples show a larger constant, and float stays within its deviation of double.
template <class R, Shape in>
void check_layer(std::uint64_t s, double spread = .5) {
  Cpu<double> cpu;
  Cpu<float> narrow_cpu;
  Wide<R, in> const layer;
  Narrow<R, in> const narrow;
  auto const theta = random_parameters(cpu, layer, seed(s), spread);
  auto const narrow_theta = random_parameters(narrow_cpu, narrow, seed(s), spread);
  double const bound = lipschitz(cpu, layer, theta).value();
  CHECK(lipschitz(narrow_cpu, narrow, narrow_theta).value() <= bound * 1.01);  // the same parameters
  Deviation const d = deviation(narrow_cpu, narrow, narrow_theta).value(),
                  fine = deviation(cpu, layer, theta).value();
  double steepest = 0, worst = 0;
  for (std::uint64_t n = 0; n < 12; ++n) {
    auto const x = rounded<double>(normal_matrix<float>(in.channels, in.sites(), seed(s + 100 + n)));
    auto const dx = normal_matrix<double>(in.channels, in.sites(), seed(s + 200 + n));
    double const by = n % 2 == 0 ? 1 : 1e-3;
    auto const y = mapped_by(cpu, layer, theta, x),
               moved = mapped_by(cpu, layer, theta,
                                 mapped([&](double a, double c) { return a + by * c; }, x, dx));
    auto const difference = [](double a, double c) { return a - c; };
    steepest = std::max(steepest, norm(mapped(difference, y, moved)) / (by * norm(dx)));
    auto const off = norm(mapped(difference, mapped_by(narrow_cpu, narrow, narrow_theta, x), y));
    double const limit = d.relative * norm(x) + d.absolute + fine.relative * norm(x) + fine.absolute;
    CHECK(off <= limit);
    worst = std::max(worst, off / limit);
  }
  INFO(layer.name(), " ", steepest, " ", bound, " ", worst);
  CHECK(steepest <= bound * (1 + 1e-9));
  CHECK(fine.relative <= 1e-6 * (1 + d.relative));
}

}  // namespace detrame::test
