// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/optim/sgd.hpp"

namespace detrame::inline DETRAME_ABI {

namespace formula {

/// m <- kept_mean m + new_mean g; v <- kept_square v + new_square g^2;
/// p <- kept p - rate m / (root sqrt(v) + epsilon), with the corrections of both biases in rate and root.
/// The square of g need not be in range, where its share of v is.
template <class Scalar>
struct AdamWStep {
  Scalar kept, rate, kept_mean, new_mean, kept_square, new_square, root, epsilon;
  DETRAME_HOST_DEVICE void operator()(Scalar& p, Scalar g, Scalar& m, Scalar& v) const {
    m = kept_mean * m + new_mean * g;
    v = kept_square * v + (new_square * g) * g;
    p = kept * p - rate * (m / (root * std::sqrt(v) + epsilon));
  }
};

}  // namespace formula

/// Adam with weight decay beside it (arXiv 1711.05101, Algorithm 2), as PyTorch has it, then the projections.
/// In the t-th step, counted from 1:
///
///   m <- beta_1 m + (1 - beta_1) g,   v <- beta_2 v + (1 - beta_2) g^2
///   p <- P((1 - rate decay) p - rate m' / (sqrt(v') + epsilon))                                        (F3)
///   m' = m / (1 - beta_1^t),  v' = v / (1 - beta_2^t)
///
/// Requires  rate >= 0, gradient_scale >= 0, beta_1 and beta_2 in [0, 1), weight_decay >= 0, margin > 0 and
///           epsilon > 0 in the scalar of theta, else DomainError when a step is taken; gradient, m and v of
///           theta's shapes, else ShapeError. What throws has changed nothing.
/// Ensures   powers of beta_1 and beta_2 are computed in double, whatever the scalar.
/// Cost      one pass over theta, gradient, m and v, step and projection together; nothing is allocated.
/// Source    there the rate multiplies decay only by its schedule; here, as in PyTorch, by all of it.
/// Tested    tests/optim/torch_test.cpp: beside PyTorch's; tests/optim/optim_test.cpp: refusals
struct AdamW {
  static constexpr std::array<std::string_view, 2> moments{"mean.", "square."};

  double beta_1 = 0.9, beta_2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 1e-2;
  bool (*decays)(Role const&) = Sgd::everything;  ///< as in Sgd
  bool (*trains)(Role const&) = Sgd::everything;  ///< as in Sgd
  Constraints constraints{};

  /// One step with the gradient gradient_scale theta_bar, after steps_before others. moments: m and v.
  template <Backend B, class Theta>
  void step(B& backend, Theta& theta, Theta const& theta_bar, std::type_identity_t<std::span<Theta>> m_and_v,
            double rate, std::uint64_t steps_before, double gradient_scale = 1) const {
    using Scalar = typename B::Scalar;
    require_share("beta_1", beta_1);
    require_share("beta_2", beta_2);
    if (!(static_cast<Scalar>(epsilon) > 0))
      throw DomainError(message("AdamW: epsilon = ", epsilon, ", must be > 0 in the scalar of theta"));
    detail::FusedStep<B, AdamW, Theta> const take(backend, "AdamW", *this, theta, theta_bar, m_and_v, rate,
                                                  gradient_scale);
    double const t = static_cast<double>(steps_before) + 1;
    double const of_mean = 1 - std::pow(beta_1, t), of_square = 1 - std::pow(beta_2, t);
    take([&](double decay) {
      return formula::AdamWStep<Scalar>{static_cast<Scalar>(1 - rate * decay),
                                        static_cast<Scalar>(rate / of_mean),
                                        static_cast<Scalar>(beta_1),
                                        static_cast<Scalar>(1 - beta_1),
                                        static_cast<Scalar>(beta_2),
                                        static_cast<Scalar>(1 - beta_2),
                                        static_cast<Scalar>(1 / std::sqrt(of_square)),
                                        static_cast<Scalar>(epsilon)};
    });
  }

 private:
  static void require_share(char const* name, double beta) {
    if (!(beta >= 0 && beta < 1))
      throw DomainError(message("AdamW: ", name, " = ", beta, ", must be in [0, 1)"));
  }
};

}  // namespace detrame::inline DETRAME_ABI
