// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <iomanip>
#include <ostream>
#include <set>

#include "detrame/exact/exact_prox.hpp"
#include "detrame/exact/exact_synthesis.hpp"
#include "detrame/exact/exact_synthesis_pullback.hpp"
#include "detrame/metric/transform.hpp"
#include "detrame/operator/convolutional_blocks.hpp"
#include "detrame/prox/contraction.hpp"
#include "detrame/prox/unrolled_prox_pullback.hpp"
#include "golden/file.hpp"

/// Recomputes files of golden values with the library; README.md beside this file says what they hold.
namespace golden {
using detrame::ConstView;
using detrame::Matrix;
using detrame::formula::NonnegativeShrinkage;

inline double largest(HostMatrix<double> const& m) {
  double value = 0;
  for (Index j = 0; j < m.cols(); ++j)
    for (Index i = 0; i < m.rows(); ++i) value = std::max(value, std::abs(m(i, j)));
  return value;
}

/// One file: what it gives, what it asks for, and the verdict so far.
template <detrame::Backend B>
  requires std::same_as<typename B::Scalar, double>
class Golden {
 public:
  Golden(B& backend, std::string file, Quantities quantities, std::ostream& report)
      : b_(backend), file_(std::move(file)), quantities_(std::move(quantities)), report_(report) {}

  /// True where every quantity agrees. FormatError where the file cannot be judged at all.
  bool check() {
    if (has({"kernel", "shape_c_groups_H_W_K_T"}))
      convolutional();
    else if (has({"D", "X", "alpha", "beta", "lambda_", "d"}))
      tied();
    else if (has({"W", "Z", "h", "b"}))
      free();
    else
      throw FormatError(file_ + ": no quantity by which a kind of file is recognised (README.md)");
    for (auto const& [name, value] : quantities_)
      if (!known_.contains(name)) fail(name, "is a name that this kind of file does not have");
    return passed_;
  }

 private:
  // Rounding of a float64 reference: `accuracy` of its largest entry;
  // the reference's own iterations included.
  static constexpr double accuracy = 1e-9;

  bool has(std::initializer_list<char const*> names) const {
    return std::any_of(names.begin(), names.end(),
                       [&](char const* name) { return quantities_.contains(name); });
  }

  void fail(std::string const& name, std::string const& reason) {
    report_ << file_ << ": " << name << " " << reason << ": FAILED\n";
    passed_ = false;
  }

  HostMatrix<double> const& given(std::string const& name) {
    known_.insert(name);
    auto const found = quantities_.find(name);
    if (found == quantities_.end()) throw FormatError(file_ + ": " + name + " is missing");
    return found->second;
  }

  Matrix<B> device(HostMatrix<double> const& m) { return to_device(b_, m); }
  Matrix<B> column(std::string const& name, Index k) { return device(shaped(name, given(name), k, 1)); }
  double scalar(std::string const& name) { return shaped(name, given(name), 1, 1)(0, 0); }

  /// Compares a quantity with its reference. `terms`: the size of what is added up to make it, of which
  /// rounding(k) may be lost whatever the size of the sum.
  void compare(std::string const& name, ConstView<B> found, double terms) {
    known_.insert(name);
    if (!quantities_.contains(name)) return fail(name, "is missing");
    HostMatrix<double> const value = to_host(b_, found);
    HostMatrix<double> expected;
    try {
      expected = shaped(name, quantities_.at(name), value.rows(), value.cols());
    } catch (FormatError const& error) {
      report_ << file_ << ": " << error.what() << ": FAILED\n";
      passed_ = false;
      return;
    }
    auto const difference = detrame::host_matrix<double>(
        value.rows(), value.cols(), [&](Index i, Index j) { return value(i, j) - expected(i, j); });
    double absolute = 0;
    for (Index j = 0; j < value.cols(); ++j)
      for (Index i = 0; i < value.rows(); ++i)
        if (!(std::abs(difference(i, j)) <= absolute)) absolute = std::abs(difference(i, j));  // keeps NaN
    double const scale = std::max({largest(expected), rounding_ / accuracy * terms, 1e-300});
    bool const good = absolute / scale <= accuracy;
    report_ << file_ << ": " << std::left << std::setw(17) << name << " relative error " << std::scientific
            << std::setprecision(2) << absolute / scale << ", at most " << std::setprecision(0) << accuracy
            << std::defaultfloat << (good ? ": ok\n" : ": FAILED\n");
    passed_ = passed_ && good;
  }
  void compare(std::string const& name, double found, double terms) {
    compare(name, ConstView<B>(device(HostMatrix<double>(1, 1, found))), terms);
  }

  /// W~, h, b of a recursion, Z, the cotangent, and what comes of them.
  struct Run {
    detrame::Recurrence<B> r;
    Matrix<B> Z;  // k x N
  };

  Matrix<B> states(Run const& run, Index T) {
    Matrix<B> U = detrame::zeros(b_, run.Z.rows(), run.Z.cols());
    unrolled_prox(b_, run.r.structure, NonnegativeShrinkage{}, run.r.W_tilde, run.r.h, run.r.b, run.Z, T, U);
    return U;
  }

  /// U_T<n> for the n that must be there, and for all others that are.
  void compare_states(Run const& run, std::string const& prefix, std::set<Index> updates) {
    for (auto const& [name, value] : quantities_) {
      std::string const digits = name.starts_with(prefix) ? name.substr(prefix.size()) : std::string();
      if (!digits.empty() && digits.size() < 5 && digits.find_first_not_of("0123456789") == std::string::npos)
        updates.insert(std::stol(digits));
    }
    for (Index const T : updates)
      compare(prefix + std::to_string(T), states(run, T), largest(to_host(b_, run.Z)));
  }

  /// The adjoint of U_T, from stored and from recomputed states.
  void compare_adjoint(Run const& run, Matrix<B> const& U_bar, Index T, std::string const& dZ,
                       std::string const& dW) {
    Index const k = run.Z.rows(), N = run.Z.cols();
    Matrix<B> U = detrame::zeros(b_, k, N), kept = detrame::zeros(b_, k, (T - 1) * N);
    Matrix<B> Z_bar = detrame::zeros(b_, k, N), W_bar = detrame::zeros(b_, k, k);
    Matrix<B> h_bar = detrame::zeros(b_, k, 1), b_bar = detrame::zeros(b_, k, 1);
    auto const& r = run.r;
    unrolled_prox(b_, r.structure, NonnegativeShrinkage{}, r.W_tilde, r.h, r.b, run.Z, T, U, kept);
    unrolled_prox_pullback(b_, r.structure, NonnegativeShrinkage{}, r.W_tilde, r.h, r.b, run.Z, T, U, kept,
                           U_bar, Z_bar, W_bar, h_bar, b_bar);
    double const cotangents = largest(to_host(b_, U_bar)), points = largest(to_host(b_, run.Z));
    double const samples = static_cast<double>(N);
    compare(dZ, Z_bar, cotangents);
    compare(dW, W_bar, samples * cotangents * points);
    compare("dh", h_bar, samples * cotangents * points);
    compare("db", b_bar, samples * cotangents);
  }

  void tied() {
    Index const k = length("d", given("d"));
    HostMatrix<double> const D = atoms(k);
    HostMatrix<double> const X = with_rows("X", given("X"), D.rows());
    detrame::Synthesis<B> const synthesis{device(D), scalar("alpha"), scalar("beta"), scalar("lambda_"),
                                          column("d", k)};
    Matrix<B> const x = device(X), U_bar = device(shaped("ubar", given("ubar"), k, X.cols()));
    auto const Q = synthesis.metric(b_);
    auto const psi = synthesis.penalty(b_);
    auto const eigenvalues = symmetric_eigenvalues(b_, Q.weights());
    double const condition = (eigenvalues.back() + synthesis.beta) / (Q.lambda_min() + synthesis.beta);
    rounding_ = 8 * static_cast<double>(k) * std::numeric_limits<double>::epsilon() * condition;

    auto const [W, c] = transform(b_, synthesis);
    Matrix<B> Z = detrame::zeros(b_, k, X.cols());  // W x - c
    gemm(b_.lane(), 1, W, detrame::Op::none, x, detrame::Op::none, 0, Z);
    each(b_.lane(), detrame::formula::Subtract(), Z, detrame::PerRow{ConstView<B>(c)});
    Run const own{tie(b_, Q, psi, coordinate_step(b_, Q)), Z};
    Run const safe{tie(b_, Q, psi, gershgorin_step(b_, Q)), Z};
    double const points = largest(to_host(b_, Z)), cotangents = largest(to_host(b_, U_bar));
    double const samples = static_cast<double>(X.cols()), s = synthesis.alpha + synthesis.beta;

    compare("Q", dense(b_, Q), 0);
    compare("Z", Z, points);
    compare("U_exact", exact_prox(b_, Q, psi, Z).u, points);
    compare("W", own.r.W_tilde, 1);
    compare("h", own.r.h, 1);
    compare("b", own.r.b, 0);
    compare("kappa", contraction(b_, Q, psi, detrame::Jacobi{}).kappa, 1);
    compare("W_gershgorin", safe.r.W_tilde, 1);
    compare("h_gershgorin", safe.r.h, 1);
    compare("b_gershgorin", safe.r.b, 0);
    compare_states(own, "U_T", {1, 2, 4});
    compare_states(safe, "U_gershgorin_T", {4});
    compare_adjoint(own, U_bar, 4, "dZ_T4", "dW_T4");
    auto const bar = exact_synthesis_pullback(b_, synthesis, x, exact_synthesis(b_, synthesis, x).u, U_bar);
    double const direct = cotangents / s, data = largest(X) + largest(D) * points;
    compare("implicit_dX", bar.X_bar, largest(D) * direct);
    compare("implicit_dD", bar.D_bar, samples * data * direct);
    compare("implicit_dd", bar.d_bar, samples * direct);
    compare("implicit_dlambda", bar.lambda_bar, samples * static_cast<double>(k) * direct);
    compare("implicit_dalpha", bar.alpha_bar, samples * static_cast<double>(k) * direct * points);
    if (to_host(b_, bar.beta_bar) != to_host(b_, bar.alpha_bar))
      fail("implicit_dalpha", "differs from the one in beta");
  }

  /// D with k columns; a single atom may stand as a row.
  HostMatrix<double> atoms(Index k) {
    HostMatrix<double> const& D = given("D");
    return D.cols() == k ? D : shaped("D", D, D.cols(), k);
  }

  void free() {
    Index const k = length("h", given("h"));
    rounding_ = 8 * static_cast<double>(k) * std::numeric_limits<double>::epsilon();
    detrame::Recurrence<B> const r{{}, device(shaped("W", given("W"), k, k)), column("h", k), column("b", k)};
    HostMatrix<double> const Z = with_rows("Z", given("Z"), k);
    Matrix<B> const U_bar = device(shaped("ubar", given("ubar"), k, Z.cols()));
    Run const run{r, device(Z)};
    compare_states(run, "U_T", {5});
    compare_limit(run);
    compare_adjoint(run, U_bar, 5, "dZ", "dW_T5");
  }

  /// A batch of the file, a column a sample in the order channel, site, as the library's, and back.
  static HostMatrix<double> by_sites(HostMatrix<double> const& v, Index k, Index sites) {
    return detrame::host_matrix<double>(
        k, sites * v.cols(), [&](Index c, Index j) { return v(c * sites + j % sites, j / sites); });
  }
  static HostMatrix<double> by_samples(HostMatrix<double> const& v, Index sites) {
    return detrame::host_matrix<double>(v.rows() * sites, v.cols() / sites, [&](Index i, Index n) {
      return v(i / sites, n * sites + i % sites);
    });
  }

  void convolutional() {
    HostMatrix<double> const numbers =
        shaped("shape_c_groups_H_W_K_T", given("shape_c_groups_H_W_K_T"), 1, 6);
    auto const number = [&](Index i) {
      double const n = numbers(0, i);
      if (!(n >= 1 && n <= 4096 && n == std::floor(n)))
        throw FormatError(file_ + ": shape_c_groups_H_W_K_T: expected whole numbers from 1 to 4096");
      return static_cast<Index>(n);
    };
    Index const k = number(0), T = number(5);
    detrame::ConvolutionalBlocks const shape{number(2), number(3), number(4), number(1)};
    shape.check(file_.c_str(), k);
    Index const kg = k / shape.groups, taps = shape.taps(), sites = shape.unit();
    rounding_ = 8 * static_cast<double>(k * taps) * std::numeric_limits<double>::epsilon();
    HostMatrix<double> const kernel = shaped("kernel", given("kernel"), k, kg * taps);
    Matrix<B> const W = device(detrame::host_matrix<double>(kg, taps * k, [&](Index o, Index column) {
      Index const i = column % kg, tap = column / kg % taps, group = column / (kg * taps);
      return kernel(group * kg + o, i * taps + tap);
    }));
    Matrix<B> const h = column("h", k), b = column("b", k);
    HostMatrix<double> const Z = with_rows("Z", given("Z"), k * sites);
    Index const N = Z.cols() * sites;
    Matrix<B> const z = device(by_sites(Z, k, sites));
    Matrix<B> const U_bar = device(by_sites(shaped("ubar", given("ubar"), k * sites, Z.cols()), k, sites));
    Matrix<B> U = detrame::zeros(b_, k, N), kept = detrame::zeros(b_, k, (T - 1) * N);
    Matrix<B> Z_bar = detrame::zeros(b_, k, N), W_bar = detrame::zeros(b_, kg, taps * k);
    Matrix<B> h_bar = detrame::zeros(b_, k, 1), b_bar = detrame::zeros(b_, k, 1);
    unrolled_prox(b_, shape, NonnegativeShrinkage{}, W, h, b, z, T, U, kept);
    unrolled_prox_pullback(b_, shape, NonnegativeShrinkage{}, W, h, b, z, T, U, kept, U_bar, Z_bar, W_bar,
                           h_bar, b_bar);
    double const cotangents = largest(to_host(b_, U_bar)), points = largest(Z),
                 terms = static_cast<double>(N);
    HostMatrix<double> const W_bar_host = to_host(b_, W_bar);
    compare("U", device(by_samples(to_host(b_, U), sites)), points);
    compare("dZ", device(by_samples(to_host(b_, Z_bar), sites)), cotangents);
    compare("dkernel",
            device(detrame::host_matrix<double>(k, kg * taps,
                                                [&](Index o, Index place) {
                                                  Index const i = place / taps, tap = place % taps;
                                                  return W_bar_host(o % kg, (o / kg * taps + tap) * kg + i);
                                                })),
            terms * cotangents * points);
    compare("dh", h_bar, terms * cotangents * points);
    compare("db", b_bar, terms * cotangents);
  }

  double distance(Matrix<B> U, Matrix<B> const& V) {
    each(b_.lane(), detrame::formula::Subtract(), U, ConstView<B>(V));
    return largest(to_host(b_, U));
  }

  /// The fixed point: T is doubled until U_T, U_2T and U_{2T+1} agree to a hundredth of the accuracy. The
  /// last one tells a fixed point from a cycle, whose period may divide T.
  void compare_limit(Run const& run) {
    constexpr Index limit = Index{1} << 17;
    Matrix<B> U = states(run, 64);
    for (Index T = 128; T <= limit; T *= 2) {
      Matrix<B> const further = states(run, T);
      double const small = accuracy / 100 * largest(to_host(b_, further));
      if (distance(further, U) <= small && distance(states(run, T + 1), further) <= small)
        return compare("U_limit", further, largest(to_host(b_, run.Z)));
      U = further;
    }
    known_.insert("U_limit");
    fail("U_limit",
         "cannot be checked: the recursion has not converged after " + std::to_string(limit) + " updates");
  }

  B& b_;
  std::string file_;
  Quantities quantities_;
  std::ostream& report_;
  std::set<std::string> known_;
  double rounding_ = 0;
  bool passed_ = true;
};

}  // namespace golden
