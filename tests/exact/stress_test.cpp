// SPDX-License-Identifier: Apache-2.0
#include "exact/stress.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <sstream>

#include "detrame/backend/cpu/backend.hpp"
#include "detrame/exact/exact_prox.hpp"
#include "detrame/exact/exact_synthesis.hpp"
#include "detrame/metric/dense_metric.hpp"
#include "detrame/metric/gram_metric.hpp"
#include "detrame/metric/penalty.hpp"

namespace detrame {

using namespace detrame::test;

namespace {

using stress::Problem;
using stress::Real;
using stress::Reals;

/// What became of the problems of one family.
struct Tally {
  Index problems = 0, refused = 0;
  std::array<Index, 5> status{};  // by ExactStatus
  static_assert(static_cast<int>(ExactStatus::not_finite) == 4);
  Index false_status = 0;  // optimal, but an entry is violated beyond 2 c eps t_i
  Index false_bound = 0;   // u is farther from the reference than the bound says
  Index missed = 0;        // well-conditioned, not optimal
  Index not_reached = 0;   // well-conditioned, and an entry of u is violated beyond c eps t_i
  Index unjudged = 0;      // the reference itself is no better than c eps t
  Index warm_status = 0;   // a warm start changed the status
  Index warm_bits =
      0;  // a warm start changed bits of u, though no row is lost and nothing is near its threshold
  Index most_pivots = 0;
};

template <class Scalar>
Reals in_real(HostMatrix<Scalar> const& A) {
  return rounded<Real>(A);
}

/// Solves and judges one problem, from 0 and from a guess.
template <class Psi>
void solve_and_judge(std::uint64_t n, Problem p, Tally& tally) {
  using B = typename Psi::Backend;
  using Scalar = typename B::Scalar;
  B b(1);
  auto const here = [&](Reals const& A) { return to_device(b, rounded<Scalar>(A)); };
  Index const k = p.k();
  Real const eps = static_cast<Real>(std::numeric_limits<Scalar>::epsilon()), c = stress::factor_of_terms(p);
  Psi const psi(b, here(p.lambda), here(p.beta));
  Synthesis<B> const synthesis{here(p.D), static_cast<Scalar>(p.alpha), Scalar(0), Scalar(0), here(p.d)};
  Real lambda_min = 0;
  bool const full = p.Q.rows() > 0;  // else Q is that of D

  auto const solve = [&](ExactResult<B>& result, bool warm) {
    ExactOptions const options{.warm_start = warm};
    if (!p.metric) return exact_synthesis(b, synthesis, psi, here(p.x), result, options);
    auto const prox = [&](auto const& metric) {
      lambda_min = static_cast<Real>(metric.lambda_min());
      exact_prox(b, metric, psi, here(p.z), result, options);
      return in_real(to_host(b, metric.weights()));
    };
    p.Q = full ? prox(DenseMetric<B>(b, here(p.Q))) : prox(GramMetric<B>(b, here(p.D), synthesis.alpha));
  };
  ++tally.problems;
  ExactResult<B> cold;
  try {
    solve(cold, false);
  } catch (DomainError const&) {
    ++tally.refused;
    return;
  }
  auto const complain = [&](char const* what) {
    if (std::getenv("DETRAME_STRESS_VERBOSE"))
      std::cout << what << ": n = " << n << (sizeof(Scalar) == 4 ? " float " : " double ")
                << stress::name(p.family) << (p.metric ? " metric" : " synthesis")
                << (p.two_sided ? " signed" : "") << ", m = " << p.m() << ", k = " << k << ", status "
                << detrame::name(cold.status) << ", " << cold.iterations << " pivots\n";
  };
  ++tally.status[static_cast<std::size_t>(cold.status)];
  if (cold.status == ExactStatus::iteration_limit) complain("limit");
  tally.most_pivots = std::max(tally.most_pivots, cold.iterations);

  auto const f = stress::form(p, lambda_min);
  auto const u = in_real(to_host(b, cold.u));
  auto const t = stress::terms(f, u);
  Real const violation = stress::relative_violation(p, f, u);
  bool const optimal = cold.status == ExactStatus::optimal;
  if (!optimal && std::getenv("DETRAME_STRESS_VERBOSE")) {
    complain("not optimal");
    std::cout << "   violation / (c eps) = " << violation / (c * eps) << "\n";
  }
  if (optimal && !(violation <= 2 * c * eps)) {
    ++tally.false_status;
    complain("false status");
  }
  Real const least = static_cast<Real>(std::numeric_limits<Scalar>::min()) / eps,
             most = static_cast<Real>(std::numeric_limits<Scalar>::max()) * eps;
  bool in_range = true;  // the products of the data
  for (Index i = 0; i < k; ++i)
    in_range = in_range && f.H(i, i) > least && f.H(i, i) < most && t(i, 0) < most &&
               (t(i, 0) > least || t(i, 0) == 0);
  bool const good = in_range && stress::well_conditioned(f, 10 * static_cast<Real>(k) * eps);
  if (good && !optimal) {
    ++tally.missed;
    complain("missed");
  }
  if (good && !(violation <= c * eps)) {
    ++tally.not_reached;
    complain("not reached");
  }
  if (cold.status != ExactStatus::not_finite && std::isfinite(stress::norm2(f.r)) &&
      std::isfinite(f.modulus)) {
    auto const reference = stress::Reference(p, f).u();
    Real const at_reference = stress::norm2(stress::subgradient(p, f, reference)),
               rounding = c * eps * stress::norm2(stress::terms(f, reference));
    if (!(at_reference <= rounding)) ++tally.unjudged;
    Reals const difference = mapped([](Real v, Real w) { return v - w; }, u, reference);
    if (std::isfinite(at_reference) &&
        !(stress::norm2(difference) <=
          static_cast<Real>(cold.bound) + (2 * c * eps * stress::norm2(t) + at_reference) / f.modulus)) {
      ++tally.false_bound;
      complain("false bound");
    }
  }

  bool clear = good;  // nothing is near its threshold
  auto const s = host_matrix<Real>(k, 1, [&](Index i, Index) {
    Real sum = f.r(i, 0);
    for (Index l = 0; l < k; ++l) sum -= f.H(i, l) * u(l, 0);
    return p.two_sided ? std::abs(sum) : sum;
  });
  for (Index i = 0; i < k && good; ++i) {
    Real const margin = u(i, 0) != 0 ? 10 * static_cast<Real>(k) * eps * f.H(i, i) * std::abs(u(i, 0))
                                     : p.lambda(i, 0) - s(i, 0);
    clear = clear && margin > 2 * c * eps * t(i, 0);
  }
  stress::Draw draw(seed(n) + (1u << 30));
  for (int guess = 0; guess < 2; ++guess) {
    Scalar const large = sizeof(Scalar) == 4 ? Scalar(1e20) : static_cast<Scalar>(1e200L);
    Index const kind = draw.below(7);
    auto warm = cold;
    auto const values = to_host(b, cold.u);
    warm.u = to_device(b, host_matrix<Scalar>(k, 1, [&](Index i, Index) {
                         Scalar const v = values(i, 0), random = static_cast<Scalar>(draw.normal());
                         switch (kind) {
                           case 0: return v;
                           case 1: return random;
                           case 2: return random > 0 ? large : -large;
                           case 3: return random > 0 ? limits::nan<Scalar> : v;
                           case 4: return random > 0 ? limits::infinity<Scalar> : -v;
                           case 5: return -v;
                           default: return random * max_abs(values);
                         }
                       }));
    solve(warm, true);
    if (warm.status != cold.status) {  // of data whose products are subnormal or infinite, digits are lost
      tally.warm_status += in_range;
      complain("warm start changed the status");
    }
    if (clear && optimal && !(to_host(b, warm.u) == values)) {
      ++tally.warm_bits;
      complain("warm start changed bits");
    }
  }
}

template <class Scalar>
void run(std::uint64_t n, std::array<Tally, static_cast<std::size_t>(stress::Family::count)>& tallies) {
  auto const p = stress::problem<Scalar>(n);
  Tally& tally = tallies[static_cast<std::size_t>(p.family)];
  if (p.two_sided)
    solve_and_judge<ElasticNet<Cpu<Scalar>>>(n, p, tally);
  else
    solve_and_judge<NonnegativeElasticNet<Cpu<Scalar>>>(n, p, tally);
}

/// How many problems: DETRAME_STRESS_PROBLEMS of the environment, as the preset `stress` sets it.
std::uint64_t problems(char const* name, std::uint64_t otherwise) {
  char const* const text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

}  // namespace

TEST_CASE("(M3) a guess from which the search finds no end gives what none gives") {
  std::array<Tally, static_cast<std::size_t>(stress::Family::count)> tallies;
  run<double>(84518, tallies);  // pairs of equal atoms, alpha far below the rounding of D^T D
  auto const& tally = tallies[static_cast<std::size_t>(stress::Family::lost_alpha)];
  CHECK(tally.problems == 1);
  CHECK(tally.warm_status == 0);
}

TEST_CASE_TEMPLATE("(M1) (M3) no random problem of a hard family gets a false status, none reaches the limit",
                   Scalar, float, double) {
  std::array<Tally, static_cast<std::size_t>(stress::Family::count)> tallies;
  std::uint64_t const first = problems("DETRAME_STRESS_FIRST", 0),
                      count = problems("DETRAME_STRESS_PROBLEMS", 2000) / 2;
  for (std::uint64_t n = first; n < first + count; ++n) run<Scalar>(n, tallies);

  std::ostringstream table;
  table << (sizeof(Scalar) == 4 ? "float" : "double") << ": shares of each status in percent, then how many\n"
        << "  family           problems optimal inaccur. singular limit not fin. refused |  false  bound "
           "missed "
           "unreach. unjudged  warm   bits pivots\n"
        << std::fixed << std::setprecision(1);
  Tally all;
  for (std::size_t i = 0; i < tallies.size(); ++i) {
    Tally const& t = tallies[i];
    auto const percent = [&](Index number) {
      return 100 * static_cast<double>(number) / static_cast<double>(std::max<Index>(t.problems, 1));
    };
    table << "  " << std::left << std::setw(17) << stress::name(static_cast<stress::Family>(i)) << std::right
          << std::setw(8) << t.problems << std::setw(8) << percent(t.status[0]) << std::setw(9)
          << percent(t.status[1]) << std::setw(9) << percent(t.status[2]) << std::setw(6)
          << percent(t.status[3]) << std::setw(9) << percent(t.status[4]) << std::setw(8)
          << percent(t.refused) << " |" << std::setw(7) << t.false_status << std::setw(7) << t.false_bound
          << std::setw(7) << t.missed << std::setw(9) << t.not_reached << std::setw(9) << t.unjudged
          << std::setw(6) << t.warm_status << std::setw(7) << t.warm_bits << std::setw(7) << t.most_pivots
          << '\n';
    for (auto member : {&Tally::problems, &Tally::false_status, &Tally::false_bound, &Tally::missed,
                        &Tally::not_reached, &Tally::unjudged, &Tally::warm_status, &Tally::warm_bits})
      all.*member += t.*member;
    all.status[3] += t.status[3];
  }
  std::cout << table.str();
  CHECK(all.status[static_cast<std::size_t>(ExactStatus::iteration_limit)] == 0);
  CHECK(all.false_status == 0);
  CHECK(all.false_bound == 0);
  CHECK(all.missed == 0);
  CHECK(all.not_reached == 0);
  CHECK(all.warm_status == 0);
  CHECK(all.warm_bits == 0);
  CHECK(all.unjudged <= all.problems / 50);
}

}  // namespace detrame
