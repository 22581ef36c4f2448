// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "detrame/core/random.hpp"
#include "detrame/layer/concept.hpp"
#include "detrame/layer/inference.hpp"
#include "detrame/layer/samples.hpp"

namespace detrame::inline DETRAME_ABI {

namespace formula {

/// Inverted dropout: y <- kept x with probability 1 - rate, else 0 x; kept = 1 / (1 - rate). The draw of
/// entry (i, j) depends on its place in the whole batch alone.
template <class Scalar>
struct Dropout {
  Random random;
  Index first_column, rows;
  Scalar rate, kept = Scalar(1) / (Scalar(1) - rate);
  DETRAME_HOST_DEVICE void operator()(Index i, Index j, Scalar& y, Scalar x) const {
    auto const position = static_cast<std::uint64_t>((first_column + j) * rows + i);
    y = (random.uniform<Scalar>(position) < rate ? Scalar(0) : kept) * x;
  }
};

}  // namespace formula

/// A probability as a template argument (clang 14 has no `double` ones).
struct Rate {
  double value;
};

/// Inverted dropout: in training each entry is 0 with probability `rate`, else divided by 1 - rate; in
/// inference the identity.
///
/// Ensures   the mask is a function of draw (seed, step, place of the layer) and of the entry's place in the
///           epoch's order (first sample), whatever the cutting or the number of threads; the identity where
///           draw says that nothing is dropped, or that it is inference.
/// Lending   y is lent: pullback draws the mask again. Does not run in place.
/// Tested    tests/layer/layer_test.cpp
template <Rate rate>
struct Dropout {
  static_assert(rate.value >= 0 && rate.value < 1, "Dropout: the rate must be in [0, 1)");

  static constexpr Shape output(Shape in) { return in; }

  template <Shape in, Backend B>
  struct Layer {
    using Backend = B;
    using FromRecipe = Dropout;
    using Scalar = typename B::Scalar;
    using Parameters = NoParameters;
    static constexpr Shape input = in, output = in;
    static constexpr Index samples_at_once = 1;
    static std::string name() { return message("Dropout ", rate.value); }

    struct Tape {
      Draw draw;
      Matrix<B> y;  ///< pullback writes x_bar over it
    };

    Parameters parameters(B&) const { return {}; }

    View<B> forward(B& backend, Parameters const&, ConstView<B> x, Tape& tape, Draw draw) const {
      samples<Layer>("Dropout", x);
      resize(backend, tape.y, x.rows(), x.cols());
      tape.draw = draw;
      mask(backend, draw, x, tape.y);
      return tape.y;
    }

    ConstView<B> pullback(B& backend, Parameters const&, Tape& tape, ConstView<B> y_bar, Parameters&) const {
      require_cotangent("Dropout", tape.y, y_bar);
      mask(backend, tape.draw, y_bar, tape.y);
      return tape.y;
    }

    void inference_pullback(B& backend, Parameters const&, Tape const& tape, ConstView<B> y_bar,
                            View<B> x_bar) const {
      require_cotangent("Dropout", tape.y, y_bar);
      require_inference("Dropout", tape.draw.inference);
      mask(backend, tape.draw, y_bar, x_bar);
    }

    void predict(B& backend, Parameters const& theta, ConstView<B> x, View<B> y) const {
      samples<Layer>("Dropout", x, y);
      predict_in_chunks(backend, *this, theta, x, y);
    }

    auto inference(B&, Parameters const&) const {
      return [](auto& lane, ConstView<B> x, View<B> y) { each(lane, formula::Assign(), y, x); };
    }

   private:
    static constexpr double rate_in(Draw const& draw) {
      return draw.dropping && !draw.inference ? rate.value : 0;
    }

    /// The map is linear, with a diagonal matrix: it is its own adjoint.
    static void mask(B& backend, Draw draw, ConstView<B> x, View<B> y) {
      each_chunk(backend, Batch{x.cols()}, 2 * in.channels, [=](auto& lane, Columns chunk) {
        if (rate_in(draw) == 0) return each(lane, formula::Assign(), columns(y, chunk), columns(x, chunk));
        formula::Dropout<Scalar> const f{draw.random(), draw.first_sample * in.sites() + chunk.first,
                                         in.channels, static_cast<Scalar>(rate_in(draw))};
        each_indexed(lane, f, columns(y, chunk), columns(x, chunk));
      });
    }
  };
};

}  // namespace detrame::inline DETRAME_ABI
