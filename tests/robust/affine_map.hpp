// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "../support.hpp"
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/inference.hpp"

/// What tests of certificates share: parameters at random, the same in float and double, and what a map does.
namespace detrame::test {

/// Numbers that a role takes, random, representable in float: the same for float and double.
template <class L>
typename L::Parameters random_parameters(typename L::Backend& backend, L const& layer, std::uint64_t seed,
                                         double spread = .5, double b = .1) {
  auto theta = layer.parameters(backend);
  std::uint64_t tensor = 0;
  visit(
      [&](std::string_view, auto const& role, auto& p) {
        Random const random(seed, ++tensor);
        std::string_view const name = role.name;
        p = to_device(backend,
                      host_matrix<typename L::Backend::Scalar>(p.rows(), p.cols(), [&](Index i, Index j) {
                        auto const at = static_cast<std::uint64_t>(i + j * p.rows());
                        double const u = random.uniform<double>(at);
                        double const value = name == "running_variance" ? .5 + u
                                             : name == "h"              ? u
                                             : name == "b"              ? b * u
                                             : name == "lambda"         ? .05
                                             : name == "alpha"          ? .3
                                             : name == "beta"           ? .05
                                                                        : spread * random.normal<double>(at);
                        return static_cast<typename L::Backend::Scalar>(static_cast<float>(value));
                      }));
      },
      theta);
  return theta;
}

/// f of one sample, in double.
template <class L>
HostMatrix<double> mapped_by(typename L::Backend& backend, L const& layer,
                             typename L::Parameters const& theta, HostMatrix<double> const& x) {
  return in_double(backend,
                   ConstView<typename L::Backend>(predict(backend, layer, theta, in_memory_of(backend, x))));
}

/// The matrix of an affine layer on one sample, by differences, and |.|_2 of a matrix from below.
template <class L>
HostMatrix<double> materialised(typename L::Backend& backend, L const& layer,
                                typename L::Parameters const& theta, double size = 1) {
  constexpr Shape in = L::input, out = L::output;
  HostMatrix<double> J(out.size(), in.size());
  auto const at_zero = mapped_by(backend, layer, theta, HostMatrix<double>(in.channels, in.sites()));
  for (Index j = 0; j < in.size(); ++j) {
    HostMatrix<double> e(in.channels, in.sites());
    e.data()[j] = size;
    auto const y = mapped_by(backend, layer, theta, e);
    for (Index i = 0; i < out.size(); ++i) J(i, j) = (y.data()[i] - at_zero.data()[i]) / size;
  }
  return J;
}
inline double norm_from_below(HostMatrix<double> const& J) {
  int const iterations = J.cols() > 60 ? 100 : 500;
  auto v = normal_matrix<double>(J.cols(), 1, seed(950));
  double found = 0;
  for (int t = 0; t < iterations; ++t) {
    double const size = norm(v);
    auto const w = product(J, mapped([&](double x) { return x / size; }, v));
    found = norm(w);
    v = product(transposed(J), w);
  }
  return found;
}

}  // namespace detrame::test
