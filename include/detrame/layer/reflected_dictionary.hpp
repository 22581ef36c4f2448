// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/layer/convolutional_dictionary.hpp"
#include "detrame/layer/dictionary_exact.hpp"
#include "detrame/layer/majorant.hpp"
#include "detrame/layer/output_memory.hpp"

namespace detrame::inline DETRAME_ABI {

namespace formula {

/// What is reflected, fused to v = (D a)_i: y <- x - 2 v
struct Reflect {
  static constexpr bool on_packets = true;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& y, Scalar x) const {
    y = x - (v + v);
  }
};

/// The cotangent of a code, fused to v = (D^T y_bar)_i: a_bar <- -2 v
struct ReflectCotangent {
  static constexpr bool on_packets = true;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& a_bar) const {
    a_bar = -(v + v);
  }
};

}  // namespace formula

namespace detail {

/// A dictionary layer that is solved exactly, and the window in which its atoms stand.
template <Index k, Index K, class... Choices>
struct ExactCode {
  using Recipe = ConvolutionalDictionary<k, K, Exact, Choices...>;
};
template <Index k>
struct ExactCode<k, 1> {
  using Recipe = Dictionary<k, Exact>;
};

}  // namespace detail

/// The reflected layer of a dictionary whose k atoms may stand at every position of a window: x as M_D leaves
/// it on the other side of D M_D(x).                                                           (M1) (K4) (L6)
///
///   y = x - 2 D M_D(x)
///
/// Solver    Exact: M_D is solved to the last digit.  Unrolled<Gershgorin or SpectralNorm, Unroll<1>>
///           (layer/reflected_update.hpp): one update from 0.  More updates are refused: between 1 and the
///           exact solution the map expands (L6).
/// Choices   Stride<s>, Padding<p>, of the window.
/// Shapes    x, y: channels x (sites samples).  D: (K^2 channels) x k, a column an atom.
/// Requires  alpha > 0, beta >= 0, lambda >= 0, else DomainError: the constraints that Sgd keeps.
/// Ensures   |y - y'| <= |x - x'| for every D, d, lambda, alpha and beta, in real arithmetic.            (L6)
///           Exact: as Dictionary<k, Exact> and ConvolutionalDictionary, where float cannot certify.
/// Adjoint   implicit, on the active set (A3).
/// Lending   y is not lent: pullback writes x_bar over it while it reads y_bar. Cannot run in place.
/// Cost      that of the code, then 2 K^2 k channels flops a code site; 4 more of that in the pullback.
/// Tested    tests/layer/reflected_dictionary_test.cpp
template <Index k, Index K, class Solver, class... Choices>
struct ReflectedConvolutionalDictionary;

template <Index k, Index K, class... Choices>
struct ReflectedConvolutionalDictionary<k, K, Exact, Choices...> {
  using Code = typename detail::ExactCode<k, K, Choices...>::Recipe;
  using Geometry = Convolution<k, K, Choices...>;
  static constexpr Shape output(Shape in) { return in; }

  template <Shape in, Backend B>
  struct Layer {
    using Backend = B;
    using FromRecipe = ReflectedConvolutionalDictionary;
    using Scalar = typename B::Scalar;
    using CodeLayer = Bind<Code, in, B>;
    static constexpr Shape input = in, output = in;
    static constexpr Window window = Geometry::window(in);
    using Parameters = WindowDictionaryParameters<B, window.taps()>;
    static constexpr Index multiply_adds = 2 * CodeLayer::multiply_adds;  ///< of D^T x and D a alone
    static std::string name() { return message("Reflected dictionary ", window, ", exact"); }

    struct Tape {
      typename CodeLayer::Tape code{};
      ConstView<B> a{};                  // k x (out_sites samples), in `code`
      Matrix<B> D_T, D_T_bar, a_bar, y;  // k x (taps m), twice; as a; m x N, pullback writes x_bar over it
    };

    Parameters parameters(B& backend) const {
      return {Parameters::zeros(backend, window.taps() * in.channels, k)};
    }

    ConstView<B> forward(B& backend, Parameters const& theta, ConstView<B> x, Tape& tape, Draw draw) const {
      tape.a = CodeLayer().forward(backend, theta, x, tape.code, draw);
      resize(backend, tape.D_T, k, window.taps() * in.channels);
      resize(backend, tape.y, in.channels, x.cols());
      transpose(backend, ConstView<B>(theta.D), View<B>(tape.D_T));
      auto const frame = backend.lane().frame();
      auto const D = prepare_convolution(Direct(), backend, window, tape.D_T, Op::transposed);
      ConstView<B> const a = tape.a;
      View<B> const y = tape.y;
      each_chunk(backend, batch(x.cols()), k + 2 * in.channels, [=](auto& lane, Columns c) {
        convolve_each(lane, D, columns(a, outputs<CodeLayer>(c)), formula::Reflect(), columns(y, c),
                      columns(x, c));
      });
      return tape.y;
    }

    void predict(B& backend, Parameters const& theta, ConstView<B> x, View<B> y) const {
      samples<Layer>("ReflectedDictionary", x, y);
      Tape tape;
      each(backend.lane(), formula::Assign(), y, forward(backend, theta, x, tape, Draw{}));
    }

    ConstView<B> pullback(B& backend, Parameters const& theta, Tape& tape, ConstView<B> y_bar,
                          Parameters& theta_bar) const {
      require_cotangent("ReflectedDictionary", tape.y, y_bar);
      theta_bar.check(window.taps() * in.channels, k, "_bar");
      resize(backend, tape.a_bar, k, tape.a.cols());
      resize(backend, tape.D_T_bar, k, tape.D_T.cols());
      each(backend.lane(), formula::Fill<Scalar>{0}, View<B>(tape.D_T_bar));
      auto const frame = backend.lane().frame();
      auto const D_T = prepare_convolution(Direct(), backend, window, tape.D_T, Op::none);
      ConstView<B> const a = tape.a;
      View<B> const a_bar = tape.a_bar;
      std::array<View<B>, 1> const sums{View<B>(tape.D_T_bar)};
      sum_chunks(backend, batch(y_bar.cols()), 2 * k + in.channels, sums,
                 [=](auto& lane, Columns c, std::array<View<B>, 1> const& partial) {
                   Columns const out = outputs<CodeLayer>(c);
                   add_convolution_gradient(Direct(), lane, window, columns(a, out), columns(y_bar, c), 1,
                                            partial[0]);
                   convolve_each(lane, D_T, columns(y_bar, c), formula::ReflectCotangent(),
                                 columns(a_bar, out));
                 });
      ConstView<B> const x_bar_of_code =
          CodeLayer().pullback(backend, theta, tape.code, ConstView<B>(a_bar), theta_bar);
      subtract_twice(backend, tape.D_T_bar, theta_bar.D);
      View<B> const x_bar = tape.y;
      each_chunk(backend, Batch{y_bar.cols()}, 3 * in.channels, [=](auto& lane, Columns c) {
        each(lane, formula::Sum(), columns(x_bar, c), columns(y_bar, c), columns(x_bar_of_code, c));
      });
      return x_bar;
    }

    void inference_pullback(B& backend, Parameters const& theta, Tape const& tape, ConstView<B> y_bar,
                            View<B> x_bar) const {
      require_cotangent("ReflectedDictionary", tape.y, y_bar);
      auto const frame = backend.lane().frame();
      View<B> const a_bar = backend.lane().scratch(k, tape.a.cols());
      auto const D_T = prepare_convolution(Direct(), backend, window, tape.D_T, Op::none);
      each_chunk(backend, batch(y_bar.cols()), k + in.channels, [=](auto& lane, Columns c) {
        convolve_each(lane, D_T, columns(y_bar, c), formula::ReflectCotangent(),
                      columns(a_bar, outputs<CodeLayer>(c)));
      });
      CodeLayer().inference_pullback(backend, theta, tape.code, ConstView<B>(a_bar), x_bar);
      each(backend.lane(), formula::Add(), x_bar, y_bar);
    }

    /// The states whose zeros are the kinks of this layer, for check_pullback.
    template <class F>
    static void visit_states(F&& f, Tape const& tape) {
      CodeLayer::visit_states(f, tape.code);
    }

   private:
    static Batch batch(Index columns) {
      return {columns, in.sites(), 1, 2. * k * window.taps() * in.channels};
    }

    /// D_bar -= 2 A^T
    static void subtract_twice(B& backend, ConstView<B> A, View<B> D_bar) {
      auto& lane = backend.lane();
      auto const frame = lane.frame();
      View<B> const transposed = lane.scratch(D_bar.rows(), D_bar.cols());
      transpose(backend, A, transposed);
      each(lane, formula::Axpy<Scalar>{-2}, D_bar, ConstView<B>(transposed));
    }
  };
};

/// The same at each site by itself: D is channels x k.
template <Index k, class Solver>
using ReflectedDictionary = ReflectedConvolutionalDictionary<k, 1, Solver>;

}  // namespace detrame::inline DETRAME_ABI
