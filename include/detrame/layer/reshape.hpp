// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/layer/concept.hpp"
#include "detrame/layer/inference.hpp"
#include "detrame/layer/samples.hpp"

namespace detrame::inline DETRAME_ABI {

/// The operators P of a deep dictionary (N1): the same numbers of a sample, in the same order,
/// in another shape.
///
/// Shapes    as many numbers a sample before and after. Channels run fastest, then sites row by row.
/// Lending   y is not lent: it may be x. Does not run in place, having nothing to write.
/// Cost      a copy in predict, or where x is not contiguous; otherwise none: y is x.
/// Tested    tests/layer/layer_test.cpp
template <Shape to>
struct Reshape {
  static constexpr Shape output(Shape) { return to; }

  template <Shape in, Backend B>
  struct Layer {
    static_assert(in.size() == to.size(), "Reshape: both shapes must have the same number of entries");
    using Backend = B;
    using FromRecipe = Reshape;
    using Parameters = NoParameters;
    static constexpr Shape input = in, output = to;
    static constexpr Index samples_at_once = 1;
    static std::string name() { return "Reshape"; }

    struct Tape {
      Index samples = 0;
      Matrix<B> y, x_bar;
    };

    Parameters parameters(B&) const { return {}; }

    ConstView<B> forward(B& backend, Parameters const&, ConstView<B> x, Tape& tape, Draw) const {
      Index const n = tape.samples = samples<Layer>("Reshape", x);
      return reshape(backend, x, to.channels, n * to.sites(), tape.y);
    }

    ConstView<B> pullback(B& backend, Parameters const&, Tape& tape, ConstView<B> y_bar, Parameters&) const {
      check(tape, y_bar);
      return reshape(backend, y_bar, in.channels, tape.samples * in.sites(), tape.x_bar);
    }

    void inference_pullback(B& backend, Parameters const&, Tape const& tape, ConstView<B> y_bar,
                            View<B> x_bar) const {
      check(tape, y_bar);
      copy_entries(backend.lane(), y_bar, x_bar);
    }

    void predict(B& backend, Parameters const& theta, ConstView<B> x, View<B> y) const {
      samples<Layer>("Reshape", x, y);
      predict_in_chunks(backend, *this, theta, x, y);
    }

    auto inference(B&, Parameters const&) const {
      return [](auto& lane, ConstView<B> x, View<B> y) { copy_entries(lane, x, y); };
    }

   private:
    static void check(Tape const& tape, ConstView<B> y_bar) {
      require_shape("Reshape", "y_bar", y_bar, to.channels, tape.samples * to.sites());
    }
    static ConstView<B> reshape(B& backend, ConstView<B> from, Index rows, Index cols, Matrix<B>& copy) {
      if (from.contiguous()) return from.reshaped(rows, cols);
      resize(backend, copy, rows, cols);
      copy_entries(backend.lane(), from, copy);
      return copy;
    }
  };
};

/// All numbers of a sample in one column.
struct Flatten {
  static constexpr Shape output(Shape in) { return {in.size()}; }

  template <Shape in, Backend B>
  using Layer = typename Reshape<Shape{in.size()}>::template Layer<in, B>;
};

}  // namespace detrame::inline DETRAME_ABI
