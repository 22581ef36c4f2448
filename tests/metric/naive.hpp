// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <functional>

#include "detrame/metric/tie.hpp"
#include "support.hpp"

/// What the tests of this folder compare with: textbook loops on the host, in double.
namespace detrame::naive {

using namespace detrame::test;
using Host = HostMatrix<double>;

/// S(t, b): what minimises 1/2 (u - t)^2 + b |u|, over u >= 0 unless two_sided.
inline double shrink(double t, double b, bool two_sided) {
  if (t > b) return t - b;
  return two_sided && t < -b ? t + b : 0.0;
}

/// prox^Q_psi(z) by coordinate minimisation, Theorem 4.1 row by row, until nothing moves.
inline Host prox(Host const& Q, Host const& lambda, Host const& beta, bool two_sided, Host const& Z) {
  Host U(Z.rows(), Z.cols());
  for (Index j = 0; j < Z.cols(); ++j) {
    double moved = 1;
    for (int sweep = 0; moved > 1e-16 && sweep < 20000; ++sweep) {
      moved = 0;
      for (Index i = 0; i < Z.rows(); ++i) {
        double t = Q(i, i) * Z(i, j);
        for (Index l = 0; l < Z.rows(); ++l)
          if (l != i) t -= Q(i, l) * (U(l, j) - Z(l, j));
        double const u = shrink(t, lambda(i, 0), two_sided) / (Q(i, i) + beta(i, 0));
        moved = std::max(moved, std::abs(u - U(i, j)));
        U(i, j) = u;
      }
    }
    REQUIRE(moved <= 1e-15);
  }
  return U;
}

/// One update of eq. (20): S(h o z + W~ (u - z), b).
inline Host updated(Host const& W, Host const& h, Host const& b, bool two_sided, Host const& Z,
                    Host const& U) {
  return host_matrix<double>(Z.rows(), Z.cols(), [&](Index i, Index j) {
    double t = h(i, 0) * Z(i, j);
    for (Index l = 0; l < Z.rows(); ++l) t += W(i, l) * (U(l, j) - Z(l, j));
    return shrink(t, b(i, 0), two_sided);
  });
}

template <Backend B>
Host updated(B& b, Recurrence<B> const& r, bool two_sided, Host const& Z, Host const& U) {
  return updated(rounded<double>(r.structure.dense(b, r.W_tilde)), in_double(b, r.h), in_double(b, r.b),
                 two_sided, Z, U);
}

/// Some entry of u is 0 and some is not: the claim about u can fail on either side.
inline void require_mixed_support(Host const& U) {
  Index zeros = 0;
  for (Index j = 0; j < U.cols(); ++j)
    for (Index i = 0; i < U.rows(); ++i) zeros += U(i, j) == 0;
  REQUIRE(zeros > 0);
  REQUIRE(zeros < U.rows() * U.cols());
}

/// x + t y
inline Host moved(Host const& x, double t, Host const& y) {
  return mapped([t](double a, double b) { return a + t * b; }, x, y);
}

/// The derivative at 0 of a smooth f by central differences, h = eps^(1/3), and the error it may have: h^2
/// times a sixth of the third derivative, which is read off at 2 h, and rounding over h.
struct Derivative {
  double value, error;
};
inline Derivative central_difference(std::function<double(double)> const& f) {
  double const h = std::cbrt(std::numeric_limits<double>::epsilon());
  double const fine = (f(h) - f(-h)) / (2 * h), coarse = (f(2 * h) - f(-2 * h)) / (4 * h);
  double const rounding = tolerance<double>(8, std::abs(f(h)) + std::abs(f(-h)) + 1) / h;
  return {fine, std::abs(coarse - fine) + rounding};
}

}  // namespace detrame::naive
