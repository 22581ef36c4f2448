// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/exact/exact_synthesis.hpp"
#include "detrame/exact/exact_synthesis_pullback.hpp"
#include "detrame/layer/convolution.hpp"
#include "detrame/layer/dictionary_exact.hpp"
#include "detrame/layer/samples.hpp"
#include "detrame/layer/solved_in_double.hpp"

namespace detrame::inline DETRAME_ABI {

namespace formula {

/// A proximal gradient step of a synthesis problem, fused to v = (D^T (D u - x))_i, of length 1 / L:
/// u <- (u - (v + shift u + d + lambda) / L)_+. An infinite shift of u = 0 counts nothing.
template <class Scalar>
struct SynthesisStep {
  Scalar shift, lambda, L;
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& u, Scalar d) const {
    Scalar const shifted = u == Scalar(0) ? u : shift * u;
    u = relu(u - (v + shifted + d + lambda) / L);
  }
};

}  // namespace formula

/// A dictionary layer runs T proximal gradient steps from 0, all of one length that suits every site;
/// gradients by the implicit adjoint at what they come to, which is the gradient of the limit T -> infinity,
/// not of T steps.
template <int T>
struct ImplicitUnroll {
  static_assert(T >= 1, "ImplicitUnroll: at least one step");
};

namespace detail {
template <class Solver>
inline constexpr int steps_of = 0;
template <int T>
inline constexpr int steps_of<ImplicitUnroll<T>> = T;
}  // namespace detail

/// The layer of deep dictionary learning with atoms that may stand anywhere: u = M_D(x), an image at a time.
///                                                                                            (N1) (M1) (K4)
/// D is the adjoint of a window of K x K pixels, of stride s and padding p, so that codes have the sites that
/// Convolution<k, K, Choices...> would give.
///
/// Solver    Exact, or ImplicitUnroll<T>.  Choices: Stride<s>, Padding<p>.
/// Shapes    x: channels x (sites samples).  u: k x (out_sites samples).  D: (K^2 channels) x k, a column an
///           atom.
/// Requires  alpha > 0, beta >= 0, lambda >= 0, else DomainError: the constraints that Sgd keeps.
/// Ensures   Exact: u is a prox. Images that the scalar cannot certify are solved in double, as columns of
///           Dictionary<k, Exact> are, and counted in the tape's `solved_in_double.columns()`.
/// Adjoint   implicit, on the active set (A3).
/// Lending   u is not lent: pullback reads its support. Cannot run in place: pullback reads x.
/// Cost      Exact: see exact_synthesis.  ImplicitUnroll<T>: 4 K^2 k channels T flops a code site; the
///           pullback solves a linear system by conjugate gradients.
/// Tested    tests/layer/convolutional_dictionary_test.cpp
template <Index k, Index K, class Solver = Exact, class... Choices>
struct ConvolutionalDictionary {
  static_assert(k > 0 && K > 0, "ConvolutionalDictionary: atoms and kernel must be positive");
  static constexpr int T = detail::steps_of<Solver>;
  static_assert(std::is_same_v<Solver, Exact> || T > 0,
                "ConvolutionalDictionary: the solver is Exact or ImplicitUnroll<T>");
  using Analysis = Convolution<k, K, Choices...>;
  static constexpr Shape output(Shape in) { return Analysis::output(in); }

  template <Shape in, Backend B>
  struct Layer {
    static_assert(Analysis::window(in).fits(),
                  "ConvolutionalDictionary: the kernel must fit the padded image, and the padding be less "
                  "than the kernel");
    using Backend = B;
    using FromRecipe = ConvolutionalDictionary;
    using Scalar = typename B::Scalar;
    static constexpr Shape input = in, output = ConvolutionalDictionary::output(in);
    static constexpr Window window = Analysis::window(in);
    using Parameters = WindowDictionaryParameters<B, window.taps()>;
    static constexpr Index patch = window.taps() * in.channels;
    /// Of D^T x alone where the solver is Exact.
    static constexpr Index multiply_adds = (T == 0 ? 1 : 2 * T) * k * patch * output.sites();
    static std::string name() {
      return message("Dictionary ", window, T == 0 ? ", exact" : message(", T = ", T));
    }

    struct Tape {
      ConstView<B> x{};
      ConvolutionalSynthesis<B> synthesis{};
      Matrix<B> D_T{};  // k x patch
      ExactResult<B> code{};
      SynthesisCotangent<B> bar{};
      detail::SolvedInDouble<B> solved_in_double{};
    };

    Parameters parameters(B& backend) const { return {Parameters::zeros(backend, patch, k)}; }

    ConstView<B> forward(B& backend, Parameters const& theta, ConstView<B> x, Tape& tape, Draw) const {
      samples<Layer>("ConvolutionalDictionary", x);
      theta.check(patch, k);
      tape.synthesis.window = window;
      detail::take_parameters(backend, theta, tape.synthesis);
      tape.x = x;
      if constexpr (T == 0) {
        exact_synthesis(backend, tape.synthesis, x, tape.code);
        tape.solved_in_double.solve(backend, "ConvolutionalDictionary", tape.synthesis, x, tape.code);
      } else {
        unroll(backend, x, tape);
      }
      return tape.code.u;
    }

    void predict(B& backend, Parameters const& theta, ConstView<B> x, View<B> u) const {
      samples<Layer>("ConvolutionalDictionary", x, u);
      Tape tape;
      each(backend.lane(), formula::Assign(), u, forward(backend, theta, x, tape, Draw{}));
    }

    ConstView<B> pullback(B& backend, Parameters const&, Tape& tape, ConstView<B> u_bar,
                          Parameters& theta_bar) const {
      require_cotangent("ConvolutionalDictionary", tape.code.u, u_bar);
      theta_bar.check(patch, k, "_bar");
      tape.solved_in_double.pull_back(backend, tape.synthesis, tape.x, tape.code.u, u_bar, theta_bar,
                                      tape.bar, [&](ConstView<B> u, SynthesisCotangent<B>& bar) {
                                        exact_synthesis_pullback(backend, tape.synthesis, tape.x, u, u_bar,
                                                                 bar);
                                      });
      return tape.bar.X_bar;
    }

    void inference_pullback(B& backend, Parameters const&, Tape const& tape, ConstView<B> u_bar,
                            View<B> x_bar) const {
      require_cotangent("ConvolutionalDictionary", tape.code.u, u_bar);
      tape.solved_in_double.pull_back(
          backend, tape.synthesis, tape.x, tape.code.u, u_bar, x_bar, [&](ConstView<B> u) {
            exact_synthesis_pullback<B>(backend, tape.synthesis, tape.x, u, u_bar, x_bar);
          });
    }

    /// The states whose zeros are the kinks of this layer, for check_pullback.
    template <class F>
    static void visit_states(F&& f, Tape const& tape) {
      f(tape.code.u);
    }

   private:
    /// u <- (u - (D^T (D u - x) + (alpha + beta) u + d + lambda) / L)_+, T times from 0, L >= |D^T D| + alpha
    /// + beta.
    static void unroll(B& backend, ConstView<B> x, Tape& tape) {
      tape.synthesis.check("ConvolutionalDictionary");
      resize(backend, tape.D_T, k, patch);
      transpose(backend, ConstView<B>(tape.synthesis.D), View<B>(tape.D_T));
      resize(backend, tape.code.u, k, x.cols() / window.sites() * window.out_sites());
      Scalar const s = tape.synthesis.alpha + tape.synthesis.beta;
      bool const held = std::isinf(s);  // by an infinite beta, whatever lambda is
      formula::SynthesisStep<Scalar> const step{s, held ? Scalar(0) : tape.synthesis.lambda,
                                                largest_row_sum(backend, tape.D_T) + s};
      ConstView<B> const d = tape.synthesis.d;
      View<B> const u = tape.code.u;
      auto const frame = backend.lane().frame();
      auto const D_T = prepare_convolution(Direct(), backend, window, tape.D_T, Op::none),
                 D = prepare_convolution(Direct(), backend, window, tape.D_T, Op::transposed);
      each_chunk(backend, Batch{x.cols(), window.sites()}, 2 * (k + in.channels),
                 [=](auto& lane, Columns chunk) {
                   View<B> const u_c = columns(u, outputs<Layer>(chunk));
                   View<B> const E = lane.scratch(in.channels, chunk.count);  // D u - x
                   each(lane, formula::Fill<Scalar>{0}, u_c);
                   for (int t = 0; t < T; ++t) {
                     convolve_each(lane, D, ConstView<B>(u_c), formula::StoreMinus(), E, columns(x, chunk));
                     convolve_each(lane, D_T, ConstView<B>(E), step, u_c, PerRow{d});
                   }
                 });
    }

    /// The largest row sum of |D|^T |D|, which bounds the eigenvalues of D^T D: that of an image of ones.
    static Scalar largest_row_sum(B& backend, ConstView<B> D_T) {
      auto& lane = backend.lane();
      auto const frame = lane.frame();
      View<B> const W = lane.scratch(k, patch), ones = lane.scratch(k, window.out_sites()),
                    image = lane.scratch(in.channels, window.sites());
      each(lane, formula::StoreMagnitude(), W, D_T);
      each(lane, formula::Fill<Scalar>{1}, ones);
      convolve_each(lane, prepare_convolution(Direct(), lane, window, W, Op::transposed), ConstView<B>(ones),
                    formula::Store(), image);
      convolve_each(lane, prepare_convolution(Direct(), lane, window, W, Op::none), ConstView<B>(image),
                    formula::Store(), ones);
      return max_to_host(lane, ConstView<B>(ones));
    }
  };
};

}  // namespace detrame::inline DETRAME_ABI
