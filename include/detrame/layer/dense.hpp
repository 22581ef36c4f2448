// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/layer/inference.hpp"
#include "detrame/layer/linear_roles.hpp"
#include "detrame/layer/output_memory.hpp"
#include "detrame/layer/samples.hpp"

namespace detrame::inline DETRAME_ABI {

/// The linear map A^(r) of a network: z = W x - c at every site.                                         (N2)
///
///   z = W x - c
///   x_bar = W^T z_bar      W_bar += z_bar x^T      c_bar -= rowsum(z_bar)
///
/// Shapes    x: channels x columns.  W: k x channels.  c: k x 1.  A sample of many sites is mapped site by
///           site, which is a 1 x 1 convolution; use Flatten before to mix sites.
/// Lending   y is not lent: pullback writes x_bar over it while it reads y_bar. Cannot run in place.
/// Cost      2 k channels flops a column, three times that with the pullback.
/// Source    docs/maths.md (N2); the sign of c is the paper's, so the bias of other libraries is -c.
/// Tested    tests/layer/layer_test.cpp
template <Index k>
struct Dense {
  static_assert(k > 0, "Dense: the number of outputs must be positive");

  static constexpr Shape output(Shape in) { return {k, in.height, in.width}; }

  template <Shape in, Backend B>
  struct Layer {
    using Backend = B;
    using FromRecipe = Dense;
    using Scalar = typename B::Scalar;
    static constexpr Shape input = in, output = Dense::output(in);
    static constexpr Index multiply_adds = k * in.channels * in.sites();
    static constexpr Index samples_at_once = 1;
    static std::string name() { return "Dense"; }

    struct Parameters {
      Matrix<B> W, c;
      template <class F, class Theta, class... Rest>
      static void visit(F&& f, Path const& path, Theta&& theta, Rest&&... rest) {
        f(path / "W", LinearWeight(), theta.W, rest.W...);
        f(path / "c", linear_bias, theta.c, rest.c...);
      }
    };

    struct Tape {
      ConstView<B> x{};
      OutputMemory<input, output, B> memory;
    };

    Parameters parameters(B& backend) const { return {zeros(backend, k, in.channels), zeros(backend, k, 1)}; }

    ConstView<B> forward(B& backend, Parameters const& theta, ConstView<B> x, Tape& tape, Draw) const {
      View<B> const y = tape.memory.y(backend, samples<Layer>("Dense", x));
      tape.x = x;
      predict(backend, theta, x, y);
      return y;
    }

    void predict(B& backend, Parameters const& theta, ConstView<B> x, View<B> y) const {
      samples<Layer>("Dense", x, y);
      predict_in_chunks(backend, *this, theta, x, y);
    }

    auto inference(B& backend, Parameters const& theta) const {
      check("W", "c", theta);
      return [c = ConstView<B>(theta.c), W = prepare_product(backend, theta.W, Op::none)](
                 auto& lane, ConstView<B> x, View<B> y) {
        product_each(lane, W, x, formula::StoreMinus(), y, PerRow{c});
      };
    }

    ConstView<B> pullback(B& backend, Parameters const& theta, Tape& tape, ConstView<B> y_bar,
                          Parameters& theta_bar) const {
      View<B> const x_bar = tape.memory.x_bar("Dense", y_bar);
      auto const frame = backend.lane().frame();
      auto const W_T = prepare_product(backend, theta.W, Op::transposed);
      add_gradients(backend, tape.x, y_bar, theta_bar, [=](auto& lane, ConstView<B> z_bar, Columns chunk) {
        product_each(lane, W_T, z_bar, formula::Store(), columns(x_bar, chunk));
      });
      return x_bar;
    }

    void pullback_parameters(B& backend, Parameters const&, Tape& tape, ConstView<B> y_bar,
                             Parameters& theta_bar) const {
      require_cotangent("Dense", tape.memory.y(), y_bar);
      add_gradients(backend, tape.x, y_bar, theta_bar, [](auto&, ConstView<B>, Columns) {});
    }

    void inference_pullback(B& backend, Parameters const& theta, Tape const& tape, ConstView<B> y_bar,
                            View<B> x_bar) const {
      require_cotangent("Dense", tape.memory.y(), y_bar);
      check("W", "c", theta);
      auto const frame = backend.lane().frame();
      auto const W_T = prepare_product(backend, theta.W, Op::transposed);
      each_chunk(backend, Batch{y_bar.cols(), 1, 1, 2. * k * in.channels}, k + in.channels,
                 [=](auto& lane, Columns chunk) {
                   product_each(lane, W_T, columns(y_bar, chunk), formula::Store(), columns(x_bar, chunk));
                 });
    }

   private:
    /// theta_bar += the sums over chunks, in each of which `also(lane, z_bar, chunk)` runs too.
    template <class F>
    static void add_gradients(B& backend, ConstView<B> x, ConstView<B> y_bar, Parameters& theta_bar,
                              F const& also) {
      check("W_bar", "c_bar", theta_bar);
      std::array<View<B>, 2> const sums{View<B>(theta_bar.W), View<B>(theta_bar.c)};
      sum_chunks(backend, Batch{y_bar.cols(), 1, 1, 2. * k * in.channels}, k + in.channels, sums,
                 [=](auto& lane, Columns chunk, std::array<View<B>, 2> const& partial) {
                   ConstView<B> const z_bar = columns(y_bar, chunk);
                   add_outer_product(lane, z_bar, columns(x, chunk), 1, partial[0]);
                   row_sums(lane, partial[1], formula::Negative(), z_bar);
                   also(lane, z_bar, chunk);
                 });
    }

    static void check(char const* W, char const* c, Parameters const& theta) {
      require_shape("Dense", W, theta.W, k, in.channels);
      require_shape("Dense", c, theta.c, k, 1);
    }
  };
};

}  // namespace detrame::inline DETRAME_ABI
