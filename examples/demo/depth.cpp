// SPDX-License-Identifier: Apache-2.0
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <limits>
#include <sstream>
#include <utility>

#include "demo.hpp"
#include "detrame/detrame.hpp"

namespace demo {

using namespace detrame;

namespace {

using B = Cpu<double>;
using Matrix = B::Matrix;

struct Problem {
  B& cpu;
  GramMetric<B> Q;
  NonnegativeElasticNet<B> psi;
  Matrix Z, U_star;
};

/// One line of the table: where T updates of one recursion end.
struct Line {
  int T;
  double distance;  ///< max over samples of |U_T - U*|_2 / |U*|_2
  std::string bound;
  double microseconds;  ///< per sample
};

/// Processor time of this thread, in microseconds a sample: the least of three.
template <class F>
double microseconds(Problem const& p, F const& f) {
  auto const now = [] {
    timespec t{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e6 * static_cast<double>(t.tv_sec) + 1e-3 * static_cast<double>(t.tv_nsec);
  };
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 3; ++i) {
    double const start = now();
    f();
    least = std::min(least, now() - start);
  }
  return least / static_cast<double>(p.Z.cols());
}

double relative_distance(Matrix const& U, Matrix const& U_star) {
  double largest = 0;
  for (Index j = 0; j < U.cols(); ++j) {
    double const d = (U.col(j) - U_star.col(j)).norm() / U_star.col(j).norm();
    if (!(d <= largest)) largest = d;
  }
  return largest;
}

/// What is known before the run. The norm of S is turned into the Euclidean one by its smallest entry; the
/// table divides by the smallest |U*_j|.
template <class Scheme>
std::string bound_of(Problem const& p, Scheme const& scheme, int T) {
  std::optional<double> bound;
  if constexpr (TiedScheme<Scheme, GramMetric<B>>) {
    auto const [S, kappa] = contraction(p.cpu, p.Q, p.psi, scheme);
    auto const first = metric_prox(p.cpu, p.Q, p.psi, p.Z, scheme, Unroll<1>{}).u;
    bound = a_priori_bound(kappa, norm(p.cpu, S, first), T);
    if (bound) *bound /= std::sqrt(S.minCoeff());
  } else if constexpr (std::is_same_v<Scheme, Fista>) {
    double const norm_u = norm(p.cpu, gershgorin_step(p.cpu, p.Q).Theta, p.U_star);
    bound = std::sqrt(2 * fista_bound(norm_u, T) / convexity_modulus(p.cpu, p.Q, p.psi));
  }
  if (!bound) return "no bound";
  std::ostringstream text;
  text.precision(2);
  text << std::scientific << *bound / p.U_star.colwise().norm().minCoeff();
  return text.str();
}

template <class Scheme>
Line line(Problem const& p, Scheme const& scheme, int T) {
  ProxResult<B> result;
  double const time =
      microseconds(p, [&] { result = metric_prox(p.cpu, p.Q, p.psi, p.Z, scheme, Updates{T}); });
  return {T, relative_distance(result.u, p.U_star), bound_of(p, scheme, T), time};
}

/// T = 1, 2, 4, ..., 1024. Returns the microseconds a sample of the first and of each next update.
template <class Scheme>
std::pair<double, double> print_recursion(Problem const& p, char const* name, char const* key,
                                          Scheme const& scheme, std::ostream& csv) {
  auto const end = metric_prox(p.cpu, p.Q, p.psi, p.Z, scheme, Until{.tolerance = 1e-8, .limit = 1024});
  std::string const status(detrame::name(end.status));
  std::printf("  %s; after at most 1024 updates: %s\n", name, status.c_str());
  std::printf("    %5s  %10s  %10s  %12s\n", "T", "distance", "bound", "us a sample");
  double first = 0, last = 0;
  for (int T = 1; T <= 1024; T *= 2) {
    Line const l = line(p, scheme, T);
    std::printf("    %5d  %10.2e  %10s  %12.2f\n", l.T, l.distance, l.bound.c_str(), l.microseconds);
    csv << key << ',' << l.T << ',' << l.distance << ',' << (l.bound == "no bound" ? "" : l.bound) << ','
        << l.microseconds << ',' << status << '\n';
    (T == 1 ? first : last) = l.microseconds;
  }
  return {first, (last - first) / 1023};
}

/// One line: its distance is 0 by definition of U*, its bound is what its certificate ensures.
void print_exact(Problem const& p, std::pair<double, double> const& updates, std::ostream& csv) {
  ExactResult<B> result;
  double const time = microseconds(p, [&] { result = exact_prox(p.cpu, p.Q, p.psi, p.Z); });
  double const bound = require_optimal(result).bound / p.U_star.colwise().norm().minCoeff();
  std::printf("  Exact solver, which gives U*: it searches for the support; bound is known after the run\n");
  std::printf("    %5s  %10s  %10s  %12s\n", "", "", "bound", "us a sample");
  std::printf("    %5s  %10s  %10.2e  %12.2f   as long as %.0f updates of Gershgorin's\n", "exact", "", bound,
              time, std::max(1., 1 + (time - updates.first) / updates.second));
  csv << "exact,,," << bound << ',' << time << ',' << detrame::name(result.status) << '\n';
}

}  // namespace

void print_depth_table(Digits const& digits, std::filesystem::path const& out) {
  B cpu(1);
  auto const [D, X_host] = digit_dictionary(digits, 64);
  Synthesis<B> const synthesis{to_device(cpu, D), 0.1, 0.01, 0.1, zeros(cpu, 64, 1)};
  auto const [W, c] = transform(cpu, synthesis);
  Problem p{cpu, synthesis.metric(cpu), synthesis.penalty(cpu), W * to_device(cpu, X_host), {}};
  p.U_star = require_optimal(exact_prox(cpu, p.Q, p.psi, p.Z)).u;

  std::printf(
      "2. Depth: how far T updates are from the exact prox (64 atoms, alpha .1, beta .01, lambda .1, 360 "
      "samples)\n\n"
      "distance is the largest |U_T - U*| / |U*| over the samples; bound is what is known of it before the "
      "run;\n"
      "time is a processor's, one thread, the least of three, and includes the residual by which each result "
      "is\njudged.\n\n");
  std::ostringstream csv;
  csv << "recursion,T,distance,bound,microseconds_per_sample,status\n";
  double const gamma = 0.99 * safe_gamma(cpu, p.Q, diagonal(cpu, p.Q));
  print_recursion(p, "Eq. (20) with eq. (24), the paper's", "jacobi", Jacobi(), csv);
  auto const updates =
      print_recursion(p, "Gershgorin: Theta = row sums of |Q|", "gershgorin", Gershgorin(), csv);
  print_recursion(p, "Forward-backward: Theta = diag Q, .99 of the safe step", "forward_backward",
                  ForwardBackward{gamma}, csv);
  print_recursion(p, "FISTA", "fista", Fista(), csv);
  print_recursion(p, "Gauss-Seidel: one row after the other", "gauss_seidel", GaussSeidel(), csv);
  print_exact(p, updates, csv);
  write_file(out / "depth.csv", csv.str());
  std::printf("\n");
}

}  // namespace demo
