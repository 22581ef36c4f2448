// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/layer/dictionary.hpp"

namespace detrame::inline DETRAME_ABI {

/// The parameters of a dictionary [A, -A], with which it is 1-Lipschitz: alpha >= 1/4.                   (L2)
/// Shapes    D is A here, (taps m) x k/2; d: k x 1, the rest as WindowDictionaryParameters.
template <Backend B, Index taps>
struct PairedParameters : WindowDictionaryParameters<B, taps> {
  template <class F, class Theta, class... Rest>
  static void visit(F&& f, Path const& path, Theta&& theta, Rest&&... rest) {
    auto const of_pairs = [&](Path const& at, auto role, auto&... tensors) {
      if (role.name == "alpha") role.low = .25, role.open = false;
      f(at, role, tensors...);
    };
    WindowDictionaryParameters<B, taps>::visit(of_pairs, path, theta, rest...);
  }
};

/// A code layer whose k atoms are k/2 and their negatives, D = [A, -A]: half the parameters, and what A^T x
/// loses of its sign in one half of the code stands in the other.
///
/// Code      a recipe of dictionary layers: Dictionary<k, ...>, ConvolutionalDictionary<k, K, ...>.
/// Shapes    as those of Code.
/// Ensures   alpha >= 1/4 is a constraint that training keeps, so that with Exact it is 1-Lipschitz.     (L2)
///           Where A^T A = (alpha + beta) I and d = lambda = 0 it keeps the norm of what lies in the range of
///           A when alpha + beta = 1/4: u = (+-A^T x)_+ / (2 (alpha + beta)).
/// Adjoint   that of Code, and A_bar = the first half of D_bar less the second.
/// Lending   as Code.
/// Tested    tests/layer/paired_test.cpp
template <Recipe Code>
struct Paired {
  static constexpr Shape output(Shape in) { return Code::output(in); }

  template <Shape in, Backend B>
  struct Layer {
    using Backend = B;
    using FromRecipe = Paired;
    using Scalar = typename B::Scalar;
    using CodeLayer = Bind<Code, in, B>;
    static constexpr Shape input = in, output = CodeLayer::output;
    static constexpr Index k = output.channels, half = k / 2;
    static_assert(k % 2 == 0, "Paired: the number of atoms must be even");
    static constexpr Index taps = [] {
      if constexpr (requires { CodeLayer::window; })
        return CodeLayer::window.taps();
      else
        return Index{1};
    }();
    static constexpr Index patch = taps * in.channels;
    using Parameters = PairedParameters<B, taps>;
    static constexpr Index multiply_adds = CodeLayer::multiply_adds;
    static std::string name() { return CodeLayer::name() + ", in pairs"; }

    struct Tape {
      typename CodeLayer::Tape code{};
      typename CodeLayer::Parameters theta{}, bar{};  // of D = [A, -A]
    };

    Parameters parameters(B& backend) const {
      Parameters theta{CodeLayer().parameters(backend)};
      theta.D = zeros(backend, patch, half);
      return theta;
    }

    auto forward(B& backend, Parameters const& theta, ConstView<B> x, Tape& tape, Draw draw) const {
      pair(backend, theta, tape.theta);
      return CodeLayer().forward(backend, tape.theta, x, tape.code, draw);
    }

    void predict(B& backend, Parameters const& theta, ConstView<B> x, View<B> u) const {
      CodeLayer().predict(backend, paired(backend, theta), x, u);
    }

    /// The parameters of Code, with D = [A, -A].
    static typename CodeLayer::Parameters paired(B& backend, Parameters const& theta) {
      typename CodeLayer::Parameters both{};
      pair(backend, theta, both);
      return both;
    }

    ConstView<B> pullback(B& backend, Parameters const&, Tape& tape, ConstView<B> u_bar,
                          Parameters& theta_bar) const {
      check("_bar", theta_bar);
      auto& lane = backend.lane();
      resize_all(backend, tape.bar);
      each_pair(tape.bar, tape.bar, [&](Matrix<B>& bar, Matrix<B> const&) {
        each(lane, formula::Fill<Scalar>{0}, View<B>(bar));
      });
      each(lane, formula::Fill<Scalar>{0}, View<B>(tape.bar.D));
      ConstView<B> const x_bar = CodeLayer().pullback(backend, tape.theta, tape.code, u_bar, tape.bar);
      ConstView<B> const D_bar = tape.bar.D;
      each(lane, formula::Add(), View<B>(theta_bar.D), D_bar.middle_cols(0, half));
      each(lane, formula::Subtract(), View<B>(theta_bar.D), D_bar.middle_cols(half, half));
      each_pair(theta_bar, tape.bar, [&](Matrix<B>& sum, Matrix<B> const& bar) {
        each(lane, formula::Add(), View<B>(sum), ConstView<B>(bar));
      });
      return x_bar;
    }

    void inference_pullback(B& backend, Parameters const&, Tape const& tape, ConstView<B> u_bar,
                            View<B> x_bar) const {
      CodeLayer().inference_pullback(backend, tape.theta, tape.code, u_bar, x_bar);
    }

    /// The states whose zeros are the kinks of this layer, for check_pullback.
    template <class F>
    static void visit_states(F&& f, Tape const& tape) {
      CodeLayer::visit_states(f, tape.code);
    }

   private:
    /// f(a, b) for d, lambda, alpha and beta of two.
    template <class F>
    static void each_pair(DictionaryParameters<B>& a, DictionaryParameters<B> const& b, F const& f) {
      f(a.d, b.d), f(a.lambda, b.lambda), f(a.alpha, b.alpha), f(a.beta, b.beta);
    }

    static void resize_all(B& backend, DictionaryParameters<B>& both) {
      resize(backend, both.D, patch, k);
      resize(backend, both.d, k, 1);
      for (Matrix<B>* const number : {&both.lambda, &both.alpha, &both.beta}) resize(backend, *number, 1, 1);
    }

    static void pair(B& backend, Parameters const& theta, DictionaryParameters<B>& both) {
      check("", theta);
      auto& lane = backend.lane();
      resize_all(backend, both);
      View<B> const D = both.D;
      each(lane, formula::Assign(), D.middle_cols(0, half), ConstView<B>(theta.D));
      each(lane, formula::Scaled<Scalar>{-1}, D.middle_cols(half, half), ConstView<B>(theta.D));
      each_pair(both, theta, [&](Matrix<B>& to, Matrix<B> const& from) {
        each(lane, formula::Assign(), View<B>(to), ConstView<B>(from));
      });
    }

    static void check(std::string const& suffix, Parameters const& theta) {
      auto const require = [&](char const* name, Matrix<B> const& p, Index rows, Index cols) {
        require_shape("Paired", (name + suffix).c_str(), p, rows, cols);
      };
      require("D", theta.D, patch, half);
      require("d", theta.d, k, 1);
      require("lambda", theta.lambda, 1, 1);
      require("alpha", theta.alpha, 1, 1);
      require("beta", theta.beta, 1, 1);
    }
  };
};

}  // namespace detrame::inline DETRAME_ABI
