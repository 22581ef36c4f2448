// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/layer/concept.hpp"
#include "detrame/layer/inference.hpp"
#include "detrame/layer/samples.hpp"

namespace detrame::inline DETRAME_ABI {

/// u = max(0, z): the prox of the indicator of u >= 0 in the Euclidean metric.
///
///   z_bar = u_bar 1[u > 0], so 0 at the kink
///
/// Lending   u is not lent: pullback reads it for the mask. Runs in place.
/// Cost      no memory where z is lent: u is written over it, and z_bar over u.
/// Tested    tests/layer/layer_test.cpp
struct ReLU {
  static constexpr Shape output(Shape in) { return in; }

  template <Shape in, Backend B>
  struct Layer {
    using Backend = B;
    using FromRecipe = ReLU;
    using Parameters = NoParameters;
    static constexpr Shape input = in, output = in;
    static constexpr Index samples_at_once = 1;
    static constexpr bool in_place = true;
    static std::string name() { return "ReLU"; }

    struct Tape {
      View<B> y{};  ///< in memory, or in that of x; pullback writes x_bar over it
      Matrix<B> memory;
    };

    Parameters parameters(B&) const { return {}; }

    ConstView<B> forward(B& backend, Parameters const& theta, ConstView<B> x, Tape& tape, Draw) const {
      resize(backend, tape.memory, x.rows(), x.cols());
      tape.y = tape.memory;
      predict(backend, theta, x, tape.y);
      return tape.y;
    }

    ConstView<B> forward_in_place(B& backend, Parameters const& theta, View<B> x, Tape& tape, Draw) const {
      tape.y = x;
      predict(backend, theta, x, x);
      return x;
    }

    void predict(B& backend, Parameters const& theta, ConstView<B> x, View<B> y) const {
      samples<Layer>("ReLU", x, y);
      predict_in_chunks(backend, *this, theta, x, y);
    }

    auto inference(B&, Parameters const&) const {
      return [](auto& lane, ConstView<B> x, View<B> y) { each(lane, formula::Relu(), y, x); };
    }

    ConstView<B> pullback(B& backend, Parameters const& theta, Tape& tape, ConstView<B> y_bar,
                          Parameters&) const {
      inference_pullback(backend, theta, tape, y_bar, tape.y);
      return tape.y;
    }

    void inference_pullback(B& backend, Parameters const&, Tape const& tape, ConstView<B> y_bar,
                            View<B> x_bar) const {
      require_cotangent("ReLU", tape.y, y_bar);
      each_chunk(backend, Batch{y_bar.cols()}, 3 * in.channels,
                 [=, y = ConstView<B>(tape.y)](auto& lane, Columns chunk) {
                   each(lane, formula::ReluPullback(), columns(x_bar, chunk), columns(y_bar, chunk),
                        columns(y, chunk));
                 });
    }

    /// The states whose zeros are the kinks of this layer, for check_pullback.
    template <class F>
    static void visit_states(F&& f, Tape const& tape) {
      f(tape.y);
    }
  };
};

}  // namespace detrame::inline DETRAME_ABI
