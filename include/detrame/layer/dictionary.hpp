// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "detrame/layer/concept.hpp"
#include "detrame/layer/start.hpp"

namespace detrame::inline DETRAME_ABI {

/// D starts random, with atoms of the norm that the policy has.
struct DictionaryAtoms : Role {
  constexpr DictionaryAtoms() : Role{.name = "dictionary", .stream = 5, .weight = true} {}

  template <class Scalar, class Policy>
  void start(HostMatrix<Scalar>& p, Random const& random, Policy const& policy) const {
    fill_atoms(p, random, policy.tied.atoms);
  }
};

/// lambda, alpha and beta start as the policy has them.
struct ProblemNumber : Role {
  double TiedValues::* number;

  template <class Scalar, class Policy>
  void start(HostMatrix<Scalar>& p, Random const&, Policy const& policy) const {
    p = HostMatrix<Scalar>(p.rows(), p.cols(), static_cast<Scalar>(policy.tied.*number));
  }
};

/// The parameters of a dictionary layer on k atoms of m entries: those of the problem (M1).
/// Shapes    D: m x k.  d: k x 1.  lambda, alpha, beta: 1 x 1.
template <Backend B>
struct DictionaryParameters {
  Matrix<B> D, d, lambda, alpha, beta;

  template <class F, class Theta, class... Rest>
  static void visit(F&& f, Path const& path, Theta&& theta, Rest&&... rest) {
    f(path / "D", DictionaryAtoms(), theta.D, rest.D...);
    f(path / "d", Role{.name = "shift", .stream = 6}, theta.d, rest.d...);
    f(path / "lambda",
      ProblemNumber{{.name = "lambda", .stream = 7, .low = 0, .hyperparameter = true}, &TiedValues::lambda},
      theta.lambda, rest.lambda...);
    f(path / "alpha",
      ProblemNumber{{.name = "alpha", .stream = 8, .low = 0, .open = true, .hyperparameter = true},
                    &TiedValues::alpha},
      theta.alpha, rest.alpha...);
    f(path / "beta",
      ProblemNumber{{.name = "beta", .stream = 9, .low = 0, .hyperparameter = true}, &TiedValues::beta},
      theta.beta, rest.beta...);
  }

  /// Refuses tensors of other shapes; `suffix` is "_bar" for a cotangent.
  void check(Index m, Index k, std::string const& suffix = "") const {
    auto const require = [&](char const* name, Matrix<B> const& p, Index rows, Index cols) {
      require_shape("Dictionary", (name + suffix).c_str(), p, rows, cols);
    };
    require("D", D, m, k);
    require("d", d, k, 1);
    require("lambda", lambda, 1, 1);
    require("alpha", alpha, 1, 1);
    require("beta", beta, 1, 1);
  }

  static DictionaryParameters zeros(B& backend, Index m, Index k) {
    using detrame::zeros;
    return {zeros(backend, m, k), zeros(backend, k, 1), zeros(backend, 1, 1), zeros(backend, 1, 1),
            zeros(backend, 1, 1)};
  }
};

/// The parameters of a dictionary whose atoms are windows of so many taps, which a start may want to know.
/// Shapes    D: (taps m) x k, the rest as DictionaryParameters.
template <Backend B, Index taps>
struct WindowDictionaryParameters : DictionaryParameters<B> {
  template <class F, class Theta, class... Rest>
  static void visit(F&& f, Path const& path, Theta&& theta, Rest&&... rest) {
    auto const with_window = [&](Path const& at, auto role, auto&... tensors) {
      if constexpr (std::is_same_v<decltype(role), DictionaryAtoms>) role.window = taps;
      f(at, role, tensors...);
    };
    DictionaryParameters<B>::visit(with_window, path, theta, rest...);
  }
};

namespace detail {

/// The problem of a dictionary layer's parameters; what else the problem has is the caller's.
template <Backend B, class Problem>
void take_parameters(B& backend, DictionaryParameters<B> const& theta, Problem& problem) {
  auto& lane = backend.lane();
  problem.D = theta.D;
  problem.d = theta.d;
  problem.lambda = max_to_host(lane, theta.lambda);
  problem.alpha = max_to_host(lane, theta.alpha);
  problem.beta = max_to_host(lane, theta.beta);
}

/// total += the sum of a k x 1 column. total: 1 x 1.
template <Backend B>
void add_total(B& backend, ConstView<B> column, View<B> total) {
  auto& lane = backend.lane();
  auto const frame = lane.frame();
  View<B> const sum = lane.scratch(1, 1);
  column_sums(lane, sum, formula::Identity(), column);
  each(lane, formula::Add(), total, ConstView<B>(sum));
}

/// theta_bar += the cotangent of what the layer's problem was made of (SynthesisCotangent), each matrix as
/// `taken` gives it in the memory and precision of theta_bar.
template <Backend B, class Cotangent, class Taken = std::identity>
void add_cotangent(B& backend, DictionaryParameters<B>& theta_bar, Cotangent const& bar,
                   Taken const& taken = {}) {
  auto& lane = backend.lane();
  each(lane, formula::Add(), theta_bar.D, taken(bar.D_bar));
  each(lane, formula::Add(), theta_bar.d, taken(bar.d_bar));
  each(lane, formula::Add(), theta_bar.lambda, taken(bar.lambda_bar));
  each(lane, formula::Add(), theta_bar.alpha, taken(bar.alpha_bar));
  each(lane, formula::Add(), theta_bar.beta, taken(bar.beta_bar));
}

}  // namespace detail

/// A layer of a deep dictionary with k atoms, u = M_D(x). `Solver` says how the problem is solved and
/// differentiated: Exact (layer/dictionary_exact.hpp) or Unrolled<Scheme, Unroll<T>>
/// (layer/dictionary_unrolled.hpp).
template <Index k, class Solver>
struct Dictionary;

}  // namespace detrame::inline DETRAME_ABI
