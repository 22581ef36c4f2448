// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/optim/fused_step.hpp"

namespace detrame::inline DETRAME_ABI {

namespace formula {

/// SGD with momentum as PyTorch has it: v <- momentum v + (g + decay p); p <- p - rate v
template <class Scalar>
struct SgdStep {
  Scalar rate, momentum, decay;
  DETRAME_HOST_DEVICE void operator()(Scalar& p, Scalar g, Scalar& v) const {
    v = momentum * v + (g + decay * p);
    p -= rate * v;
  }
};

/// Nesterov's: v <- momentum v + (g + decay p); p <- p - rate (g + decay p + momentum v)
template <class Scalar>
struct NesterovStep {
  Scalar rate, momentum, decay;
  DETRAME_HOST_DEVICE void operator()(Scalar& p, Scalar g, Scalar& v) const {
    Scalar const d = g + decay * p;
    v = momentum * v + d;
    p -= rate * (d + momentum * v);
  }
};

}  // namespace formula

/// Stochastic gradient descent with momentum and weight decay, as PyTorch has it, then the projections:
///
///   v <- momentum v + (g + decay p),   p <- P(p - rate v)                                              (F3)
///                         or nesterov: p <- P(p - rate (g + decay p + momentum v))
///
/// Requires  rate >= 0, gradient_scale >= 0, 0 <= momentum < 1, and > 0 for nesterov, weight_decay >= 0,
///           margin > 0, else DomainError when a step is taken; gradient and velocity of theta's shapes, else
///           ShapeError. What throws has changed nothing.
/// Cost      one pass over theta, gradient and velocity, step and projection together; nothing is allocated.
/// Tested    tests/optim/optim_test.cpp, tests/optim/torch_test.cpp: beside PyTorch's
struct Sgd {
  static constexpr std::array<std::string_view, 1> moments{"velocity."};

  double momentum = 0.9;
  double weight_decay = 5e-4;
  bool nesterov = false;
  /// Which parameters decay, of those whose role lets them. All by default, as in PyTorch; `weights_only`
  /// exempts what is not the matrix of a linear map.
  bool (*decays)(Role const&) = everything;
  /// Which parameters are trained, of those whose role lets them; the others stay as they are.
  /// `not_the_problem` fixes lambda, alpha and beta of dictionary layers, whose gradients are sums over all
  /// codes and so larger than those of D.
  bool (*trains)(Role const&) = everything;
  Constraints constraints{};

  static bool everything(Role const&) { return true; }
  static bool not_the_problem(Role const& role) { return !role.hyperparameter; }
  static bool weights_only(Role const& role) { return role.weight; }

  /// One step with the gradient gradient_scale theta_bar. moments: the velocity.
  template <Backend B, class Theta>
  void step(B& backend, Theta& theta, Theta const& theta_bar, std::type_identity_t<std::span<Theta>> velocity,
            double rate, std::uint64_t /*steps_before*/ = 0, double gradient_scale = 1) const {
    using Scalar = typename B::Scalar;
    if (!(momentum >= 0 && momentum < 1))
      throw DomainError(message("Sgd: momentum = ", momentum, ", must be in [0, 1)"));
    if (nesterov && momentum == 0) throw DomainError("Sgd: nesterov with momentum = 0, must be > 0");
    detail::FusedStep<B, Sgd, Theta> const take(backend, "Sgd", *this, theta, theta_bar, velocity, rate,
                                                gradient_scale);
    Scalar const by = static_cast<Scalar>(rate), kept = static_cast<Scalar>(momentum);
    if (nesterov)
      take([=](double decay) { return formula::NesterovStep<Scalar>{by, kept, static_cast<Scalar>(decay)}; });
    else
      take([=](double decay) { return formula::SgdStep<Scalar>{by, kept, static_cast<Scalar>(decay)}; });
  }
};

}  // namespace detrame::inline DETRAME_ABI
