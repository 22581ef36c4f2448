// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "detrame/backend/in_double.hpp"
#include "detrame/prox/contraction.hpp"
#include "detrame/prox/metric_prox.hpp"

namespace detrame::inline DETRAME_ABI {

namespace detail {

/// |v|_S of the longest sample of v, a sample being `unit` columns, from above; NaN for NaN.
inline double longest(std::vector<double> const& s, HostMatrix<double> const& v, Index unit) {
  double longest = 0;
  Index const k = v.rows();
  for (Index first = 0; first < v.cols(); first += unit) {
    auto const entry = [&](Index i, Index j) {
      double const x = std::sqrt(s[static_cast<std::size_t>(i)]) * std::abs(v(i, first + j)),
                   tiny = std::numeric_limits<double>::min();
      return x < tiny && v(i, first + j) != 0 ? tiny : x;  // no product that underflows is a bound
    };
    double largest = 0;
    for (Index j = 0; j < unit; ++j)
      for (Index i = 0; i < k; ++i) raise(largest, entry(i, j));
    double square = 0;  // in units of the largest
    if (largest > 0 && std::isfinite(largest))
      for (Index j = 0; j < unit; ++j)
        for (Index i = 0; i < k; ++i) square += (entry(i, j) / largest) * (entry(i, j) / largest);
    raise(longest, std::isfinite(largest) ? largest * std::sqrt(square) : largest);
  }
  return longest * (1 + static_cast<double>(k * unit + 8) * std::numeric_limits<double>::epsilon());
}

/// kappa^T / (1 - kappa) length for kappa < 1, from above and never 0 by underflow: at least the smallest
/// normal number, but where kappa^T or length is 0. A length that is not finite comes out.
inline double a_priori(double kappa, double length, Index T) {
  if (!std::isfinite(length)) return length;
  if (length == 0 || (kappa == 0 && T > 0)) return 0;
  double const eps = std::numeric_limits<double>::epsilon(), tiny = std::numeric_limits<double>::min();
  int exponent = 0;
  double bound = std::frexp(length, &exponent) / (1 - kappa) * (1 + 8 * eps);
  for (Index const part : {T / 3, T / 3, T - 2 * (T / 3)}) {  // none is lost where their product is not
    double updates = static_cast<double>(part);
    if (part > Index{1} << 53) updates = std::nextafter(updates, 0.);
    int of_power = 0;
    bound *= std::frexp(std::max(std::pow(kappa, updates), tiny), &of_power);
    exponent += of_power;
  }
  return std::max(std::ldexp(bound, exponent), tiny);
}

}  // namespace detail

/// max over samples of |u|_S, from above. 0 where there is none.
///
/// Shapes    S: k x 1.  u: k x N, a sample in each `unit` neighbouring columns: a column, or an image of a
///           convolutional structure, whose unit() it is.
/// Requires  sizes that agree, else ShapeError.
template <Backend B>
typename B::Scalar norm(B& backend, Input<B> S, Input<B> u, Index unit = 1) {
  using Scalar = typename B::Scalar;
  ConstView<B> const s = S, v = u;
  require_at_least("norm", "unit", unit, Index{1});
  if (s.rows() != v.rows() || s.cols() != 1)
    throw ShapeError(message("norm: S is ", s.rows(), " x ", s.cols(), ", u has ", v.rows(), " rows"));
  if (v.cols() % unit != 0)
    throw ShapeError(message("norm: u has ", v.cols(), " columns, must be a multiple of ", unit));
  auto const length =
      detail::longest(detail::in_double(detail::positive_vector<B>(backend, "norm", "S", s, v.rows())),
                      detail::doubles_of(backend, v), unit);
  return detail::rounded_up<Scalar>(length);
}

/// Before the run: |U_T - U*|_S <= kappa^T / (1 - kappa) |U_1|_S, from U_0 = 0. No bound where kappa >= 1.
///                                                                                                       (C2)
template <class Scalar>
std::optional<Scalar> a_priori_bound(Scalar kappa, std::type_identity_t<Scalar> norm_U_1, Index T) {
  require_at_least("a_priori_bound", "T", T, Index{0});
  if (!(kappa < Scalar(1))) return std::nullopt;
  double const bound = detail::a_priori(static_cast<double>(kappa), static_cast<double>(norm_U_1), T);
  return bound == 0 ? Scalar(0)
                    : std::max(detail::rounded_up<Scalar>(bound), std::numeric_limits<Scalar>::min());
}

/// The smallest T for which a_priori_bound is at most `tolerance`, a normal number > 0. None where kappa >=
/// 1, nor where norm_U_1 is not finite or T would not be an Index.                                       (C2)
template <class Scalar>
std::optional<Index> steps_for(Scalar kappa, std::type_identity_t<Scalar> norm_U_1,
                               std::type_identity_t<Scalar> tolerance) {
  if (!(tolerance > Scalar(0)) || !std::isfinite(tolerance))
    throw DomainError(message("steps_for: tolerance = ", tolerance, ", must be > 0 and finite"));
  double const c = static_cast<double>(kappa), length = static_cast<double>(norm_U_1),
               wanted = static_cast<double>(tolerance);
  if (!(c < 1) || !std::isfinite(length) || tolerance < std::numeric_limits<Scalar>::min())
    return std::nullopt;
  if (detail::a_priori(c, length, 0) <= wanted) return Index{0};
  double const estimate = (std::log(wanted) + std::log1p(-c) - std::log(length)) / std::log(c);
  double const first = std::max(std::floor(estimate * (1 - 1e-14)) - 1, 0.);
  if (!(first < 0x1p62)) return std::nullopt;
  Index T = static_cast<Index>(first);
  while (T > 0 && detail::a_priori(c, length, T - 1) <= wanted) --T;
  while (detail::a_priori(c, length, T) > wanted) ++T;
  return T;
}

/// After a step: |U_T - U*|_S <= kappa / (1 - kappa) |U_T - U_{T-1}|_S. No bound where kappa >= 1.       (C3)
template <class Scalar>
std::optional<Scalar> a_posteriori_bound(Scalar kappa, std::type_identity_t<Scalar> norm_last_step) {
  if (!(kappa < Scalar(1))) return std::nullopt;
  if (!std::isfinite(norm_last_step)) return norm_last_step;
  if (kappa == Scalar(0) || norm_last_step == Scalar(0)) return Scalar(0);
  double const c = static_cast<double>(kappa);
  return detail::as_bound<Scalar>(c / (1 - c) * static_cast<double>(norm_last_step));
}

namespace detail {

/// |A(h o Z + W~ (U - Z), b) - U|_S of the longest sample, from above: how far an update moves U. Without U,
/// U = 0: the length of U_1. The rounding of the product, and of tied parameters, is added: at most (n + 8)
/// eps of the terms |h||z| + |W~|(|u| + |z|) + |b| + |u|, for n entries in a row of W~.
template <class Activation, Backend B, Structure Str>
typename B::Scalar longest_update(B& backend, char const* who, Recurrence<B, Str> const& recurrence,
                                  Matrix<B> const& S, Activation activation, ConstView<B> Z,
                                  std::optional<ConstView<B>> U = std::nullopt) {
  using Scalar = typename B::Scalar;
  auto const& structure = recurrence.structure;
  recurrence.check(who);
  Index const k = recurrence.dim(), N = Z.cols();
  if (Z.rows() != k) throw ShapeError(message(who, ": z has ", Z.rows(), " rows, W_tilde has ", k));
  if (N % structure.unit() != 0)
    throw ShapeError(message(who, ": z has ", N, " columns, must be a multiple of ", structure.unit()));
  if (U) require_shape(who, "u", *U, k, N);
  auto const h = to_host(backend, ConstView<B>(recurrence.h)),
             b = to_host(backend, ConstView<B>(recurrence.b));
  for (Index i = 0; i < k; ++i)
    if (!formula::one_sided<Activation> && !(b(i, 0) >= Scalar(0)))
      throw DomainError(message(who, ": b(", i, ") = ", b(i, 0), ", must be >= 0"));
  auto const z = to_host(backend, Z), u = U ? to_host(backend, *U) : HostMatrix<Scalar>(k, N);
  auto const weights = to_host(backend, ConstView<B>(recurrence.W_tilde));
  auto const product = [&](ConstView<B> W, auto const& entry) {  // W~ applied to entry(i, j)
    Matrix<B> const from = to_device(backend, host_matrix<Scalar>(k, N, entry));
    Matrix<B> to;
    resize(backend, to, k, N);
    View<B> const V = to;
    auto const frame = backend.lane().frame();
    auto const sums = direct_sums(structure);
    auto const K = sums.prepare(backend, W, Op::none);
    each_chunk(backend, structure.batch(N), 2 * k, [&](typename B::Lane& lane, Columns c) {
      sums.map(lane, K, columns(ConstView<B>(from), c), formula::Store{}, columns(V, c));
    });
    return to_host(backend, ConstView<B>(to));
  };
  Matrix<B> const magnitudes =
      to_device(backend, host_matrix<Scalar>(weights.rows(), weights.cols(),
                                             [&](Index i, Index j) { return std::abs(weights(i, j)); }));
  auto const v = product(recurrence.W_tilde, [&](Index i, Index j) { return u(i, j) - z(i, j); });
  auto const terms =
      product(magnitudes, [&](Index i, Index j) { return std::abs(u(i, j)) + std::abs(z(i, j)); });
  double const eps = static_cast<double>(weights.rows() * structure.taps() + 8) *
                     static_cast<double>(std::numeric_limits<Scalar>::epsilon());
  HostMatrix<double> step(k, N), rounding(k, N);
  for (Index j = 0; j < N; ++j)
    for (Index i = 0; i < k; ++i) {
      double const hz = static_cast<double>(h(i, 0)) * static_cast<double>(z(i, j)),
                   b_i = static_cast<double>(b(i, 0)), u_ij = static_cast<double>(u(i, j));
      step(i, j) = activation(hz + static_cast<double>(v(i, j)), b_i) - u_ij;
      rounding(i, j) =
          eps * (std::abs(hz) + static_cast<double>(terms(i, j)) + std::abs(b_i) + std::abs(u_ij));
    }
  auto const s = in_double(positive_vector<B>(backend, who, "S", S, k));
  return rounded_up<Scalar>(longest(s, step, structure.unit()) + longest(s, rounding, structure.unit()));
}

}  // namespace detail

/// The a-priori bound of T updates with free parameters, over all samples of z, in the norm of S of
/// `contraction`.                                                                                        (C2)
///
/// Shapes    z: k x N, a column a site.
/// Requires  shapes that fit, else ShapeError; T >= 0 and, but for the nonnegative shrinkage, b >= 0, else
///           DomainError.
/// Ensures   |U_T - U*|_S <= the bound in every sample, an image of a convolution, with U* the one fixed
///           point and U_T by exact arithmetic; no bound where kappa >= 1.
/// Tested    tests/prox/contraction_test.cpp
template <class Activation, Backend B, Structure Str>
std::optional<typename B::Scalar> a_priori_bound(B& backend, Recurrence<B, Str> const& recurrence,
                                                 Activation activation, Input<B> z, Index T) {
  auto const [S, kappa] = contraction(backend, recurrence);
  return a_priori_bound(
      kappa, detail::longest_update<Activation, B>(backend, "a_priori_bound", recurrence, S, activation, z),
      T);
}

/// The number of updates after which that bound is at most `tolerance`.                                  (C2)
template <class Activation, Backend B, Structure Str>
std::optional<Index> steps_for(B& backend, Recurrence<B, Str> const& recurrence, Activation activation,
                               Input<B> z, typename B::Scalar tolerance) {
  auto const [S, kappa] = contraction(backend, recurrence);
  return steps_for(kappa,
                   detail::longest_update<Activation, B>(backend, "steps_for", recurrence, S, activation, z),
                   tolerance);
}

/// How far any u is from the fixed point, from one more update: of a layer's output, say.                (C3)
///
///   |u - U*|_S <= |u - A(h o z + W~ (u - z), b)|_S / (1 - kappa)
///
/// Shapes    z, u: k x N.
/// Requires  as a_priori_bound.
/// Ensures   as there; what rounding may hide of the update is added, so the bound holds for u as it is, and
///           is not 0 at a fixed point of the rounded recursion.
/// Tested    tests/prox/contraction_test.cpp
template <class Activation, Backend B, Structure Str>
std::optional<typename B::Scalar> a_posteriori_bound(B& backend, Recurrence<B, Str> const& recurrence,
                                                     Activation activation, Input<B> z, Input<B> u) {
  auto const [S, kappa] = contraction(backend, recurrence);
  return a_priori_bound(
      kappa,
      detail::longest_update<Activation, B>(backend, "a_posteriori_bound", recurrence, S, activation, z, u),
      0);
}

/// The a-priori bound of T updates on a problem, over all samples of z, in the norm of S.                (C2)
/// Where a recursion does not start at 0, it starts nearer to the solution, so the bound holds all the more.
/// Gauss-Seidel and FISTA are refused when the program is compiled.
template <Backend B, Metric M, Penalty P, class R>
std::optional<typename B::Scalar> a_priori_bound(B& backend, M const& Q, P const& psi, Input<B> z,
                                                 R const& scheme, Index T) {
  using Activation = typename P::Activation;
  detail::check_problem("a_priori_bound", Q, psi, ConstView<B>(z));
  auto const [tied, known] = detail::tied_contraction(backend, Q, psi, scheme);
  return a_priori_bound(
      known.kappa,
      detail::longest_update<Activation, B>(backend, "a_priori_bound", tied, known.S, psi.activation(), z),
      T);
}

/// The number of updates after which that bound is at most `tolerance`.                                  (C2)
template <Backend B, Metric M, Penalty P, class R>
std::optional<Index> steps_for(B& backend, M const& Q, P const& psi, Input<B> z, R const& scheme,
                               typename B::Scalar tolerance) {
  using Activation = typename P::Activation;
  detail::check_problem("steps_for", Q, psi, ConstView<B>(z));
  auto const [tied, known] = detail::tied_contraction(backend, Q, psi, scheme);
  return steps_for(
      known.kappa,
      detail::longest_update<Activation, B>(backend, "steps_for", tied, known.S, psi.activation(), z),
      tolerance);
}

/// What FISTA promises after T >= 1 updates, given |U*|_Theta or a bound on it.                          (C5)
///
///   F(U_T) - F* <= 2 |U*|_Theta^2 / (T + 1)^2,   F(u) = 1/2 |u - z|_Q^2 + psi(u)
///
/// Theta are the sums of |q_il| over l, as in Gershgorin. With m = convexity_modulus it also says
/// |U_T - U*|_2^2 <= 2/m (F(U_T) - F*). Rounded up, and 0 for a norm of 0 alone.
template <class Scalar>
Scalar fista_bound(Scalar norm_u_star_Theta, Index T) {
  require_at_least("fista_bound", "T", T, Index{1});
  if (norm_u_star_Theta == Scalar(0)) return Scalar(0);
  double const share = static_cast<double>(norm_u_star_Theta) / (static_cast<double>(T) + 1);
  return detail::as_bound<Scalar>(2 * share * share);
}

}  // namespace detrame::inline DETRAME_ABI
