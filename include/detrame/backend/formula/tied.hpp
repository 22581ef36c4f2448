// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/core/host_device.hpp"
#include "detrame/core/limits.hpp"
#include "detrame/core/matrix_view.hpp"

/// From a metric and a penalty to W, c, W~, h, b, and back.
namespace detrame::inline DETRAME_ABI::formula {

/// The threshold gamma lambda / s of a row, s = theta + gamma beta: 0 where s is infinite, since u is 0 there
/// for every lambda.
template <class Scalar>
DETRAME_HOST_DEVICE constexpr Scalar tied_threshold(Scalar gamma_lambda, Scalar s) {
  return s > limits::largest<Scalar> ? Scalar(0) : gamma_lambda / s;
}

/// The constant part of a tied recursion, fused to v = (D^T x)_i: g <- gamma (v - d) / (theta + gamma beta)
template <class Scalar>
struct TiedInput {
  Scalar gamma;
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& g, Scalar d, Scalar theta, Scalar beta) const {
    g = gamma * (v - d) / (theta + gamma * beta);
  }
};

/// Its adjoint, y_bar <- gamma g_bar / (theta + gamma beta), with y = D^T x - d
template <class Scalar>
struct TiedInputPullback {
  Scalar gamma;
  DETRAME_HOST_DEVICE void operator()(Scalar& y_bar, Scalar g_bar, Scalar theta, Scalar beta) const {
    y_bar = gamma * g_bar / (theta + gamma * beta);
  }
};

/// The share of s = theta + gamma beta in it: s_bar = -sum_j g_bar g / s, theta_bar += s_bar,
/// beta_bar += gamma s_bar
template <class Scalar>
struct TiedInputScale {
  Scalar gamma;
  DETRAME_HOST_DEVICE void operator()(Scalar& theta_bar, Scalar& beta_bar, Scalar g_bar_g, Scalar theta,
                                      Scalar beta) const {
    Scalar const s_bar = -g_bar_g / (theta + gamma * beta);
    theta_bar += s_bar;
    beta_bar += gamma * s_bar;
  }
};

/// h <- theta / (theta + gamma beta), b <- gamma lambda / (theta + gamma beta)
template <class Scalar>
struct TiedShrinkage {
  Scalar gamma;
  DETRAME_HOST_DEVICE void operator()(Scalar& h, Scalar& b, Scalar theta, Scalar lambda, Scalar beta) const {
    Scalar const s = theta + gamma * beta;
    h = theta / s;
    b = tied_threshold(gamma * lambda, s);
  }
};

/// w_il <- (theta_i delta_il - gamma q_il) / (theta_i + gamma beta_i); the diagonal begins in column `first`.
template <class Scalar>
struct TiedWeight {
  Scalar gamma;
  Index first = 0;
  DETRAME_HOST_DEVICE void operator()(Index i, Index l, Scalar& w, Scalar q, Scalar theta,
                                      Scalar beta) const {
    w = ((first + i == l ? theta : Scalar(0)) - gamma * q) / (theta + gamma * beta);
  }
};

/// q_bar <- -gamma w_bar / (theta + gamma beta)
template <class Scalar>
struct TiedWeightPullback {
  Scalar gamma;
  DETRAME_HOST_DEVICE void operator()(Scalar& q_bar, Scalar w_bar, Scalar theta, Scalar beta) const {
    q_bar = -gamma * w_bar / (theta + gamma * beta);
  }
};

/// The rest of the adjoint of a row of tied parameters, given w = w_bar_ii and r = sum_l w_bar_il q_il.
/// gamma_bar is the row's share. Where lambda or beta is infinite, 0 times that counts 0.
template <class Scalar>
struct TiedRowPullback {
  Scalar gamma;
  DETRAME_HOST_DEVICE void operator()(Scalar& theta_bar, Scalar& lambda_bar, Scalar& beta_bar,
                                      Scalar& gamma_bar, Scalar theta, Scalar lambda, Scalar beta,
                                      Scalar h_bar, Scalar b_bar, Scalar w, Scalar r) const {
    Scalar const s = theta + gamma * beta;
    bool const held = s > limits::largest<Scalar>;
    Scalar const by_lambda = held || b_bar == Scalar(0) ? Scalar(0) : lambda * b_bar;
    Scalar const s_bar = -(theta * (w + h_bar) + gamma * (by_lambda - r)) / (s * s);
    theta_bar = (w + h_bar) / s + s_bar;
    lambda_bar = gamma * b_bar / s;
    beta_bar = gamma * s_bar;
    gamma_bar = (by_lambda - r) / s + (s_bar == Scalar(0) ? s_bar : beta * s_bar);
  }
};

/// q_bar_il <- q_bar_il + sign(q_il) (theta_bar_i + theta_bar_l) / 2
struct AddSigned {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& q_bar, Scalar q, Scalar row, Scalar column) const {
    Scalar const mean = (row + column) / Scalar(2);
    q_bar += q > Scalar(0) ? mean : (q < Scalar(0) ? -mean : Scalar(0));
  }
};

}  // namespace detrame::inline DETRAME_ABI::formula
