// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/formula/activation.hpp"
#include "detrame/backend/formula/terms.hpp"
#include "detrame/core/host_device.hpp"

/// The unrolled recurrence U <- A(h o Z + W~ (U - Z), b), its adjoint and its tangent; the steps of the
/// metric prox.
namespace detrame::inline DETRAME_ABI::formula {

/// The first update from U_0 = 0, fused to v = (W~ z)_i: g <- h z - v, u <- A(g, b).
template <class Rule>
struct FirstUpdate {
  static constexpr bool on_packets = requires { requires Rule::on_packets; };
  Rule rule;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& g, Scalar& u, Scalar z, Scalar h, Scalar b) const {
    g = h * z - v;
    u = rule(g, b);
  }
};

/// Every further update, fused to v = (W~ u)_i: u_next <- A(v + g, b).
template <class Rule>
struct NextUpdate {
  static constexpr bool on_packets = requires { requires Rule::on_packets; };
  Rule rule;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& u_next, Scalar g, Scalar b) const {
    u_next = rule(v + g, b);
  }
};

/// u <- v where `active` is not 0.
struct AssignWhere {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& u, Scalar v, Scalar active) const {
    u = active != Scalar(0) ? v : u;
  }
};

/// The terms of u - A(h z + (W~ (u - z))_i, b), given p = (|W~| (|u| + |z|))_i: p <- p + |u| + |h z|.
struct AddFixedPointTerms {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& p, Scalar u, Scalar z, Scalar h) const {
    p += Magnitude{}(u) + Magnitude{}(h * z);
  }
};

/// s (u - v)
struct DifferenceTimes {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar u, Scalar v, Scalar s) const {
    return s * (u - v);
  }
};

/// The last P of the unrolled adjoint: p <- u_bar dA/dt, sigma <- p.
template <class Rule>
struct LastMask {
  Rule rule;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& p, Scalar& sigma, Scalar u_bar, Scalar u, Scalar b) const {
    p = rule.times_slope(u_bar, u, b);
    sigma = p;
  }
};

/// The P before it, fused to v = (W~^T p_next)_i: p <- v dA/dt, sigma <- sigma + p.
template <class Rule>
struct EarlierMask {
  static constexpr bool on_packets = requires { requires Rule::on_packets; };
  Rule rule;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& p, Scalar& sigma, Scalar u, Scalar b) const {
    Scalar const masked = rule.times_slope(v, u, b);  // p may alias sigma for all the compiler knows
    p = masked;
    sigma += masked;
  }
};

/// Fused to v = (W~^T sigma)_i: z_bar <- h sigma - v.
struct InputCotangent {
  static constexpr bool on_packets = true;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& z_bar, Scalar sigma, Scalar h) const {
    z_bar = h * sigma - v;
  }
};

/// The tangent of G = h o z - W~ z, first part, fused to v = (W~ dz)_i: dg <- dh z + h dz - v.
struct InputTangent {
  static constexpr bool on_packets = true;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& dg, Scalar z, Scalar dz, Scalar h, Scalar dh) const {
    dg = dh * z + h * dz - v;
  }
};

/// The tangent of an update, fused to v = (dW~ u)_i, with w = (W~ du)_i:
/// du_next <- (v + w + dg - rho'(u_next) db) dA/dt.
template <class Rule>
struct UpdateTangent {
  static constexpr bool on_packets = requires { requires Rule::on_packets; };
  Rule rule;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& du_next, Scalar w, Scalar dg, Scalar u_next, Scalar b,
                                      Scalar db) const {
    Scalar const of_b = rule.subgradient(u_next, Scalar{}, db, Scalar{});  // rho'(u_next) db
    du_next = rule.times_slope(v + w + dg - of_b, u_next, b);
  }
};

/// A proximal step of eq. (34), where `active` is not 0:  u <- A(h u - s v, b),  with v = (Q (u - z))_i and
/// h, s, b = theta, gamma, gamma lambda, each over theta + gamma beta.
template <class Rule>
struct ProximalStep {
  Rule rule;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& u, Scalar v, Scalar h, Scalar s, Scalar b,
                                      Scalar active) const {
    u = active != Scalar(0) ? rule(h * u - s * v, b) : u;
  }
};

/// The same from y = u + momentum (u - u_last), whose gradient is affine: v + momentum (v - v_last).
template <class Rule, class Scalar>
struct AcceleratedStep {
  Rule rule;
  Scalar momentum;
  DETRAME_HOST_DEVICE void operator()(Scalar& u, Scalar& u_last, Scalar v, Scalar& v_last, Scalar h, Scalar s,
                                      Scalar b, Scalar active) const {
    Scalar const y = u + momentum * (u - u_last), v_y = v + momentum * (v - v_last);
    u_last = u;
    v_last = v;
    u = active != Scalar(0) ? rule(h * y - s * v_y, b) : u;
  }
};

/// A proximal gradient step of a synthesis problem, fused to v = (D^T (D u - x))_i, of length 1 / L:
/// u <- (u - (v + shift u + d + lambda) / L)_+. An infinite shift of u = 0 counts nothing.
template <class Scalar>
struct SynthesisStep {
  Scalar shift, lambda, L;
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& u, Scalar d) const {
    Scalar const shifted = u == Scalar(0) ? u : shift * u;
    u = relu(u - (v + shifted + d + lambda) / L);
  }
};

}  // namespace detrame::inline DETRAME_ABI::formula
