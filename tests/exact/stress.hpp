// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "detrame/core/random.hpp"
#include "support.hpp"

/// Random problems of hard families for the exact solvers, and their judge in long double, which shares no
/// code with what it judges.
namespace detrame::test::stress {

using Real = long double;
using Reals = HostMatrix<Real>;

/// Numbers in the order in which they are asked for.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : random_(seed, 0) {}
  Real uniform(Real low, Real high) {
    return low + (high - low) * static_cast<Real>(random_.uniform<double>(next()));
  }
  Real normal() { return static_cast<Real>(random_.normal<double>(4 * next())); }
  Index below(Index n) { return random_.below(n, next()); }
  bool chance(Real p) { return uniform(0, 1) < p; }
  Real power(Real low, Real high) { return std::pow(Real(10), uniform(low, high)); }

 private:
  std::uint64_t next() { return place_++; }
  Random random_;
  std::uint64_t place_ = 0;
};

enum class Family : int {
  plain,
  duplicate,
  zero,
  collinear,
  integer,
  rescaled,
  lost_alpha,
  few_data,
  lambda_zero,
  lambda_max,
  lambda_infinite,
  huge_d,
  denormal,
  scaled,
  hilbert,
  correlated,
  count
};

inline char const* name(Family family) {
  constexpr char const* names[] = {"plain",           "duplicate",  "zero",     "collinear", "integer",
                                   "rescaled",        "lost alpha", "few data", "lambda 0",  "lambda max",
                                   "lambda infinite", "huge d",     "denormal", "scaled",    "Hilbert",
                                   "correlated"};
  return names[static_cast<int>(family)];
}

/// One problem, whose numbers are those of the scalar that solves it.
///
///   synthesis   1/2 |x - D u|^2 + alpha/2 |u|^2 + <d, u> + psi(u)
///   metric      1/2 |u - z|_Q^2 + psi(u)
struct Problem {
  Family family;
  bool metric, two_sided;
  Reals D, x, d;  // m x k, m x 1, k x 1
  Real alpha;
  Reals Q, z;          // k x k, k x 1
  Reals lambda, beta;  // k x 1

  Index k() const { return lambda.rows(); }
  Index m() const { return metric ? k() : D.rows(); }
};

/// The problem as sums of products in long double: what the judge and the reference read.
struct Form {
  Reals H, r;    // H = Q + diag beta; r = Q z or D^T x - d
  Reals fixed;   // k x 1: the terms of r_i and lambda_i
  Real modulus;  // mu
};

/// (D^T D + alpha I + diag beta, D^T x - d), or (Q + diag beta, Q z). mu: of Q as it is, from the caller in
/// metric form.
inline Form form(Problem const& p, Real lambda_min) {
  Index const k = p.k();
  Form f{Reals(k, k), Reals(k, 1), Reals(k, 1), 0};
  auto const norm = [](Reals const& A, Index j) {
    Real square = 0;
    for (Index i = 0; i < A.rows(); ++i) square += A(i, j) * A(i, j);
    return std::sqrt(square);
  };
  Real least_beta = p.beta(0, 0);
  for (Index i = 0; i < k; ++i) least_beta = std::min(least_beta, p.beta(i, 0));
  f.modulus = (p.metric ? lambda_min : p.alpha) + least_beta;
  if (p.metric) {
    Real terms = 0;
    for (Index l = 0; l < k; ++l) terms += std::sqrt(p.Q(l, l)) * std::abs(p.z(l, 0));
    for (Index i = 0; i < k; ++i) {
      for (Index l = 0; l < k; ++l) {
        f.H(i, l) = p.Q(i, l);
        f.r(i, 0) += p.Q(i, l) * p.z(l, 0);
      }
      f.fixed(i, 0) = std::sqrt(p.Q(i, i)) * terms;
    }
  } else {
    for (Index i = 0; i < k; ++i) {
      for (Index l = 0; l < k; ++l)
        for (Index a = 0; a < p.D.rows(); ++a) f.H(i, l) += p.D(a, i) * p.D(a, l);
      f.H(i, i) += p.alpha;
      for (Index a = 0; a < p.D.rows(); ++a) f.r(i, 0) += p.D(a, i) * p.x(a, 0);
      f.r(i, 0) -= p.d(i, 0);
      f.fixed(i, 0) = norm(p.D, i) * norm(p.x, 0) + std::abs(p.d(i, 0));
    }
  }
  for (Index i = 0; i < k; ++i) {
    f.H(i, i) += p.beta(i, 0);
    f.fixed(i, 0) += std::isinf(p.lambda(i, 0)) ? Real(0) : p.lambda(i, 0);
  }
  return f;
}

/// t_i: a bound of the terms that entry i of the gradient is summed from at u.
inline Reals terms(Form const& f, Reals const& u) {
  Real sum = 0;
  for (Index l = 0; l < u.rows(); ++l) sum += std::sqrt(f.H(l, l)) * std::abs(u(l, 0));
  return host_matrix<Real>(u.rows(), 1,
                           [&](Index i, Index) { return std::sqrt(f.H(i, i)) * sum + f.fixed(i, 0); });
}

/// s_i: the element of least magnitude of entry i of the subdifferential at u.
inline Reals subgradient(Problem const& p, Form const& f, Reals const& u) {
  return host_matrix<Real>(u.rows(), 1, [&](Index i, Index) {
    Real g = -f.r(i, 0);
    for (Index l = 0; l < u.rows(); ++l) g += f.H(i, l) * u(l, 0);
    Real const lambda = p.lambda(i, 0), v = u(i, 0);
    if (!p.two_sided && v < 0) return std::numeric_limits<Real>::infinity();
    if (std::isinf(lambda)) return v == 0 ? Real(0) : lambda;
    if (v != 0) return v > 0 ? g + lambda : g - lambda;
    if (g < -lambda) return g + lambda;
    return p.two_sided && g > lambda ? g - lambda : Real(0);
  });
}

inline Real norm2(Reals const& v) {
  Real square = 0;
  for (Index i = 0; i < v.rows(); ++i) square += v(i, 0) * v(i, 0);
  return std::sqrt(square);
}

/// c = (J + S) / 2 of (U5), half the longest chains of roundings of the judge and of the search.
inline Real factor_of_terms(Problem const& p) {
  Index const k = p.k(), m = p.m(), product = k / 4 + k % 4 + 3, dot = m / 16 + 18;
  Index const judge = p.metric ? product + 4 : product + dot + 6;
  Index const search = p.metric ? k + product + 4 : m + product + 6;
  return static_cast<Real>(judge + search) / 2;
}

/// max_i |s_i| / t_i, NaN if anything is.
inline Real relative_violation(Problem const& p, Form const& f, Reals const& u) {
  auto const s = subgradient(p, f, u), t = terms(f, u);
  Real largest = 0;
  for (Index i = 0; i < u.rows(); ++i) {
    Real const ratio = s(i, 0) == 0 ? Real(0) : std::abs(s(i, 0)) / t(i, 0);
    if (!(ratio <= largest)) largest = ratio;
  }
  return largest;
}

/// A = L L^T in place, rows from the top; whether all pivots are positive.
inline bool cholesky(Reals& A) {
  for (Index j = 0; j < A.cols(); ++j)
    for (Index i = j; i < A.rows(); ++i) {
      Real sum = A(i, j);
      for (Index l = 0; l < j; ++l) sum -= A(i, l) * A(j, l);
      if (i == j && !(sum > 0)) return false;
      A(i, j) = i == j ? std::sqrt(sum) : sum / A(j, j);
    }
  return true;
}

/// Whether H, scaled to unit diagonal, has no eigenvalue below `least`.
inline bool well_conditioned(Form const& f, Real least) {
  Index const k = f.H.rows();
  auto scaled = host_matrix<Real>(k, k, [&](Index i, Index j) {
    return i == j ? 1 - least : f.H(i, j) / (std::sqrt(f.H(i, i)) * std::sqrt(f.H(j, j)));
  });
  return cholesky(scaled);
}

/// The minimiser: indices enter one at a time, and the way to the next point of a basis ends at its first
/// zero (Lawson and Hanson), on the problem scaled to unit diagonal.
class Reference {
 public:
  Reference(Problem const& p, Form const& f) : p_(p), k_(p.k()), sign_(static_cast<std::size_t>(k_)) {
    scale_ = host_matrix<Real>(k_, 1, [&](Index i, Index) { return std::sqrt(f.H(i, i)); });
    H_ = host_matrix<Real>(k_, k_,
                           [&](Index i, Index j) { return f.H(i, j) / (scale_(i, 0) * scale_(j, 0)); });
    r_ = host_matrix<Real>(k_, 1, [&](Index i, Index) { return f.r(i, 0) / scale_(i, 0); });
    u_ = Reals(k_, 1);
    for (Index round = 0; round < 30 * k_ && enter(); ++round) settle();
    for (Index i = 0; i < k_; ++i) u_(i, 0) /= scale_(i, 0);
  }

  Reals const& u() const { return u_; }

 private:
  int& sign(Index i) { return sign_[static_cast<std::size_t>(i)]; }
  Real lambda(Index i) const { return p_.lambda(i, 0) / scale_(i, 0); }
  Real slack(Index i) const {
    Real s = r_(i, 0);
    for (Index l = 0; l < k_; ++l) s -= H_(i, l) * u_(l, 0);
    return s;
  }

  /// The index that is violated most enters. Whether there is one beyond rounding that was not refused.
  bool enter() {
    Real size = 0;
    for (Index i = 0; i < k_; ++i) size += std::abs(u_(i, 0));
    Real most = 0;
    Index best = -1;
    for (Index i = 0; i < k_; ++i) {
      if (sign(i) != 0 || i == refused_) continue;
      Real const s = slack(i), excess = (p_.two_sided ? std::abs(s) : s) - lambda(i);
      if (excess > most && excess > 4 * std::numeric_limits<Real>::epsilon() * (size + std::abs(r_(i, 0)))) {
        most = excess;
        best = i;
      }
    }
    if (best < 0) return false;
    sign(best) = slack(best) > 0 ? 1 : -1;
    refused_ = -1;
    entered_ = best;
    return true;
  }

  /// To the point of a basis that respects its signs.
  void settle() {
    for (;;) {
      std::vector<Index> A;
      for (Index i = 0; i < k_; ++i)
        if (sign(i) != 0) A.push_back(i);
      Index const n = static_cast<Index>(A.size());
      auto const at = [&](Index a) { return A[static_cast<std::size_t>(a)]; };
      auto L = host_matrix<Real>(n, n, [&](Index a, Index b) { return H_(at(a), at(b)); });
      if (!cholesky(L)) {
        sign(entered_) = 0;
        refused_ = entered_;
        return;
      }
      auto v = host_matrix<Real>(n, 1, [&](Index a, Index) {
        return r_(at(a), 0) - static_cast<Real>(sign(at(a))) * lambda(at(a));
      });
      for (Index a = 0; a < n; ++a) {
        for (Index b = 0; b < a; ++b) v(a, 0) -= L(a, b) * v(b, 0);
        v(a, 0) /= L(a, a);
      }
      for (Index a = n - 1; a >= 0; --a) {
        for (Index b = a + 1; b < n; ++b) v(a, 0) -= L(b, a) * v(b, 0);
        v(a, 0) /= L(a, a);
      }
      Real step = 1;
      Index first = -1;
      for (Index a = 0; a < n; ++a) {
        Real const from = u_(at(a), 0), to = v(a, 0);
        if (static_cast<Real>(sign(at(a))) * to > 0) continue;
        Real const zero = from == 0 ? Real(0) : from / (from - to);
        if (first < 0 || zero < step) {
          step = zero;
          first = at(a);
        }
      }
      for (Index a = 0; a < n; ++a)
        u_(at(a), 0) = first < 0 ? v(a, 0) : u_(at(a), 0) + step * (v(a, 0) - u_(at(a), 0));
      if (first < 0) return;
      u_(first, 0) = 0;
      sign(first) = 0;
      if (first == entered_) refused_ = first;
    }
  }

  Problem const& p_;
  Index k_, refused_ = -1, entered_ = -1;
  std::vector<int> sign_;
  Reals scale_, H_, r_, u_;
};

/// The n-th problem, in numbers of Scalar. Metric form: Q is D^T D + alpha I, to be formed by its metric, but
/// for the Hilbert and correlated matrices, where it is Q.
template <class Scalar>
Problem problem(std::uint64_t n) {
  constexpr bool single = sizeof(Scalar) == 4;
  Real const eps = static_cast<Real>(std::numeric_limits<Scalar>::epsilon());
  Draw draw(seed(n));
  Problem p{};
  p.family = static_cast<Family>(n % static_cast<std::uint64_t>(Family::count));
  p.metric = draw.chance(.5L);
  p.two_sided = draw.chance(.5L);
  Family const family = p.family;
  bool const pair = family == Family::correlated, few = family == Family::few_data;
  Index const k = pair                        ? 2
                  : family == Family::hilbert ? 2 + draw.below(11)
                                              : 1 + draw.below(draw.chance(.1L) ? 64 : 24);
  Index const m = few                         ? 1 + draw.below(std::max<Index>(k - 1, 1))
                  : family == Family::hilbert ? k
                                              : 1 + draw.below(2 * k);
  p.D = host_matrix<Real>(m, k, [&](Index, Index) { return draw.normal(); });
  p.x = host_matrix<Real>(m, 1, [&](Index, Index) { return draw.normal(); });
  p.z = host_matrix<Real>(k, 1, [&](Index, Index) { return draw.normal(); });
  p.d = Reals(k, 1);
  p.lambda = Reals(k, 1, draw.power(-4, 0));
  p.beta = Reals(k, 1, draw.chance(.5L) ? Real(0) : draw.power(-4, 0));
  p.alpha = draw.power(-6, 0);
  if (draw.chance(.3L)) p.d = host_matrix<Real>(k, 1, [&](Index, Index) { return draw.normal() / 10; });
  if (draw.chance(.3L)) p.lambda = host_matrix<Real>(k, 1, [&](Index, Index) { return draw.power(-4, 0); });
  auto const atom = [&](Index to, Index from, Real times) {
    for (Index a = 0; a < m; ++a) p.D(a, to) = times * p.D(a, from);
  };
  if (family == Family::duplicate || family == Family::collinear || (few && draw.chance(.3L)))
    for (Index j = 1; j < k; ++j)
      if (draw.chance(.4L)) atom(j, draw.below(j), family == Family::collinear ? draw.normal() : Real(1));
  if (family == Family::zero)
    for (Index j = 0; j < k; ++j)
      if (draw.chance(.4L)) atom(j, j, 0);
  if (family == Family::integer) {
    for (Reals* A : {&p.D, &p.x, &p.z})
      *A = host_matrix<Real>(A->rows(), 1 * A->cols(),
                             [&](Index, Index) { return static_cast<Real>(draw.below(7)) - 3; });
    if (draw.chance(.5L)) {
      p.lambda = Reals(k, 1, static_cast<Real>(draw.below(4)));
      p.beta = Reals(k, 1, static_cast<Real>(draw.below(2)));
      p.alpha = 1;
      p.d = Reals(k, 1);
    }
  }
  if (family == Family::rescaled)
    for (Index j = 0; j < k; ++j) atom(j, j, draw.power(-6, 6));
  if (family == Family::lost_alpha) {
    Real const times = draw.power(0, single ? 6 : 12);
    for (Index j = 0; j < k; ++j) {
      if (j > 0 && draw.chance(.2L)) atom(j, draw.below(j), 1);
      atom(j, j, times);
    }
    if (draw.chance(.5L)) p.alpha *= eps * eps;
    p.beta = Reals(k, 1);
  }
  if (few) {
    p.alpha = 1e-8L;
    p.beta = Reals(k, 1);
  }
  if (family == Family::lambda_zero) {
    p.lambda = Reals(k, 1);
    if (draw.chance(.5L)) p.beta = Reals(k, 1);
  }
  if (family == Family::hilbert) {
    for (Index j = 0; j < k; ++j)
      for (Index i = 0; i < k; ++i) p.D(i, j) = 1 / static_cast<Real>(1 + i + j);
    p.beta = Reals(k, 1, draw.chance(.7L) ? Real(0) : draw.power(-16, -4));
    p.alpha = draw.power(-24, -4);
  }
  if (pair) {
    Real const rho = 1 - draw.power(single ? -6 : -14, 0);
    p.Q = host_matrix<Real>(2, 2, [&](Index i, Index j) { return i == j ? Real(1) : rho; });
    p.beta = Reals(k, 1);
    if (draw.chance(.5L)) p.Q(0, 1) = p.Q(1, 0) = -rho;
    p.D = host_matrix<Real>(2, 2, [&](Index i, Index j) {
      return i == 0 ? Real(1) : static_cast<Real>(j) * draw.power(single ? -5 : -12, 0);
    });
    p.x = host_matrix<Real>(2, 1, [&](Index, Index) { return draw.normal(); });
    p.alpha = draw.power(-16, 0);
  }
  if (family == Family::hilbert) p.Q = p.D;
  if (family == Family::huge_d)
    for (Index i = 0; i < k; ++i)
      if (draw.chance(.3L)) p.d(i, 0) = draw.normal() * draw.power(4, single ? 10 : 14);
  if (family == Family::lambda_infinite)
    for (Index i = 0; i < k; ++i)
      if (draw.chance(.4L)) p.lambda(i, 0) = std::numeric_limits<Real>::infinity();
  if (family == Family::scaled) {
    Real const by = (draw.chance(.5L) ? 1 : -1) * (single ? Real(20) : Real(150));
    Real const s = std::pow(Real(10), by);
    Index const which = draw.below(3);  // the data, the unit of the objective, or both by their own power
    Real const D = which == 1 ? Real(1) : s, x = which == 0 ? Real(1) : s;
    for (Index j = 0; j < k; ++j) atom(j, j, D);
    for (Index i = 0; i < m; ++i) p.x(i, 0) *= x;
    for (Index i = 0; i < k; ++i) {
      p.z(i, 0) *= x / D;
      p.lambda(i, 0) *= D * x;
      p.d(i, 0) *= D * x;
      p.beta(i, 0) *= D * D;
    }
    p.alpha *= D * D;
  }
  if (family == Family::denormal) {
    Real const least = static_cast<Real>(std::numeric_limits<Scalar>::denorm_min());
    Real const tiny = least * draw.power(0, single ? 6 : 12);
    switch (draw.below(4)) {
      case 0: p.lambda = Reals(k, 1, tiny); break;
      case 1:
        for (Index i = 0; i < m; ++i) p.x(i, 0) *= tiny;
        for (Index i = 0; i < k; ++i) p.z(i, 0) *= tiny;
        p.d = Reals(k, 1);
        p.lambda = Reals(k, 1, draw.chance(.5L) ? Real(0) : tiny / 10);
        break;
      case 2:
        for (Index j = 0; j < k; ++j)
          if (draw.chance(.5L)) atom(j, j, tiny);
        break;
      default: p.alpha = tiny; p.beta = Reals(k, 1);
    }
  }
  auto const round = [](Reals& A) {
    for (Index j = 0; j < A.cols(); ++j)
      for (Index i = 0; i < A.rows(); ++i) A(i, j) = static_cast<Real>(static_cast<Scalar>(A(i, j)));
  };
  if (family == Family::lambda_max) {
    for (Reals* A : {&p.D, &p.x, &p.z, &p.d}) round(*A);
    p.alpha = static_cast<Real>(static_cast<Scalar>(p.alpha));
    if (p.metric)  // as the metric will be, but for rounding
      p.Q = host_matrix<Real>(k, k, [&](Index i, Index j) {
        Real sum = i == j ? p.alpha : Real(0);
        for (Index a = 0; a < m; ++a) sum += p.D(a, i) * p.D(a, j);
        return sum;
      });
    auto const r = form(p, 0).r;
    p.Q = Reals();
    Real most = 0;
    for (Index i = 0; i < k; ++i) most = std::max(most, p.two_sided ? std::abs(r(i, 0)) : r(i, 0));
    Real const times = draw.chance(.3L) ? Real(1) : 1 + draw.normal() * draw.power(-8, 1) * eps;
    p.lambda = Reals(k, 1, std::max(most * times, Real(0)));
  }
  for (Reals* A : {&p.D, &p.x, &p.d, &p.Q, &p.z, &p.lambda, &p.beta}) round(*A);
  p.alpha = std::max(static_cast<Real>(static_cast<Scalar>(p.alpha)),
                     static_cast<Real>(std::numeric_limits<Scalar>::denorm_min()));
  return p;
}

}  // namespace detrame::test::stress
