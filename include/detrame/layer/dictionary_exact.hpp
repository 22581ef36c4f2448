// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>
#include <utility>
#include <vector>

#include "detrame/backend/in_double.hpp"
#include "detrame/exact/exact_synthesis.hpp"
#include "detrame/exact/exact_synthesis_pullback.hpp"
#include "detrame/layer/dictionary.hpp"

namespace detrame {

/// A dictionary layer solves its problem to the last digit; gradients by the implicit adjoint (A3).
struct Exact {};

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

/// theta_bar += the cotangent of what the layer's problem was made of.
template <Backend B>
void add_cotangent(B& backend, DictionaryParameters<B>& theta_bar, SynthesisCotangent<B> const& bar) {
  auto& lane = backend.lane();
  each(lane, formula::Add(), theta_bar.D, bar.D_bar);
  each(lane, formula::Add(), theta_bar.d, bar.d_bar);
  each(lane, formula::Add(), theta_bar.lambda, bar.lambda_bar);
  each(lane, formula::Add(), theta_bar.alpha, bar.alpha_bar);
  each(lane, formula::Add(), theta_bar.beta, bar.beta_bar);
}

/// The columns whose code has neither a certificate nor NaN, which goes through as in every layer.
template <Backend B>
std::vector<Index> failed_columns(B& backend, ExactResult<B> const& code) {
  std::vector<Index> failed;
  if (code.status == ExactStatus::optimal) return failed;
  auto const status = to_host(backend, ConstView<B>(code.column_status));
  for (Index j = 0; j < status.cols(); ++j)
    if (auto const s = static_cast<ExactStatus>(static_cast<int>(status(0, j)));
        s != ExactStatus::optimal && s != ExactStatus::not_finite)
      failed.push_back(j);
  return failed;
}

template <Backend B>
[[noreturn]] void not_certified(B& backend, char const* who, ExactResult<B> const& code, Index j) {
  auto const status = to_host(backend, ConstView<B>(code.column_status).middle_cols(j, 1));
  auto const residual = to_host(backend, ConstView<B>(code.residual).middle_cols(j, 1));
  throw NotCertified(message(who, ": the exact solver ended with ",
                             name(static_cast<ExactStatus>(static_cast<int>(status(0, 0)))), ", residual ",
                             residual(0, 0), " of its terms"));
}

/// Columns of a batch whose code its scalar could not certify, and their problem, solved in double. Entered
/// only for them.
template <Backend B>
class SolvedInDouble {
  using Scalar = typename B::Scalar;
  using Wide = std::conditional_t<std::is_same_v<Scalar, double>, B, typename InDouble<B>::Backend>;

 public:
  std::vector<Index> const& columns() const { return columns_; }

  /// Writes the codes of `failed` columns over those of code.u.
  /// NotCertified where double cannot do it either.
  void solve(B& backend, char const* who, Synthesis<B> const& synthesis, ConstView<B> x, ExactResult<B>& code,
             std::vector<Index> failed) {
    columns_ = std::move(failed);
    if (columns_.empty()) return;
    if constexpr (std::is_same_v<Scalar, double>) {
      not_certified(backend, who, code, columns_.front());
    } else {
      D_ = converted<double>(to_host(backend, ConstView<B>(synthesis.D)));
      d_ = converted<double>(to_host(backend, ConstView<B>(synthesis.d)));
      alpha_ = static_cast<double>(synthesis.alpha);
      beta_ = static_cast<double>(synthesis.beta);
      lambda_ = static_cast<double>(synthesis.lambda);
      x_ = gathered(backend, x);
      Wide wide;
      auto const again = exact_synthesis(wide, problem(wide), to_device(wide, x_));
      auto const status = to_host(wide, ConstView<Wide>(again.column_status));
      for (Index n = 0; n < status.cols(); ++n)
        if (status(0, n) != 0) not_certified(wide, who, again, n);
      u_ = to_host(wide, ConstView<Wide>(again.u));
      scatter(backend, u_, code.u);
    }
  }

  /// The adjoint of those columns: added to theta_bar, written over their X_bar.
  void pull_back(B& backend, ConstView<B> u_bar, DictionaryParameters<B>& theta_bar, View<B> X_bar) const {
    if constexpr (!std::is_same_v<Scalar, double>) {
      Wide wide;
      auto const bar = exact_synthesis_pullback(wide, problem(wide), to_device(wide, x_), to_device(wide, u_),
                                                to_device(wide, gathered(backend, u_bar)));
      auto const add = [&](Matrix<B>& to, Matrix<Wide> const& from) {
        auto const rounded = converted<Scalar>(to_host(wide, ConstView<Wide>(from)));
        each(backend.lane(), formula::Add(), to, to_device(backend, rounded));
      };
      add(theta_bar.D, bar.D_bar);
      add(theta_bar.d, bar.d_bar);
      add(theta_bar.lambda, bar.lambda_bar);
      add(theta_bar.alpha, bar.alpha_bar);
      add(theta_bar.beta, bar.beta_bar);
      scatter(backend, to_host(wide, ConstView<Wide>(bar.X_bar)), X_bar);
    }
  }

 private:
  template <class To, class From>
  static HostMatrix<To> converted(HostMatrix<From> const& A) {
    return host_matrix<To>(A.rows(), A.cols(), [&](Index i, Index j) { return static_cast<To>(A(i, j)); });
  }
  Synthesis<Wide> problem(Wide& wide) const {
    return {to_device(wide, D_), alpha_, beta_, lambda_, to_device(wide, d_)};
  }
  HostMatrix<double> gathered(B& backend, ConstView<B> A) const {
    HostMatrix<double> out(A.rows(), static_cast<Index>(columns_.size()));
    for (Index n = 0; n < out.cols(); ++n) {
      auto const column = to_host(backend, A.middle_cols(columns_[static_cast<std::size_t>(n)], 1));
      for (Index i = 0; i < A.rows(); ++i) out(i, n) = static_cast<double>(column(i, 0));
    }
    return out;
  }
  void scatter(B& backend, HostMatrix<double> const& from, View<B> to) const {
    for (Index n = 0; n < from.cols(); ++n) {
      auto const column = host_matrix<Scalar>(
          from.rows(), 1, [&](Index i, Index) { return static_cast<Scalar>(from(i, n)); });
      each(backend.lane(), formula::Assign(), to.middle_cols(columns_[static_cast<std::size_t>(n)], 1),
           to_device(backend, column));
    }
  }

  std::vector<Index> columns_;
  HostMatrix<double> D_{}, d_{}, x_{}, u_{};
  double alpha_ = 0, beta_ = 0, lambda_ = 0;
};

}  // namespace detail

/// The layer of deep dictionary learning, solved exactly: u = M_D(x), the problem (M1) column by column. (N1)
///
/// Shapes    x: channels x columns.  u: k x columns.  A sample of many sites is coded site by site.
/// Requires  alpha > 0, beta >= 0, lambda >= 0, else DomainError: the constraints that Sgd keeps.
/// Ensures   u is a prox, whatever the training did. Columns that the scalar cannot certify (alpha lost in
///           float) are solved in double (InDouble), in forward, pullback and predict; the tape counts them
///           in `solved_in_double.columns()`. Where that has no certificate either, NotCertified. Columns
///           that are not finite go through as NaN.
/// Adjoint   implicit, on the active set (A3); where a coordinate is on its kink it counts as inactive.
/// Cost      about k^3 / 10 flops a column, see bench/README.md.
/// Tested    tests/layer/layer_test.cpp
template <Index k>
struct Dictionary<k, Exact> {
  static_assert(k > 0, "Dictionary: the number of atoms must be positive");
  static constexpr Shape output(Shape in) { return {k, in.height, in.width}; }

  template <Shape in, Backend B>
  struct Layer {
    using Backend = B;
    using Scalar = typename B::Scalar;
    using Parameters = DictionaryParameters<B>;
    static constexpr Shape input = in, output = Dictionary::output(in);

    /// The problem, and its penalty with vectors that are kept: a step allocates nothing.
    struct Problem {
      Synthesis<B> synthesis{};
      Matrix<B> lambda, beta;  // k x 1
    };
    struct PenaltyOf {
      using Backend = B;
      using Activation = formula::NonnegativeShrinkage;
      Problem const& problem;
      Index dim() const { return k; }
      ConstView<B> lambda() const { return problem.lambda; }
      ConstView<B> beta() const { return problem.beta; }
      Activation activation() const { return {}; }
      void value(typename B::Lane& lane, ConstView<B> U, View<B> out) const {
        column_sums(lane, out, formula::PenaltyTerm<false>{}, U, PerRow{lambda()}, PerRow{beta()});
      }
    };
    static_assert(Penalty<PenaltyOf>);

    struct Tape {
      ConstView<B> x{};
      Problem problem{};
      ExactResult<B> code{};
      SynthesisCotangent<B> bar{};
      detail::SolvedInDouble<B> solved_in_double{};
    };

    Parameters parameters(B& backend) const { return Parameters::zeros(backend, in.channels, k); }

    ConstView<B> forward(B& backend, Parameters const& theta, ConstView<B> x, Tape& tape, Draw) const {
      samples<Layer>("Dictionary", x);
      tape.x = x;
      set_problem(backend, theta, tape.problem);
      solve(backend, tape.problem, x, tape.code, tape.solved_in_double);
      return tape.code.u;
    }

    void predict(B& backend, Parameters const& theta, ConstView<B> x, View<B> u) const {
      samples<Layer>("Dictionary", x, u);
      Problem problem{};
      ExactResult<B> code{};
      detail::SolvedInDouble<B> again{};
      set_problem(backend, theta, problem);
      solve(backend, problem, x, code, again);
      each(backend.lane(), formula::Assign(), u, code.u);
    }

    ConstView<B> pullback(B& backend, Parameters const&, Tape& tape, ConstView<B> u_bar,
                          Parameters& theta_bar) const {
      require_cotangent("Dictionary", tape.code.u, u_bar);
      theta_bar.check(in.channels, k, "_bar");
      auto const& again = tape.solved_in_double;
      auto const pull_back = [&](ConstView<B> u) {
        exact_synthesis_pullback(backend, tape.problem.synthesis, PenaltyOf{tape.problem}, tape.x, u, u_bar,
                                 tape.bar);
        detail::add_cotangent(backend, theta_bar, tape.bar);
      };
      if (again.columns().empty()) {
        pull_back(tape.code.u);
      } else {  // those columns have an empty support here, and cotangents of their own
        Matrix<B> others = tape.code.u;
        for (Index const j : again.columns())
          each(backend.lane(), formula::Fill<Scalar>{0}, View<B>(others).middle_cols(j, 1));
        pull_back(others);
        again.pull_back(backend, u_bar, theta_bar, tape.bar.X_bar);
      }
      return tape.bar.X_bar;
    }

    /// The states whose zeros are the kinks of this layer, for check_pullback.
    template <class F>
    static void visit_states(F&& f, Tape const& tape) {
      f(tape.code.u);
    }

   private:
    static void set_problem(B& backend, Parameters const& theta, Problem& problem) {
      theta.check(in.channels, k);
      auto& lane = backend.lane();
      Synthesis<B>& synthesis = problem.synthesis;
      detail::take_parameters(backend, theta, synthesis);
      for (auto* const column : {&problem.lambda, &problem.beta}) resize(backend, *column, k, 1);
      each(lane, formula::Fill<Scalar>{synthesis.lambda}, problem.lambda);
      each(lane, formula::Fill<Scalar>{synthesis.beta}, problem.beta);
    }

    static void solve(B& backend, Problem const& problem, ConstView<B> x, ExactResult<B>& code,
                      detail::SolvedInDouble<B>& again) {
      exact_synthesis(backend, problem.synthesis, PenaltyOf{problem}, x, code);
      again.solve(backend, "Dictionary", problem.synthesis, x, code, detail::failed_columns(backend, code));
    }
  };
};

}  // namespace detrame
