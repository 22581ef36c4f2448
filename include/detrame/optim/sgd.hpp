// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/optim/projection.hpp"

namespace detrame::inline DETRAME_ABI {

namespace formula {

/// SGD with momentum as PyTorch has it: v <- momentum v + (g + decay p); p <- p - rate v
template <class Scalar>
struct SgdStep {
  Scalar rate, momentum, decay;
  DETRAME_HOST_DEVICE void operator()(Scalar& p, Scalar& v, Scalar g) const {
    v = momentum * v + (g + decay * p);
    p -= rate * v;
  }
};

/// The step, then the projection.
template <class Scalar>
struct ProjectedSgdStep {
  SgdStep<Scalar> step;
  Projection<Scalar> projection;
  DETRAME_HOST_DEVICE void operator()(Index i, Index j, Scalar& p, Scalar& v, Scalar g) const {
    step(p, v, g);
    projection(i, j, p);
  }
};

}  // namespace formula

/// Stochastic gradient descent with momentum and weight decay, as PyTorch has it, then the projections:
///
///   v <- momentum v + (g + decay p),   p <- P(p - rate v)
///
/// Requires  rate >= 0, 0 <= momentum < 1, weight_decay >= 0, alpha_min > 0, else DomainError when a step is
///           taken; gradient and velocity of theta's shapes, else ShapeError. What throws has changed
///           nothing.
/// Cost      one pass over theta, gradient and velocity, step and projection together; nothing is allocated.
/// Tested    tests/optim/optim_test.cpp
struct Sgd {
  double momentum = 0.9;
  double weight_decay = 5e-4;
  /// Which kinds decay. All of them by default, as in PyTorch; `weights_only` exempts what is not a matrix.
  bool (*decays)(Kind) = everything;
  /// Which of the trainable kinds are trained at all; the others stay as they are. `not_the_problem` fixes
  /// lambda, alpha and beta of dictionary layers, whose gradients are sums over all codes and so larger than
  /// those of D.
  bool (*trains)(Kind) = everything;
  Constraints constraints{};

  static bool everything(Kind) { return true; }
  static bool not_the_problem(Kind kind) {
    return kind != Kind::lambda && kind != Kind::alpha && kind != Kind::beta;
  }
  static bool weights_only(Kind kind) {
    return kind == Kind::weight || kind == Kind::W_tilde || kind == Kind::dictionary;
  }

  /// One step with the gradient theta_bar; the velocity has theta's type and starts at zero.
  template <Backend B, class Theta>
  void step(B& backend, Theta& theta, Theta const& theta_bar, Theta& velocity, double rate) const {
    using Scalar = typename B::Scalar;
    require_at_least("Sgd", "rate", rate, 0.);
    require_at_least("Sgd", "weight_decay", weight_decay, 0.);
    if (!(constraints.alpha_min > 0))
      throw DomainError(message("Sgd: alpha_min = ", constraints.alpha_min, ", must be > 0"));
    if (!(momentum >= 0 && momentum < 1))
      throw DomainError(message("Sgd: momentum = ", momentum, ", must be in [0, 1)"));
    visit(
        [](std::string_view path, Kind, auto const& p, auto const& g, auto const& v) {
          require_like(path, p, "gradient", g);
          require_like(path, p, "velocity", v);
        },
        theta, theta_bar, velocity);
    Items<B, formula::ProjectedSgdStep<Scalar>, View<B>, View<B>, ConstView<B>> items(backend);
    visit(
        [&](std::string_view, Role role, auto& p, auto const& g, auto& v) {
          if (!trainable(role) || !trains(role)) return;
          formula::SgdStep<Scalar> const update{static_cast<Scalar>(rate), static_cast<Scalar>(momentum),
                                                static_cast<Scalar>(decays(role) ? weight_decay : 0)};
          items.add({update, projection<Scalar>(constraints, role, p.rows())}, p, v, g);
        },
        theta, theta_bar, velocity);
    items.finish();
  }

 private:
  template <class Matrix>
  static void require_like(std::string_view path, Matrix const& p, char const* what, Matrix const& v) {
    if (p.rows() != v.rows() || p.cols() != v.cols())
      throw ShapeError(message("Sgd: ", path, " is ", p.rows(), " x ", p.cols(), ", its ", what, " is ",
                               v.rows(), " x ", v.cols()));
  }
};

}  // namespace detrame::inline DETRAME_ABI
