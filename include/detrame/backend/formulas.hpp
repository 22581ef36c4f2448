// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <limits>

#include "detrame/core/host_device.hpp"
#include "detrame/core/random.hpp"

/// Each scalar formula of the library, once, for host and device. A backend maps them over matrices (`each`),
/// sums them (`row_sums`, `column_sums`) or fuses them into a product (`gemm_each`).
///
/// Output arguments come first, by reference; then what is read.
namespace detrame::formula {

/// t < 0 ? 0 : t, which lets NaN through (max(0, t) may not).
template <class Scalar>
DETRAME_HOST_DEVICE constexpr Scalar relu(Scalar t) {
  return t < Scalar(0) ? Scalar(0) : t;
}

/// sign(t) (|t| - b)_+, the prox of b |.|, for b >= 0. NaN stays NaN.
template <class Scalar>
DETRAME_HOST_DEVICE constexpr Scalar soft_threshold(Scalar t, Scalar b) {
  return t > b ? t - b : (t < -b ? t + b : (t != t ? t : Scalar(0)));
}

struct Assign {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& y, Scalar x) const {
    y = x;
  }
};

struct Add {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& y, Scalar x) const {
    y += x;
  }
};

/// z <- x + y
struct Sum {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& z, Scalar x, Scalar y) const {
    z = x + y;
  }
};

struct Subtract {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& y, Scalar x) const {
    y -= x;
  }
};

template <class Scalar>
struct Fill {
  Scalar value;
  DETRAME_HOST_DEVICE void operator()(Scalar& y) const { y = value; }
};

/// y <- scale y
template <class Scalar>
struct Scale {
  Scalar scale;
  DETRAME_HOST_DEVICE void operator()(Scalar& y) const { y *= scale; }
};

/// y <- y + scale x
template <class Scalar>
struct Axpy {
  Scalar scale;
  DETRAME_HOST_DEVICE void operator()(Scalar& y, Scalar x) const { y += scale * x; }
};

struct Relu {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& y, Scalar x) const {
    y = relu(x);
  }
};

/// x_bar <- y_bar 1[y != 0] with y >= 0 or NaN, which must not become a healthy-looking 0.
struct ReluPullback {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& x_bar, Scalar y_bar, Scalar y) const {
    x_bar = y != Scalar(0) ? y_bar : Scalar(0);
  }
};

/// The activations of the two penalties, u = A{}(t, b) with b >= 0: what minimises 1/2 (u - t)^2 + b |u|, over
/// u >= 0 and over all u. For both, du/dt = 1[u != 0] and du/db = -sign(u); at a kink the derivative is 0.
struct NonnegativeShrinkage {
  static constexpr bool two_sided = false;
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar t, Scalar b) const {
    return relu(t - b);
  }
};

struct SoftShrinkage {
  static constexpr bool two_sided = true;
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar t, Scalar b) const {
    return soft_threshold(t, b);
  }
};

/// The first update from U_0 = 0, fused to v = (W~ z)_i: g <- h z - v, u <- A(g, b).
template <class Activation>
struct FirstUpdate {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& g, Scalar& u, Scalar z, Scalar h, Scalar b) const {
    g = h * z - v;
    u = Activation{}(g, b);
  }
};

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

/// Every further update, fused to v = (W~ u)_i: u_next <- A(v + g, b).
template <class Activation>
struct NextUpdate {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& u_next, Scalar g, Scalar b) const {
    u_next = Activation{}(v + g, b);
  }
};

/// The last P of the unrolled adjoint: p <- u_bar 1[u != 0], sigma <- p.
struct LastMask {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& p, Scalar& sigma, Scalar u_bar, Scalar u) const {
    p = u != Scalar(0) ? u_bar : Scalar(0);
    sigma = p;
  }
};

/// The P before it, fused to v = (W~^T p_next)_i: p <- v 1[u != 0], sigma <- sigma + p.
struct EarlierMask {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& p, Scalar& sigma, Scalar u) const {
    p = u != Scalar(0) ? v : Scalar(0);
    sigma += p;
  }
};

/// Fused to v = (W~^T sigma)_i: z_bar <- h sigma - v.
struct InputCotangent {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& z_bar, Scalar sigma, Scalar h) const {
    z_bar = h * sigma - v;
  }
};

/// The terms that sums are made of.
struct Identity {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar x) const {
    return x;
  }
};

struct Negative {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar x) const {
    return -x;
  }
};

struct Product {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar x, Scalar y) const {
    return x * y;
  }
};

struct Square {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar x) const {
    return x * x;
  }
};

struct Magnitude {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar x) const {
    return x < Scalar(0) ? -x : x;
  }
};

struct Difference {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar x, Scalar y) const {
    return x - y;
  }
};

struct SquaredDifference {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar x, Scalar y) const {
    return (x - y) * (x - y);
  }
};

/// A linear layer behind its product v = (W x)_ij: y <- v - c
struct MinusBias {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& y, Scalar c) const {
    y = v - c;
  }
};

/// A product that is kept as it is: y <- v
struct Store {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& y) const {
    y = v;
  }
};

/// Inverted dropout: y <- x / (1 - rate) with probability 1 - rate, else 0. The draw of entry (i, j) depends on
/// its place in the whole batch alone.
template <class Scalar>
struct Dropout {
  Random random;
  Index first_column, rows;
  Scalar rate;
  DETRAME_HOST_DEVICE void operator()(Index i, Index j, Scalar& y, Scalar x) const {
    auto const position = static_cast<std::uint64_t>((first_column + j) * rows + i);
    y = random.uniform<Scalar>(position) < rate ? Scalar(0) : x / (Scalar(1) - rate);
  }
};

/// Softmax cross-entropy of one column, with m its largest entry and s = sum_i exp(y_i - m).
struct ExpDifference {
  template <class Scalar>
  DETRAME_HOST_DEVICE Scalar operator()(Scalar y, Scalar m) const {
    return std::exp(y - m);
  }
};

/// t (log s + m - y)
struct CrossEntropyTerm {
  template <class Scalar>
  DETRAME_HOST_DEVICE Scalar operator()(Scalar y, Scalar t, Scalar m, Scalar s) const {
    return t * (std::log(s) + (m - y));
  }
};

/// y_bar <- scale (exp(y - m) / s sum_i t_i - t), with mass = sum_i t_i
template <class Scalar>
struct CrossEntropyPullback {
  Scalar scale;
  DETRAME_HOST_DEVICE void operator()(Scalar& y_bar, Scalar y, Scalar t, Scalar m, Scalar s,
                                      Scalar mass) const {
    y_bar = scale * (std::exp(y - m) / s * mass - t);
  }
};

/// y_bar <- scale (y - t)
template <class Scalar>
struct ScaledDifference {
  Scalar scale;
  DETRAME_HOST_DEVICE void operator()(Scalar& y_bar, Scalar y, Scalar t) const { y_bar = scale * (y - t); }
};

/// One-against-all hinge, (1 - s y)_+ with s = 2 t - 1.
struct HingeTerm {
  template <class Scalar>
  DETRAME_HOST_DEVICE Scalar operator()(Scalar y, Scalar t) const {
    return relu(Scalar(1) - (Scalar(2) * t - Scalar(1)) * y);
  }
};

/// Its derivative, 0 at the kink: y_bar <- -scale s 1[1 - s y > 0]
template <class Scalar>
struct HingePullback {
  Scalar scale;
  DETRAME_HOST_DEVICE void operator()(Scalar& y_bar, Scalar y, Scalar t) const {
    Scalar const s = Scalar(2) * t - Scalar(1), slack = Scalar(1) - s * y;
    y_bar = slack != slack ? slack : (slack > Scalar(0) ? -scale * s : Scalar(0));
  }
};

/// SGD with momentum as PyTorch has it: v <- momentum v + (g + decay p); p <- p - rate v
template <class Scalar>
struct SgdStep {
  Scalar rate, momentum, decay;
  DETRAME_HOST_DEVICE void operator()(Scalar& p, Scalar& v, Scalar g) const {
    v = momentum * v + (g + decay * p);
    p -= rate * v;
  }
};

/// Projections of Algorithm 2; NaN stays NaN.
template <class Scalar>
struct AtLeast {
  Scalar low;
  DETRAME_HOST_DEVICE void operator()(Scalar& p) const { p = p < low ? low : p; }
};
template <class Scalar>
struct Between {
  Scalar low, high;
  DETRAME_HOST_DEVICE void operator()(Scalar& p) const { p = p < low ? low : (p > high ? high : p); }
};
/// Zero diagonal of square blocks of `rows` rows that stand side by side.
struct ZeroDiagonal {
  Index rows;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Index i, Index j, Scalar& p) const {
    if (j % rows == i) p = Scalar(0);
  }
};

/// -sign(u) p
struct NegativeSigned {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar u, Scalar p) const {
    return u > Scalar(0) ? -p : (u < Scalar(0) ? p : Scalar(0));
  }
};

// ---- penalties and tied parameters ---------------------------------------------------------------------------

/// lambda |u| + beta/2 u^2, and infinity where u < 0 unless the penalty is two-sided.
template <bool two_sided>
struct PenaltyTerm {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar u, Scalar lambda, Scalar beta) const {
    if (!two_sided && u < Scalar(0)) return std::numeric_limits<Scalar>::infinity();
    return lambda * Magnitude{}(u) + beta / Scalar(2) * (u * u);
  }
};

/// y <- scale x
template <class Scalar>
struct Scaled {
  Scalar scale;
  DETRAME_HOST_DEVICE void operator()(Scalar& y, Scalar x) const { y = scale * x; }
};

/// a_ii <- a_ii + value
template <class Scalar>
struct ShiftDiagonal {
  Scalar value;
  DETRAME_HOST_DEVICE void operator()(Index i, Index j, Scalar& a) const {
    if (i == j) a += value;
  }
};

/// h <- theta / (theta + gamma beta), b <- gamma lambda / (theta + gamma beta)
template <class Scalar>
struct TiedShrinkage {
  Scalar gamma;
  DETRAME_HOST_DEVICE void operator()(Scalar& h, Scalar& b, Scalar theta, Scalar lambda, Scalar beta) const {
    Scalar const s = theta + gamma * beta;
    h = theta / s;
    b = gamma * lambda / s;
  }
};

/// w_il <- (theta_i delta_il - gamma q_il) / (theta_i + gamma beta_i)
template <class Scalar>
struct TiedWeight {
  Scalar gamma;
  DETRAME_HOST_DEVICE void operator()(Index i, Index l, Scalar& w, Scalar q, Scalar theta,
                                      Scalar beta) const {
    w = ((i == l ? theta : Scalar(0)) - gamma * q) / (theta + gamma * beta);
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

/// The rest of the adjoint of a row of tied parameters, given w = w_bar_ii and r = sum_l w_bar_il q_il. gamma_bar
/// is the row's share.
template <class Scalar>
struct TiedRowPullback {
  Scalar gamma;
  DETRAME_HOST_DEVICE void operator()(Scalar& theta_bar, Scalar& lambda_bar, Scalar& beta_bar,
                                      Scalar& gamma_bar, Scalar theta, Scalar lambda, Scalar beta,
                                      Scalar h_bar, Scalar b_bar, Scalar w, Scalar r) const {
    Scalar const s = theta + gamma * beta;
    Scalar const s_bar = -(theta * (w + h_bar) + gamma * (lambda * b_bar - r)) / (s * s);
    theta_bar = (w + h_bar) / s + s_bar;
    lambda_bar = gamma * b_bar / s;
    beta_bar = gamma * s_bar;
    gamma_bar = (lambda * b_bar - r) / s + beta * s_bar;
  }
};

/// q_bar_ii <- q_bar_ii + theta_bar_i
struct AddToDiagonal {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Index i, Index l, Scalar& q_bar, Scalar theta_bar) const {
    if (i == l) q_bar += theta_bar;
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

/// The tangent of G = h o z - W~ z, first part, fused to v = (W~ dz)_i: dg <- dh z + h dz - v.
struct InputTangent {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& dg, Scalar z, Scalar dz, Scalar h, Scalar dh) const {
    dg = dh * z + h * dz - v;
  }
};

/// Second part, fused to v = (dW~ z)_i: y <- y - v.
struct SubtractProduct {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& y) const {
    y -= v;
  }
};

/// The tangent of an update, fused to v = (dW~ u)_i, with w = (W~ du)_i:
/// du_next <- 1[u_next != 0] (v + w + dg - sign(u_next) db).
struct UpdateTangent {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& du_next, Scalar w, Scalar dg, Scalar u_next,
                                      Scalar db) const {
    du_next = u_next != Scalar(0) ? v + w + dg - (u_next > Scalar(0) ? db : -db) : Scalar(0);
  }
};

/// A product and what is added to it, fused to v: y <- v + g.
struct StoreSum {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& y, Scalar g) const {
    y = v + g;
  }
};

/// u <- A(t, b)
template <class Activation>
struct Activate {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& u, Scalar t, Scalar b) const {
    u = Activation{}(t, b);
  }
};

/// -distance of t to the nearest kink of u = A(t, b)
template <class Activation>
struct NegativeKinkDistance {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar t, Scalar b) const {
    Scalar const s = Activation::two_sided && t < Scalar(0) ? -t : t;
    return s < b ? s - b : b - s;
  }
};

/// y <- max(y, x), NaN if either is.
struct Larger {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& y, Scalar x) const {
    y = y < x || x != x ? x : y;
  }
};

/// y <- -y
struct Negate {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& y) const {
    y = -y;
  }
};

/// The minimum-norm subgradient at u of  1/2 <u - z, Q (u - z)> + psi(u),  with v = (Q (u - z))_i. Outside the
/// domain of psi it is infinite; where v is not finite, neither is it.
template <class Activation>
struct Subgradient {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar u, Scalar v, Scalar lambda, Scalar beta) const {
    Scalar const g = v + beta * u;
    if (u > Scalar(0)) return g + lambda;
    if (u < Scalar(0)) return Activation::two_sided ? g - lambda : static_cast<Scalar>(INFINITY);
    if (Activation::two_sided) return soft_threshold(g, lambda);
    return g + lambda > Scalar(0) ? g - g : g + lambda;
  }
};

template <class Activation>
struct SubgradientMagnitude {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar u, Scalar v, Scalar lambda, Scalar beta) const {
    return Magnitude{}(Subgradient<Activation>{}(u, v, lambda, beta));
  }
};

template <class Activation>
struct SubgradientSquare {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar u, Scalar v, Scalar lambda, Scalar beta) const {
    return Square{}(Subgradient<Activation>{}(u, v, lambda, beta));
  }
};

/// y <- sqrt(y)
struct SquareRoot {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& y) const {
    y = std::sqrt(y);
  }
};

/// y <- x - z
struct StoreDifference {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& y, Scalar x, Scalar z) const {
    y = x - z;
  }
};

/// A proximal step of eq. (34), where `active` is not 0:  u <- A(h u - s v, b),  with v = (Q (u - z))_i,
/// h = theta / (theta + gamma beta), s = gamma / (theta + gamma beta), b = gamma lambda / (theta + gamma beta).
template <class Activation>
struct ProximalStep {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& u, Scalar v, Scalar h, Scalar s, Scalar b,
                                      Scalar active) const {
    u = active != Scalar(0) ? Activation{}(h * u - s * v, b) : u;
  }
};

/// The same from y = u + momentum (u - u_last), whose gradient is v + momentum (v - v_last) since it is affine.
template <class Activation, class Scalar>
struct AcceleratedStep {
  Scalar momentum;
  DETRAME_HOST_DEVICE void operator()(Scalar& u, Scalar& u_last, Scalar v, Scalar& v_last, Scalar h, Scalar s,
                                      Scalar b, Scalar active) const {
    Scalar const y = u + momentum * (u - u_last), v_y = v + momentum * (v - v_last);
    u_last = u;
    v_last = v;
    u = active != Scalar(0) ? Activation{}(h * y - s * v_y, b) : u;
  }
};

}  // namespace detrame::formula
