// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/layer/inference.hpp"
#include "detrame/layer/linear_roles.hpp"
#include "detrame/layer/output_memory.hpp"
#include "detrame/layer/samples.hpp"

namespace detrame::inline DETRAME_ABI {

/// What a Convolution<k, K, ...> may be told, in any order.
struct ConvolutionChoices {
  Index stride, padding;
  bool bias;
};
template <Index s>
struct Stride {
  static constexpr void choose(ConvolutionChoices& choices) { choices.stride = s; }
};
template <Index p>
struct Padding {
  static constexpr void choose(ConvolutionChoices& choices) { choices.padding = p; }
};
/// Direct, Winograd<2>, Winograd<4> (where K = 3 and s = 1) or Automatic.
template <class Arithmetic>
struct By {
  static constexpr void choose(ConvolutionChoices&) {}
};
/// c = 0, for a convolution before a BatchNorm, which takes every bias away.
struct NoBias {
  static constexpr void choose(ConvolutionChoices& choices) { choices.bias = false; }
};

namespace detail {
/// The arithmetic that the choices name, else Automatic.
template <class... Choices>
struct ChosenArithmetic {
  using type = Automatic;
};
template <class First, class... Rest>
struct ChosenArithmetic<First, Rest...> : ChosenArithmetic<Rest...> {};
template <class Arithmetic, class... Rest>
struct ChosenArithmetic<By<Arithmetic>, Rest...> {
  using type = Arithmetic;
};
}  // namespace detail

/// The linear map A^(r) of a network over images, a cross-correlation: z = W x - c.              (N2) (K1)
///
///   z(o, y, x) = sum_{i, dy, dx} W[o, i, dy, dx] x(i, s y + dy - p, s x + dx - p) - c(o)
///
/// Choices   Stride<s>, else 1; Padding<p>, else (K - 1) / 2, which keeps images their size where s = 1 and K
///           is odd; NoBias; By<Arithmetic>, else Automatic.
/// Shapes    x: channels x (sites samples).  W: k x (K^2 channels), the matrices of the taps side by side.
///           c: k x 1.
/// Lending   y is not lent: pullback writes x_bar over it while it reads y_bar. Cannot run in place.
/// Cost      2 K^2 k channels flops an output site, three times that with the pullback.
/// Source    docs/maths.md (N2), (K1); the sign of c is the paper's.
/// Tested    tests/layer/convolution_test.cpp
template <Index k, Index K, class... Choices>
struct Convolution {
  static_assert(k > 0 && K > 0, "Convolution: channels and kernel must be positive");
  static constexpr ConvolutionChoices choices = [] {
    ConvolutionChoices c{1, (K - 1) / 2, true};
    (Choices::choose(c), ...);
    return c;
  }();
  static constexpr Window window(Shape in) {
    return {in.height, in.width, K, choices.stride, choices.padding};
  }
  static constexpr Shape output(Shape in) { return {k, window(in).out_height(), window(in).out_width()}; }

  template <Shape in, Backend B>
  struct Layer {
    static_assert(
        Convolution::window(in).fits(),
        "Convolution: the kernel must fit the padded image, and the padding be less than the kernel");
    using Backend = B;
    using FromRecipe = Convolution;
    static constexpr Shape input = in, output = Convolution::output(in);
    static constexpr Window window = Convolution::window(in);
    using Arithmetic = Resolved<typename detail::ChosenArithmetic<Choices...>::type, typename B::Scalar, K,
                                choices.stride, in.channels>;
    static constexpr Index multiply_adds = k * window.taps() * in.channels * output.sites();
    static constexpr Index samples_at_once = (wanted_columns<Arithmetic> + in.sites() - 1) / in.sites();
    static std::string name() { return message("Convolution ", window); }

    struct Parameters {
      Matrix<B> W, c;  ///< c has no entry and is not visited where there is NoBias
      template <class F, class Theta, class... Rest>
      static void visit(F&& f, Path const& path, Theta&& theta, Rest&&... rest) {
        f(path / "W", LinearWeight(window.taps()), theta.W, rest.W...);
        if constexpr (choices.bias) f(path / "c", linear_bias, theta.c, rest.c...);
      }
    };

    struct Tape {
      ConstView<B> x{};
      OutputMemory<input, output, B> memory;
    };

    Parameters parameters(B& backend) const {
      return {zeros(backend, k, window.taps() * in.channels), zeros(backend, choices.bias ? k : 0, 1)};
    }

    ConstView<B> forward(B& backend, Parameters const& theta, ConstView<B> x, Tape& tape, Draw) const {
      View<B> const y = tape.memory.y(backend, samples<Layer>("Convolution", x));
      tape.x = x;
      predict(backend, theta, x, y);
      return y;
    }

    void predict(B& backend, Parameters const& theta, ConstView<B> x, View<B> y) const {
      samples<Layer>("Convolution", x, y);
      predict_in_chunks(backend, *this, theta, x, y);
    }

    auto inference(B& backend, Parameters const& theta) const {
      check("W", "c", theta);
      return [c = ConstView<B>(theta.c),
              W = prepare_convolution(Arithmetic(), backend, window, theta.W, Op::none)](
                 auto& lane, ConstView<B> x, View<B> z) {
        if constexpr (choices.bias)
          convolve_each(lane, W, x, formula::StoreMinus(), z, PerRow{c});
        else
          convolve_each(lane, W, x, formula::Store(), z);
      };
    }

    ConstView<B> pullback(B& backend, Parameters const& theta, Tape& tape, ConstView<B> y_bar,
                          Parameters& theta_bar) const {
      View<B> const x_bar = tape.memory.x_bar("Convolution", y_bar);
      auto const frame = backend.lane().frame();
      auto const W_T = prepare_convolution(Arithmetic(), backend, window, theta.W, Op::transposed);
      add_gradients(backend, tape.x, y_bar, theta_bar, [=](auto& lane, ConstView<B> z_bar, Columns chunk) {
        convolve_each(lane, W_T, z_bar, formula::Store(), columns(x_bar, chunk));
      });
      return x_bar;
    }

    void pullback_parameters(B& backend, Parameters const&, Tape& tape, ConstView<B> y_bar,
                             Parameters& theta_bar) const {
      require_cotangent("Convolution", tape.memory.y(), y_bar);
      add_gradients(backend, tape.x, y_bar, theta_bar, [](auto&, ConstView<B>, Columns) {});
    }

    void inference_pullback(B& backend, Parameters const& theta, Tape const& tape, ConstView<B> y_bar,
                            View<B> x_bar) const {
      require_cotangent("Convolution", tape.memory.y(), y_bar);
      check("W", "c", theta);
      auto const frame = backend.lane().frame();
      auto const W_T = prepare_convolution(Arithmetic(), backend, window, theta.W, Op::transposed);
      each_chunk(backend, batch(x_bar.cols()), k + in.channels, [=](auto& lane, Columns chunk) {
        convolve_each(lane, W_T, columns(y_bar, outputs<Layer>(chunk)), formula::Store(),
                      columns(x_bar, chunk));
      });
    }

   private:
    /// theta_bar += the sums over chunks, in each of which `also(lane, z_bar, chunk)` runs too.
    template <class F>
    static void add_gradients(B& backend, ConstView<B> x, ConstView<B> y_bar, Parameters& theta_bar,
                              F const& also) {
      check("W_bar", "c_bar", theta_bar);
      auto const frame = backend.lane().frame();
      auto const gradient = convolution_gradient(Arithmetic(), backend, theta_bar.W);
      std::array<View<B>, 2> const sums{gradient.sum, View<B>(theta_bar.c)};
      sum_chunks(backend, batch(x.cols()), k + in.channels, sums,
                 [=](auto& lane, Columns chunk, std::array<View<B>, 2> const& partial) {
                   ConstView<B> const z_bar = columns(y_bar, outputs<Layer>(chunk));
                   add_convolution_gradient(Arithmetic(), lane, window, z_bar, columns(x, chunk), 1,
                                            partial[0]);
                   if constexpr (choices.bias) row_sums(lane, partial[1], formula::Negative(), z_bar);
                   also(lane, z_bar, chunk);
                 });
      finish_gradient(backend, gradient, theta_bar.W);
    }

    static Batch batch(Index columns) {
      return {columns, in.sites(), wanted_columns<Arithmetic>, 2. * k * window.taps() * in.channels};
    }

    static void check(char const* W, char const* c, Parameters const& theta) {
      require_shape("Convolution", W, theta.W, k, window.taps() * in.channels);
      if constexpr (choices.bias) require_shape("Convolution", c, theta.c, k, 1);
    }
  };
};

}  // namespace detrame::inline DETRAME_ABI
