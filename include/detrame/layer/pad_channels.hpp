// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/layer/convolution.hpp"
#include "detrame/layer/inference.hpp"
#include "detrame/layer/samples.hpp"

namespace detrame::inline DETRAME_ABI {

/// Every s-th site in both directions, with channels of zeros behind: the shortcut without parameters
/// ("option A") of He et al., "Deep residual learning", 2016.
///
///   y(c, y, x) = x(c, s y, s x) for c < channels, else 0
///
/// Shapes    x: channels x (sites samples), channels <= k.  y: k x (sites samples).
/// Lending   y is not lent: pullback writes x_bar over it while it reads y_bar. Cannot run in place.
/// Cost      that of the 1 x 1 convolution with the matrix [I; 0], which it is.
/// Tested    tests/layer/pooling_test.cpp
template <Index k, class StrideChoice>
struct PadChannels {
  using Map = Convolution<k, 1, StrideChoice, NoBias>;
  static constexpr Shape output(Shape in) { return Map::output(in); }

  template <Shape in, Backend B>
  struct Layer {
    static_assert(in.channels <= k, "PadChannels: cannot have fewer channels than it reads");
    using Backend = B;
    using FromRecipe = PadChannels;
    using Scalar = typename B::Scalar;
    using Parameters = NoParameters;
    static constexpr Shape input = in, output = PadChannels::output(in);
    static constexpr Window window = Map::window(in);
    static constexpr Index samples_at_once = 1;
    static std::string name() { return message("Padded channels, stride ", window.stride); }

    struct Tape {
      OutputMemory<input, output, B> memory;
    };

    Parameters parameters(B&) const { return {}; }

    ConstView<B> forward(B& backend, Parameters const& theta, ConstView<B> x, Tape& tape, Draw) const {
      View<B> const y = tape.memory.y(backend, samples<Layer>("PadChannels", x));
      predict(backend, theta, x, y);
      return y;
    }

    void predict(B& backend, Parameters const& theta, ConstView<B> x, View<B> y) const {
      samples<Layer>("PadChannels", x, y);
      predict_in_chunks(backend, *this, theta, x, y);
    }

    auto inference(B& backend, Parameters const&) const {
      return [W = prepare_convolution(Direct(), backend, window, identity(backend.lane()), Op::none)](
                 auto& lane, ConstView<B> x, View<B> y) { convolve_each(lane, W, x, formula::Store(), y); };
    }

    ConstView<B> pullback(B& backend, Parameters const& theta, Tape& tape, ConstView<B> y_bar,
                          Parameters&) const {
      View<B> const x_bar = tape.memory.x_bar("PadChannels", y_bar);
      inference_pullback(backend, theta, tape, y_bar, x_bar);
      return x_bar;
    }

    void inference_pullback(B& backend, Parameters const&, Tape const& tape, ConstView<B> y_bar,
                            View<B> x_bar) const {
      require_cotangent("PadChannels", tape.memory.y(), y_bar);
      auto const frame = backend.lane().frame();
      auto const W_T =
          prepare_convolution(Direct(), backend, window, identity(backend.lane()), Op::transposed);
      each_chunk(backend, Batch{x_bar.cols(), in.sites()}, k + in.channels, [=](auto& lane, Columns chunk) {
        convolve_each(lane, W_T, columns(y_bar, outputs<Layer>(chunk)), formula::Store(),
                      columns(x_bar, chunk));
      });
    }

   private:
    static ConstView<B> identity(auto& lane) {
      View<B> const I = lane.scratch(k, in.channels);
      each(lane, formula::Fill<Scalar>{0}, I);
      each_indexed(lane, formula::ShiftDiagonal<Scalar>{1}, I);
      return I;
    }
  };
};

}  // namespace detrame::inline DETRAME_ABI
