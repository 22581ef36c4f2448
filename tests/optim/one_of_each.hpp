// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/dense.hpp"
#include "detrame/layer/dictionary_unrolled.hpp"
#include "detrame/layer/q_metric.hpp"
#include "detrame/network/stack.hpp"
#include "support.hpp"

/// One tensor of each role that layers have, and what (F3) makes of it.
namespace detrame {

/// What layers say of their parameters: weight, bias, W_tilde, h, b, dictionary, shift, lambda, alpha, beta.
inline std::array<Role, 10> const roles = [] {
  using Net = Stack<Dense<4>, QMetricReLU<Full, Unroll<1>>, Dictionary<4, Unrolled<Jacobi, Unroll<1>>>>;
  Cpu<double> b;
  std::array<Role, 10> all;
  visit([&, i = std::size_t(0)](std::string_view, Role const& role,
                                auto const&) mutable { all.at(i++) = role; },
        Bind<Net, Shape{4}, Cpu<double>>().parameters(b));
  return all;
}();

/// One tensor of each role.
template <Backend B>
struct OneOfEach {
  std::array<Matrix<B>, 10> p;
  template <class F, class Theta, class... Rest>
  static void visit(F&& f, Path const& path, Theta&& theta, Rest&&... rest) {
    for (std::size_t i = 0; i < 10; ++i) f(path / roles[i].name, roles[i], theta.p[i], rest.p[i]...);
  }
};

/// 4 x 8 each, W~ too: two blocks of 4 x 4.
template <Backend B>
OneOfEach<B> values(B& b, double scale, std::uint64_t n) {
  OneOfEach<B> theta;
  for (auto& p : theta.p)
    p = to_device(b, test::mapped([&](auto t) { return static_cast<typename B::Scalar>(scale) * t; },
                                  test::normal_matrix<typename B::Scalar>(4, 8, test::seed(n++))));
  return theta;
}

/// (F3), entry by entry.
template <class Scalar>
Scalar projected(std::string_view name, Index i, Index j, Scalar p, Scalar margin) {
  if (name == "W_tilde") return j % 4 == i ? 0 : p;
  if (name == "h") return std::clamp(p, Scalar(0), Scalar(1));
  if (name == "alpha") return std::max(p, margin);
  return name == "b" || name == "lambda" || name == "beta" ? std::max(p, Scalar(0)) : p;
}

}  // namespace detrame
