// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "detrame/operator/definite.hpp"
#include "detrame/operator/symbol.hpp"
#include "detrame/prox/metric_prox.hpp"

namespace detrame {

/// What is known of a recursion of the form (20): a metric, and the factor by which an update draws any two
/// points together in it.                                                                                (C1)
template <Backend B>
struct Contraction {
  Matrix<B> S;               ///< k x 1; |v|_S^2 = sum_i s_i v_i^2, over all sites of an image
  typename B::Scalar kappa;  ///< from above
};

namespace detail {

/// Refuses what is not a column of k entries, each > 0 and finite.
template <Backend B>
HostMatrix<typename B::Scalar> positive_vector(B& backend, char const* who, char const* name, ConstView<B> v,
                                               Index k) {
  if (v.rows() != k || v.cols() != 1)
    throw ShapeError(message(who, ": ", name, " is ", v.rows(), " x ", v.cols(), ", must be ", k, " x 1"));
  auto host = to_host(backend, v);
  for (Index i = 0; i < k; ++i)
    if (!(host(i, 0) > 0) || !std::isfinite(host(i, 0)))
      throw DomainError(message(who, ": ", name, "(", i, ") = ", host(i, 0), ", must be > 0 and finite"));
  return host;
}

/// The entries of a column, in double.
template <class Scalar>
std::vector<double> in_double(HostMatrix<Scalar> const& v) {
  std::vector<double> entries;
  for (Index i = 0; i < v.rows(); ++i) entries.push_back(static_cast<double>(v(i, 0)));
  return entries;
}

/// Block g of a block-diagonal matrix, kg x kg, as f makes it of its entries: f(row, column, entry), rows and
/// columns counted in the whole matrix.
template <class Scalar, class F>
HostMatrix<double> block_of(HostMatrix<Scalar> const& blocks, Index g, F const& f) {
  Index const kg = blocks.rows(), first = g * kg;
  return host_matrix<double>(kg, kg, [&](Index i, Index j) {
    return f(first + i, first + j, static_cast<double>(blocks(i, first + j)));
  });
}

/// The sums of |W| over the taps of a kernel, block beside block: kg x k.
template <class Scalar>
HostMatrix<double> tap_magnitudes(HostMatrix<Scalar> const& W, Index taps) {
  Index const kg = W.rows();
  return host_matrix<double>(kg, W.cols() / taps, [&](Index i, Index j) {
    double sum = 0;
    for (Index tap = 0; tap < taps; ++tap)
      sum += std::abs(static_cast<double>(W(i, (j / kg * taps + tap) * kg + j % kg)));
    return sum;
  });
}

/// s_i = l_i / r_i from right and left Perron vectors r, l of M + delta 1 1^T, M >= 0 a matrix of size k; the
/// least s_i is 1. All s_i are 1 where M = 0 or M is not finite.                                         (C7)
///
/// Power iteration on M + c I + delta 1 1^T, which is positive, so neither reducible nor periodic, until its
/// ratios agree to 1e-6 of the root, or 2000 times: a worse scaling is still one.
inline std::vector<double> perron_scaling(HostMatrix<double> const& M) {
  Index const k = M.rows();
  auto const n = static_cast<std::size_t>(k);
  std::vector<double> r(n, 1.), l = r, s = r, next(n);
  double const largest = largest_magnitude(M);
  if (!(largest > 0) || !std::isfinite(largest)) return s;
  Scaled const scaled(M, largest);
  double sum = 0;
  for (Index j = 0; j < k; ++j)
    for (Index i = 0; i < k; ++i) sum += scaled.matrix(i, j);
  double const c = sum / static_cast<double>(2 * k), delta = std::ldexp(1., -20) / static_cast<double>(k);
  /// v <- (M + c I + delta 1 1^T) v, or its transpose, to largest entry 1; whether v has settled.
  auto const advance = [&](std::vector<double>& v, bool transposed) {
    double total = 0, low = std::numeric_limits<double>::infinity(), high = 0, size = 0;
    for (double const x : v) total += x;
    for (std::size_t i = 0; i < n; ++i) next[i] = c * v[i] + delta * total;
    for (Index j = 0; j < k; ++j)
      for (Index i = 0; i < k; ++i) {
        auto const row = static_cast<std::size_t>(i), column = static_cast<std::size_t>(j);
        if (transposed)
          next[column] += scaled.matrix(i, j) * v[row];
        else
          next[row] += scaled.matrix(i, j) * v[column];
      }
    for (std::size_t i = 0; i < n; ++i) {
      low = std::min(low, next[i] / v[i]);
      high = std::max(high, next[i] / v[i]);
      size = std::max(size, next[i]);
    }
    for (std::size_t i = 0; i < n; ++i) v[i] = next[i] / size;
    return high - low <= 1e-6 * (high - c);
  };
  for (bool const transposed : {false, true})
    for (int t = 0; t < 2000 && !advance(transposed ? l : r, transposed); ++t) {
    }
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < n; ++i) least = std::min(least, l[i] / r[i]);
  for (std::size_t i = 0; i < n; ++i) s[i] = l[i] / r[i] / least;
  return s;
}

/// |v|_S of the longest sample of v, a sample being `unit` columns, from above; NaN for NaN.
inline double longest(std::vector<double> const& s, HostMatrix<double> const& v, Index unit) {
  double longest = 0;
  Index const k = v.rows();
  for (Index first = 0; first < v.cols(); first += unit) {
    auto const entry = [&](Index i, Index j) {
      return std::sqrt(s[static_cast<std::size_t>(i)]) * std::abs(v(i, first + j));
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

/// kappa^T / (1 - kappa) length for kappa < 1, never 0 by underflow: at least the smallest normal number, but
/// where kappa^T or length is 0.
inline double a_priori(double kappa, double length, Index T) {
  if (length == 0 || (kappa == 0 && T > 0)) return 0;
  double const start = length / (1 - kappa), tiny = std::numeric_limits<double>::min();
  double const half = std::pow(kappa, static_cast<double>(T / 2)),
               rest = std::pow(kappa, static_cast<double>(T - T / 2));
  double const bound = (start * std::max(half, tiny)) * std::max(rest, tiny);
  return bound < tiny ? tiny : bound;
}

/// A number of the scalar for a bound in double; never 0 by underflow.
template <class Scalar>
Scalar as_bound(double x) {
  if (x > 0 && x < static_cast<double>(std::numeric_limits<Scalar>::min()))
    return std::numeric_limits<Scalar>::min();
  return static_cast<Scalar>(x);
}

}  // namespace detail

/// The factor by which an update of the form (20) draws any two points together in the norm of S.        (C1)
///
///   kappa = |S^{1/2} W~ S^{-1/2}|_2,   |v|_S^2 = sum_i s_i v_i^2
///
/// Shapes    S: k x 1, each s_i > 0; W~ any map of R^k, symmetric in S or not.
/// Requires  S of k entries, else ShapeError, each > 0 and finite, else DomainError.
/// Ensures   |A(W~ u + G, b) - A(W~ u' + G, b)|_S <= kappa |u - u'|_S for all u, u', G, b >= 0, both
///           activations; kappa is an upper bound, shown by a Cholesky factor in double, and exceeds the
///           smallest number for which W~ alone does so by rounding, some k eps. NaN gives NaN.
/// Cost      the eigenvalues of a kg x kg matrix for each block; 2 k kg^2 flops on the host.
/// Tested    tests/prox/certificate_test.cpp: (C1)
template <Backend B>
typename B::Scalar contraction_factor(B& backend, Recurrence<B> const& recurrence, Input<B> S) {
  recurrence.check("contraction_factor");
  auto const s =
      detail::in_double(detail::positive_vector<B>(backend, "contraction_factor", "S", S, recurrence.dim()));
  auto const W = to_host(backend, ConstView<B>(recurrence.W_tilde));  // kg x k
  double kappa = 0;
  for (Index g = 0; g < recurrence.structure.groups; ++g)
    detail::raise(kappa,
                  detail::norm_from_above(backend, detail::block_of(W, g, [&](Index i, Index j, double w) {
                                            return std::sqrt(s[static_cast<std::size_t>(i)]) * w /
                                                   std::sqrt(s[static_cast<std::size_t>(j)]);
                                          })));
  return detail::rounded_up<typename B::Scalar>(kappa * (1 + 8 * std::numeric_limits<double>::epsilon()));
}

/// The same of a convolution, for images of every size: norm_bound of its scaled kernel, 4 % above for a 3 x
/// 3 kernel at most, and below 1 where the symbol's norm is, unless that takes too many frequencies to show.
///       (K3)
template <Backend B, class Arithmetic>
typename B::Scalar contraction_factor(B& backend,
                                      Recurrence<B, ConvolutionalBlocksBy<Arithmetic>> const& recurrence,
                                      Input<B> S) {
  recurrence.check("contraction_factor");
  auto left =
      detail::in_double(detail::positive_vector<B>(backend, "contraction_factor", "S", S, recurrence.dim()));
  std::vector<double> right;
  for (double& s : left) {
    s = std::sqrt(s);
    right.push_back(1 / s);
  }
  return norm_bound(backend, recurrence.structure, ConstView<B>(recurrence.W_tilde), left, right);
}

/// kappa and S of a recursion. Gauss-Seidel and FISTA are refused when the program is compiled.          (C1)
///
/// Ensures   S = Theta + gamma beta; kappa allows for the rounding of W~.
template <Backend B, Metric M, Penalty P, class R>
Contraction<B> contraction(B& backend, M const& Q, P const& psi, R const& recursion) {
  static_assert(
      TiedRecursion<R, M>,
      "contraction: only a recursion of the form (20) has a kappa, and bounds that follow from it; for "
      "Gauss-Seidel and FISTA take the residual bound (C4)");
  if constexpr (TiedRecursion<R, M>) {
    using Scalar = typename B::Scalar;
    Step<B> const step = recursion.tied_step(backend, Q);
    auto const tied = tie(backend, Q, psi, step);
    auto const Theta = to_host(backend, ConstView<B>(step.Theta)), beta = to_host(backend, psi.beta());
    Matrix<B> S = to_device(backend, host_matrix<Scalar>(Q.dim(), 1, [&](Index i, Index) {
                              return Theta(i, 0) + step.gamma * beta(i, 0);
                            }));
    // An entry of W~ is rounded to 3 eps of itself and eps / 2 of theta / s <= 1; a row of n entries has a
    // sum of magnitudes of at most sqrt(n) its length.
    double const kappa = static_cast<double>(contraction_factor(backend, tied, S)),
                 n = static_cast<double>(tied.W_tilde.rows() * tied.structure.taps());
    double const rounding =
        4 * static_cast<double>(std::numeric_limits<Scalar>::epsilon()) * (1 + std::sqrt(n) * kappa);
    return {std::move(S), kappa == 0 ? Scalar(0) : detail::rounded_up<Scalar>(kappa + rounding)};
  }
}

/// kappa and S of free parameters, such as those of a trained layer: S = diag(l_i / r_i).                (C7)
///
///   r, l > 0: right and left Perron vectors of |W~| + delta 1 1^T, block by block, delta small against |W~|;
///   for a convolution |W~| is the sum over its taps, and the block one of channels
///
/// Requires  parts that fit, else ShapeError or DomainError.
/// Ensures   (1) kappa bounds |S^{1/2} W~ S^{-1/2}|_2 from above, for images of every size.
///           (2) kappa <= rho(|W~| + delta 1 1^T) up to rounding and what the power iteration leaves, 1e-6; 0
///               for W~ = 0. NaN gives NaN.
///           (3) the least s_i of a block is 1, so that |v|_2 <= |v|_S.
/// Cost      4 kg^2 flops a step of the power iteration, at most 2000; contraction_factor.
/// Source    docs/maths.md (C7): no symmetry is needed, and none of Q, psi
/// Tested    tests/prox/certificate_test.cpp: (C7)
template <Backend B, Structure Str>
Contraction<B> contraction(B& backend, Recurrence<B, Str> const& recurrence) {
  using Scalar = typename B::Scalar;
  recurrence.check("contraction");
  Index const k = recurrence.dim();
  auto const M = detail::tap_magnitudes(to_host(backend, ConstView<B>(recurrence.W_tilde)),
                                        recurrence.structure.taps());  // kg x k
  HostMatrix<Scalar> S(k, 1);
  for (Index g = 0; g < recurrence.structure.groups; ++g) {
    auto const s = detail::perron_scaling(detail::block_of(M, g, [](Index, Index, double m) { return m; }));
    for (std::size_t i = 0; i < s.size(); ++i)
      S(g * M.rows() + static_cast<Index>(i), 0) = static_cast<Scalar>(s[i]);
  }
  Matrix<B> S_device = to_device(backend, S);
  Scalar const kappa = contraction_factor(backend, recurrence, S_device);
  return {std::move(S_device), kappa};
}

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
  auto const host = to_host(backend, v);
  auto const length =
      detail::longest(detail::in_double(detail::positive_vector<B>(backend, "norm", "S", s, v.rows())),
                      host_matrix<double>(v.rows(), v.cols(),
                                          [&](Index i, Index j) { return static_cast<double>(host(i, j)); }),
                      unit);
  return detail::rounded_up<Scalar>(length);
}

/// Before the run: |U_T - U*|_S <= kappa^T / (1 - kappa) |U_1|_S, from U_0 = 0. No bound where kappa >= 1.
/// (C2)
template <class Scalar>
std::optional<Scalar> a_priori_bound(Scalar kappa, std::type_identity_t<Scalar> norm_U_1, Index T) {
  require_at_least("a_priori_bound", "T", T, Index{0});
  if (!(kappa < Scalar(1))) return std::nullopt;
  return detail::as_bound<Scalar>(
      detail::a_priori(static_cast<double>(kappa), static_cast<double>(norm_U_1), T));
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
  while (detail::a_priori(c, length, T) > wanted) ++T;
  return T;
}

/// After a step: |U_T - U*|_S <= kappa / (1 - kappa) |U_T - U_{T-1}|_S. No bound where kappa >= 1.       (C3)
template <class Scalar>
std::optional<Scalar> a_posteriori_bound(Scalar kappa, std::type_identity_t<Scalar> norm_last_step) {
  if (!(kappa < Scalar(1))) return std::nullopt;
  return detail::as_bound<Scalar>(static_cast<double>(kappa) / (1 - static_cast<double>(kappa)) *
                                  static_cast<double>(norm_last_step));
}

namespace detail {

/// |A(h o Z + W~ (U - Z), b) - U|_S of the longest sample, from above: how far an update moves U. Without U,
/// U = 0: the length of U_1. The rounding of the product, and of tied parameters, is added: at most (n + 8)
/// eps of the terms |h||z| + |W~|(|u| + |z|) + |b| + |u|, for n entries in a row of W~.
template <class Activation, Backend B, Structure Str>
double longest_update(B& backend, char const* who, Recurrence<B, Str> const& recurrence, Matrix<B> const& S,
                      Activation, ConstView<B> Z, std::optional<ConstView<B>> U) {
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
    if (Activation::two_sided && !(b(i, 0) >= Scalar(0)))
      throw DomainError(message(who, ": b(", i, ") = ", b(i, 0), ", must be >= 0"));
  auto const z = to_host(backend, Z), u = U ? to_host(backend, *U) : HostMatrix<Scalar>(k, N);
  auto const weights = to_host(backend, ConstView<B>(recurrence.W_tilde));
  auto const product = [&](ConstView<B> W, auto const& entry) {  // W~ applied to entry(i, j)
    Matrix<B> const from = to_device(backend, host_matrix<Scalar>(k, N, entry));
    Matrix<B> to;
    resize(backend, to, k, N);
    View<B> const V = to;
    each_chunk(backend, structure.batch(N), 2 * k, [&](typename B::Lane& lane, Columns c) {
      structure.apply(lane, W, columns(ConstView<B>(from), c), columns(V, c));
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
      step(i, j) = Activation{}(hz + static_cast<double>(v(i, j)), b_i) - u_ij;
      rounding(i, j) =
          eps * (std::abs(hz) + static_cast<double>(terms(i, j)) + std::abs(b_i) + std::abs(u_ij));
    }
  auto const s = in_double(positive_vector<B>(backend, who, "S", S, k));
  return longest(s, step, structure.unit()) + longest(s, rounding, structure.unit());
}

}  // namespace detail

/// The a-priori bound of T updates with free parameters, over all samples of z, in the norm of S of
/// `contraction`. (C2)
///
/// Shapes    z: k x N, a column a site.
/// Requires  shapes that fit, else ShapeError; T >= 0 and, for the two-sided activation, b >= 0, else
///           DomainError.
/// Ensures   |U_T - U*|_S <= the bound in every sample, an image of a convolution, with U* the one fixed
///           point and U_T by exact arithmetic; no bound where kappa >= 1.
/// Tested    tests/prox/certificate_test.cpp: (C7)
template <class Activation, Backend B, Structure Str>
std::optional<typename B::Scalar> a_priori_bound(B& backend, Recurrence<B, Str> const& recurrence,
                                                 Activation activation, Input<B> z, Index T) {
  auto const [S, kappa] = contraction(backend, recurrence);
  auto const length = detail::longest_update<Activation, B>(backend, "a_priori_bound", recurrence, S,
                                                            activation, z, std::nullopt);
  return a_priori_bound(kappa, detail::rounded_up<typename B::Scalar>(length), T);
}

/// The number of updates after which that bound is at most `tolerance`.                                  (C2)
template <class Activation, Backend B, Structure Str>
std::optional<Index> steps_for(B& backend, Recurrence<B, Str> const& recurrence, Activation activation,
                               Input<B> z, typename B::Scalar tolerance) {
  auto const [S, kappa] = contraction(backend, recurrence);
  auto const length =
      detail::longest_update<Activation, B>(backend, "steps_for", recurrence, S, activation, z, std::nullopt);
  return steps_for(kappa, detail::rounded_up<typename B::Scalar>(length), tolerance);
}

/// How far any u is from the fixed point, from one more update: of a layer's output, say.                (C3)
///
///   |u - U*|_S <= |u - A(h o z + W~ (u - z), b)|_S / (1 - kappa)
///
/// Shapes    z, u: k x N.
/// Requires, Ensures  as a_priori_bound; what rounding may hide of the update is added, so the bound holds
/// for u as it
///           is, and is not 0 at a fixed point of the rounded recursion.
/// Tested    tests/prox/certificate_test.cpp: (C7)
template <class Activation, Backend B, Structure Str>
std::optional<typename B::Scalar> a_posteriori_bound(B& backend, Recurrence<B, Str> const& recurrence,
                                                     Activation activation, Input<B> z, Input<B> u) {
  auto const [S, kappa] = contraction(backend, recurrence);
  auto const length =
      detail::longest_update<Activation, B>(backend, "a_posteriori_bound", recurrence, S, activation, z, u);
  return a_priori_bound(kappa, detail::rounded_up<typename B::Scalar>(length), 0);
}

/// The a-priori bound of T updates on a problem, over all samples of z, in the norm of S.                (C2)
/// Gauss-Seidel and FISTA are refused when the program is compiled.
template <Backend B, Metric M, Penalty P, class R>
std::optional<typename B::Scalar> a_priori_bound(B& backend, M const& Q, P const& psi, Input<B> z,
                                                 R const& recursion, Index T) {
  using Activation = typename P::Activation;
  detail::check_problem("a_priori_bound", Q, psi, ConstView<B>(z));
  auto const [S, kappa] = contraction(backend, Q, psi, recursion);
  auto const tied = tie(backend, Q, psi, recursion.tied_step(backend, Q));
  auto const length = detail::longest_update<Activation, B>(backend, "a_priori_bound", tied, S, Activation(),
                                                            z, std::nullopt);
  return a_priori_bound(kappa, detail::rounded_up<typename B::Scalar>(length), T);
}

/// The number of updates after which that bound is at most `tolerance`.                                  (C2)
template <Backend B, Metric M, Penalty P, class R>
std::optional<Index> steps_for(B& backend, M const& Q, P const& psi, Input<B> z, R const& recursion,
                               typename B::Scalar tolerance) {
  using Activation = typename P::Activation;
  detail::check_problem("steps_for", Q, psi, ConstView<B>(z));
  auto const [S, kappa] = contraction(backend, Q, psi, recursion);
  auto const tied = tie(backend, Q, psi, recursion.tied_step(backend, Q));
  auto const length =
      detail::longest_update<Activation, B>(backend, "steps_for", tied, S, Activation(), z, std::nullopt);
  return steps_for(kappa, detail::rounded_up<typename B::Scalar>(length), tolerance);
}

}  // namespace detrame
