// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/layer/samples.hpp"
#include "detrame/layer/solved_in_double.hpp"

namespace detrame::inline DETRAME_ABI {

/// A dictionary layer solves its problem to the last digit; gradients by the implicit adjoint (A3).
struct Exact {};

namespace detail {

/// The problem of an exact dictionary layer, and its penalty with vectors that are kept: a step allocates
/// nothing. Of a type of their own, so that the solver is compiled once for all sizes of layers.
template <Backend B>
struct DictionaryProblem {
  Synthesis<B> synthesis{};
  Matrix<B> lambda, beta;  // k x 1
};
template <Backend B_>
struct DictionaryPenalty {
  using Backend = B_;
  using Activation = formula::NonnegativeShrinkage;
  DictionaryProblem<B_> const& problem;
  Index dim() const { return problem.lambda.rows(); }
  ConstView<B_> lambda() const { return problem.lambda; }
  ConstView<B_> beta() const { return problem.beta; }
  Activation activation() const { return {}; }
  void value(typename B_::Lane& lane, ConstView<B_> U, View<B_> out) const {
    column_sums(lane, out, formula::PenaltyTerm<Activation>{}, U, PerRow{lambda()}, PerRow{beta()});
  }
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
/// Lending   u is not lent: pullback reads its support. Cannot run in place: pullback reads x.
/// Cost      about k^3 / 10 flops a column, see bench/README.md. For the pullback the tape keeps factors of
///           the columns, in at most `factor_bytes`, 64 MiB.
/// Tested    tests/layer/layer_test.cpp
template <Index k>
struct Dictionary<k, Exact> {
  static_assert(k > 0, "Dictionary: the number of atoms must be positive");
  static constexpr Shape output(Shape in) { return {k, in.height, in.width}; }

  template <Shape in, Backend B>
  struct Layer {
    using Backend = B;
    using FromRecipe = Dictionary;
    using Scalar = typename B::Scalar;
    using Parameters = DictionaryParameters<B>;
    static constexpr Shape input = in, output = Dictionary::output(in);
    static constexpr Index multiply_adds = k * in.channels * in.sites();  ///< of D^T x alone
    static std::string name() { return "Dictionary, exact"; }
    static constexpr Index factor_bytes = Index{64} << 20;  ///< of a tape

    using Problem = detail::DictionaryProblem<B>;
    using PenaltyOf = detail::DictionaryPenalty<B>;
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
      solve(backend, tape.problem, x, tape.code, tape.solved_in_double, factor_bytes);
      return tape.code.u;
    }

    void predict(B& backend, Parameters const& theta, ConstView<B> x, View<B> u) const {
      samples<Layer>("Dictionary", x, u);
      Problem problem{};
      ExactResult<B> code{};
      detail::SolvedInDouble<B> again{};
      set_problem(backend, theta, problem);
      solve(backend, problem, x, code, again, 0);
      each(backend.lane(), formula::Assign(), u, code.u);
    }

    ConstView<B> pullback(B& backend, Parameters const&, Tape& tape, ConstView<B> u_bar,
                          Parameters& theta_bar) const {
      require_cotangent("Dictionary", tape.code.u, u_bar);
      theta_bar.check(in.channels, k, "_bar");
      auto const& synthesis = tape.problem.synthesis;
      tape.solved_in_double.pull_back(backend, synthesis, tape.x, tape.code.u, u_bar, theta_bar, tape.bar,
                                      [&](ConstView<B> u, SynthesisCotangent<B>& bar) {
                                        exact_synthesis_pullback(backend, synthesis, PenaltyOf{tape.problem},
                                                                 tape.x, u, u_bar, bar, tape.code.factors);
                                      });
      return tape.bar.X_bar;
    }

    void inference_pullback(B& backend, Parameters const&, Tape const& tape, ConstView<B> u_bar,
                            View<B> x_bar) const {
      require_cotangent("Dictionary", tape.code.u, u_bar);
      auto const& synthesis = tape.problem.synthesis;
      tape.solved_in_double.pull_back(
          backend, synthesis, tape.x, tape.code.u, u_bar, x_bar, [&](ConstView<B> u) {
            exact_synthesis_pullback<B>(backend, synthesis, PenaltyOf{tape.problem}, tape.x, u, u_bar, x_bar,
                                        tape.code.factors);
          });
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
                      detail::SolvedInDouble<B>& again, Index bytes) {
      exact_synthesis(backend, problem.synthesis, PenaltyOf{problem}, x, code, {.factor_bytes = bytes});
      again.solve(backend, "Dictionary", problem.synthesis, x, code);
    }
  };
};

}  // namespace detrame::inline DETRAME_ABI
