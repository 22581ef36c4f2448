// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "detrame/operator/definite.hpp"
#include "detrame/robust/rounding.hpp"

namespace detrame::inline DETRAME_ABI {

/// What layers of exact codes, one after the other, can make of a change of the first one's input x.     (L5)
///
///   X_0 = I,   X_r = 2 tau (D_r^T D_r + s_r I) - tau^2 D_r^T X_{r-1}^{-1} D_r
///   (u_r - u_r')^T X_r (u_r - u_r') <= |x - x'|_2^2,   |<v, u_r - u_r'>| <= sqrt(v^T X_r^{-1} v) |x - x'|_2
///
/// for every tau > 0 with X_r > 0. tau = 2 lambda_min(X_{r-1}) gives the product of the layers' constants;
/// some multiples of it are tried as well. The best of them is the one that the next layer stands on, and
/// each v takes the best of the last layer's.
///
/// Kept are Y >= X_r^{-1}, which is all that the next layer and the bounds need. They are shown in double:
/// what rounding leaves of X_r, of its inverse and of their product is added to them.
///
/// Ensures   |<v, .>| bounded from above, and never by more than the product of the layers' constants does.
/// Cost      of a layer some 30 k^3 + 2 m^2 k flops on the host, and eigenvalues of nine k x k matrices
/// Tested    tests/robust/code_stack_test.cpp
class CodeStack {
 public:
  /// Multiples of 2 lambda_min(X_{r-1}) that are tried for tau.
  static constexpr std::array<double, 9> shares{.125, .25, .5, .7, .85, 1, 1.2, 1.5, 2};

  /// No layer yet, on data of m entries: X_0 = I.
  explicit CodeStack(Index m)
      : bounds_{{host_matrix<double>(m, m, [](Index i, Index j) { return i == j ? 1. : 0.; }), 1}} {}

  Index size() const { return bounds_.front().Y.rows(); }

  /// The next layer's dictionary, size() x k, and its modulus s = alpha + beta, or a number below it.
  template <Backend B>
  void add(B& backend, HostMatrix<double> const& D, double s) {
    if (D.rows() != size())
      throw ShapeError(message("CodeStack: D has ", D.rows(), " rows, the codes before have ", size()));
    if (!(s > 0)) throw DomainError(message("CodeStack: alpha + beta = ", s, ", must be > 0"));
    Bound const before = best();
    Index const m = D.rows(), k = D.cols();
    HostMatrix<double> YD(m, k), gram(k, k), inner(k, k);
    for (Index j = 0; j < k; ++j)
      for (Index l = 0; l < m; ++l)
        for (Index i = 0; i < m; ++i) YD(i, j) += before.Y(i, l) * D(l, j);
    for (Index j = 0; j < k; ++j)
      for (Index i = j; i < k; ++i) {
        double a = 0, b = 0;
        for (Index l = 0; l < m; ++l) {
          a += D(l, i) * D(l, j);
          b += D(l, i) * YD(l, j);
        }
        gram(i, j) = gram(j, i) = a + (i == j ? s : 0.);
        inner(i, j) = inner(j, i) = b;
      }
    double const size_D = detail::magnitude_norm(D), size_Y = detail::magnitude_norm(before.Y);
    product_ = std::max(detail::above(product_ / (4 * s), 4), std::numeric_limits<double>::min());
    bounds_.clear();
    for (double const share : shares) {
      double const tau = share * 2 / before.largest;
      double const error = 8 * static_cast<double>(m + 8) * std::numeric_limits<double>::epsilon() *
                           (tau * (size_D * size_D + s) + tau * tau * size_D * size_D * size_Y);  // in norm
      auto const X = host_matrix<double>(
          k, k, [&](Index i, Index j) { return 2 * tau * gram(i, j) - tau * tau * inner(i, j); });
      if (HostMatrix<double> Y; inverted(X, error, Y)) {
        double const largest = detail::above(detail::eigenvalue_from_above(backend, Y, 0));
        if (largest > 0 && std::isfinite(largest)) bounds_.push_back({std::move(Y), largest});
      }
    }
    double const of_product = detail::above(before.largest / (4 * s), 4);  // X_r^{-1} <= it where share = 1
    if (bounds_.empty())
      bounds_.push_back(
          {host_matrix<double>(k, k, [&](Index i, Index j) { return i == j ? of_product : 0.; }),
           of_product});
  }

  /// No <v, u - u'> is larger in magnitude than this times |x - x'|_2: 0 only where v is. Of v over its
  /// largest entry, times that, so that no square is lost.
  double bound(std::vector<double> const& v) const {
    if (static_cast<Index>(v.size()) != size())
      throw ShapeError(message("CodeStack: v has ", v.size(), " entries, the codes have ", size()));
    double const n = static_cast<double>(size()), eps = std::numeric_limits<double>::epsilon();
    double largest = 0, length = 0;
    for (double const x : v) detail::raise(largest, std::abs(x));
    if (!(largest > 0) || !std::isfinite(largest)) return largest;
    std::vector<double> w;
    for (double const x : v) {
      w.push_back(x / largest);
      length += w.back() * w.back();
    }
    double const lost = (n * n + 1) * std::numeric_limits<double>::min();
    double least = detail::above(product_ * length, n) + lost;
    for (Bound const& b : bounds_) {
      double square = 0, magnitudes = 0;
      for (std::size_t j = 0; j < w.size(); ++j)
        for (std::size_t i = 0; i < w.size(); ++i) {
          double const term = w[i] * b.Y(static_cast<Index>(i), static_cast<Index>(j)) * w[j];
          square += term;
          magnitudes += std::abs(term);
        }
      least = std::min(least, std::max(square, 0.) + 2 * (n * n + 8) * eps * magnitudes + lost);
    }
    return detail::product_from_above(largest, detail::above(std::sqrt(least)));
  }

  /// The same of the codes themselves, |u - u'|_2: the root of the largest eigenvalue.
  double lipschitz() const { return detail::above(std::sqrt(std::min(best().largest, product_))); }

 private:
  struct Bound {
    HostMatrix<double> Y;
    double largest;  ///< eigenvalue, from above
  };
  Bound const& best() const {
    return *std::min_element(bounds_.begin(), bounds_.end(),
                             [](Bound const& a, Bound const& b) { return a.largest < b.largest; });
  }

  /// Y <- one that is >= (X - E)^{-1} for every |E|_2 <= error. False, and Y stays, where that is not shown.
  static bool inverted(HostMatrix<double> const& X, double error, HostMatrix<double>& Y) {
    Index const k = X.rows();
    double const eps = std::numeric_limits<double>::epsilon();
    std::vector<double> definite(X.data(), X.data() + k * k);
    if (!detail::shown_definite(definite, k, error)) return false;
    HostMatrix<double> L = X, Z(k, k);  // X = L L^T; Z = X^{-1}, nearly
    for (Index j = 0; j < k; ++j) {
      for (Index p = 0; p < j; ++p)
        for (Index i = j; i < k; ++i) L(i, j) -= L(i, p) * L(j, p);
      double const root = std::sqrt(L(j, j));
      for (Index i = j; i < k; ++i) L(i, j) /= root;
    }
    for (Index c = 0; c < k; ++c) {
      std::vector<double> z(static_cast<std::size_t>(k));
      auto const at = [&](Index i) -> double& { return z[static_cast<std::size_t>(i)]; };
      at(c) = 1;
      for (Index j = c; j < k; ++j) {
        at(j) /= L(j, j);
        for (Index i = j + 1; i < k; ++i) at(i) -= L(i, j) * at(j);
      }
      for (Index j = k; j-- > 0;) {
        for (Index i = j + 1; i < k; ++i) at(j) -= L(i, j) * at(i);
        at(j) /= L(j, j);
      }
      for (Index i = 0; i < k; ++i) Z(i, c) = at(i);
    }
    double square = 0;  // of R = I - X Z
    for (Index c = 0; c < k; ++c) {
      std::vector<double> r(static_cast<std::size_t>(k));
      r[static_cast<std::size_t>(c)] = 1;
      for (Index l = 0; l < k; ++l)
        for (Index i = 0; i < k; ++i) r[static_cast<std::size_t>(i)] -= X(i, l) * Z(l, c);
      for (double const x : r) square += x * x;
    }
    double const n = static_cast<double>(k),
                 size_Z = detail::length_from_above(k * k, [&](Index i) { return Z.data()[i]; }),
                 size_X = detail::length_from_above(k * k, [&](Index i) { return X.data()[i]; });
    double const eta = detail::above(
        std::sqrt(square) + 2 * (n + 4) * eps * (size_X * size_Z + std::sqrt(n)) + error * size_Z,
        n * n + 16);
    if (!(eta < .5)) return false;
    double const shift = detail::above(eta / (1 - eta) * size_Z + 4 * eps * size_Z);
    Y = host_matrix<double>(
        k, k, [&](Index i, Index j) { return (Z(i, j) + Z(j, i)) / 2 + (i == j ? shift : 0.); });
    return true;
  }

  std::vector<Bound> bounds_;
  double product_ = 1;  ///< of 1 / (4 s) over the layers
};

}  // namespace detrame::inline DETRAME_ABI
