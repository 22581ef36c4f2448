// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include "detrame/metric/penalty.hpp"
#include "support.hpp"

/// The penalties that are no shrinkages, each with its solution by gradients, which knows nothing of rules.
namespace detrame::test {

using Host = HostMatrix<double>;

/// A box, and a step of gradients projected on it.
struct OfBox {
  double low, high;
  template <Backend B>
  Box<B> operator()(B& b, Index k, double beta) const {
    using Scalar = typename B::Scalar;
    return {b, k, static_cast<Scalar>(low), static_cast<Scalar>(high), static_cast<Scalar>(beta)};
  }
  double descend(double u, double g, double step) const { return std::clamp(u - step * g, low, high); }
  double curvature() const { return 0; }
};

/// Huber's penalty, and a step of its gradients.
struct OfHuber {
  double delta, lambda;
  template <Backend B>
  Huber<B> operator()(B& b, Index k, double beta) const {
    using Scalar = typename B::Scalar;
    return {b, k, static_cast<Scalar>(delta), static_cast<Scalar>(lambda), static_cast<Scalar>(beta)};
  }
  double descend(double u, double g, double step) const {
    return u - step * (g + lambda * std::clamp(u / delta, -1., 1.));
  }
  double curvature() const { return lambda / delta; }
};

/// u by many steps of gradients, from Q, with |Q|_2 <= norm, and z alone.
template <class Of>
Host by_gradients(Host const& Q, Host const& z, Of const& of, double beta, double norm) {
  Host u(z.rows(), z.cols());
  double const step = 1 / (norm + beta + of.curvature());
  for (int t = 0; t < 6000; ++t) {
    auto const g = product(Q, mapped([](double a, double c) { return a - c; }, u, z));
    u = mapped([&](double a, double c) { return of.descend(a, c + beta * a, step); }, u, g);
  }
  return u;
}

/// How many entries have which curvature: none, some, held.
template <class Psi>
std::array<Index, 3> pieces(Psi const& psi, HostMatrix<typename Psi::Scalar> const& u) {
  std::array<Index, 3> count{};
  for (Index j = 0; j < u.cols(); ++j)
    for (Index i = 0; i < u.rows(); ++i) {
      auto const c = psi.activation().curvature(u(i, j));
      ++count[c == 0 ? 0 : std::isinf(c) ? 2 : 1];
    }
  return count;
}

/// (f(h) - f(-h)) / (2 h)
template <class F>
double slope_of(F const& f, double h = 1e-6) {
  return (f(h) - f(-h)) / (2 * h);
}

}  // namespace detrame::test
