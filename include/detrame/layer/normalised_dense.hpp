// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "detrame/backend/formula/entries.hpp"
#include "detrame/backend/formula/terms.hpp"
#include "detrame/layer/dense.hpp"

namespace detrame::inline DETRAME_ABI {

namespace formula {

/// r <- 1 / sqrt(r), 0 where r is 0
struct InverseRoot {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& r) const {
    r = r == Scalar(0) ? Scalar(0) : Scalar(1) / std::sqrt(r);
  }
};

/// share |x|
template <class Scalar>
struct ShareOfMagnitude {
  Scalar share;
  DETRAME_HOST_DEVICE Scalar operator()(Scalar x) const { return share * (x < Scalar(0) ? -x : x); }
};

/// s <- the power of two that brings a size s near 1, the largest there is where s is 0.
struct ScaleOfRow {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& s) const {
    if (s == Scalar(0)) s = limits::smallest<Scalar>;
    ScaleToOne()(s);
  }
};

/// z <- x scale r
struct StoreProduct {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& z, Scalar x, Scalar scale, Scalar r) const {
    z = x * scale * r;
  }
};

/// r <- r scale, or the largest number
struct MultiplyFinite {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& r, Scalar scale) const {
    r *= scale;
    if (r > limits::largest<Scalar>) r = limits::largest<Scalar>;
  }
};

/// The adjoint of w = v / |v|, given r = 1 / |v| and c = <w_bar, w>: v_bar <- v_bar + r (w_bar - c w)
struct NormalisedPullback {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& v_bar, Scalar w_bar, Scalar w, Scalar c, Scalar r) const {
    v_bar += r * (w_bar - c * w);
  }
};

}  // namespace formula

/// The head of a classifier whose margins are to be certified: Dense<k> with the rows of W divided by their
/// norms.
///
///   z = W^ x - c,   w^_i = w_i / |w_i|            W_bar_i += (I - w^_i w^_i^T) w^_bar_i / |w_i|
///
/// Two scores differ by a function of x with the constant |w^_i - w^_j| <= 2, sqrt 2 for orthogonal rows, so
/// that a margin is a distance up to that factor, and training cannot buy margins by larger weights. Unit
/// rows bound a pair, not W^: |W^|_2 may be up to sqrt k.
///
/// Shapes    as Dense<k>.
/// Ensures   a row of zeros stays one, with gradient 0, and no other becomes one: a row times a power of two
///           gives the same bits.
/// Cost      that of Dense<k>, and 4 k channels flops a batch, twice that with the pullback.
/// Source    last layer normalisation: arXiv 2108.04062
/// Tested    tests/layer/normalised_dense_test.cpp
template <Index k>
struct NormalisedDense {
  static_assert(k > 0, "NormalisedDense: the number of outputs must be positive");
  static constexpr Shape output(Shape in) { return Dense<k>::output(in); }

  template <Shape in, Backend B>
  struct Layer {
    using Backend = B;
    using FromRecipe = NormalisedDense;
    using Scalar = typename B::Scalar;
    using Linear = Bind<Dense<k>, in, B>;
    using Parameters = typename Linear::Parameters;
    static constexpr Shape input = in, output = NormalisedDense::output(in);
    static constexpr Index multiply_adds = Linear::multiply_adds;
    static constexpr Index samples_at_once = Linear::samples_at_once;
    static std::string name() { return "Dense, of unit rows"; }

    /// W^ and c, and 1 / |w_i|: k x 1.
    struct Unit {
      Parameters theta{};
      Matrix<B> r;
    };
    struct Tape {
      typename Linear::Tape linear{};
      Unit unit;
      Parameters bar{};
    };

    Parameters parameters(B& backend) const { return Linear().parameters(backend); }

    ConstView<B> forward(B& backend, Parameters const& theta, ConstView<B> x, Tape& tape, Draw draw) const {
      normalise(backend, theta, tape.unit);
      return Linear().forward(backend, tape.unit.theta, x, tape.linear, draw);
    }

    void predict(B& backend, Parameters const& theta, ConstView<B> x, View<B> y) const {
      samples<Layer>("NormalisedDense", x, y);
      predict_in_chunks(backend, *this, theta, x, y);
    }

    auto inference(B& backend, Parameters const& theta) const {
      auto const unit = std::make_shared<Unit>();
      normalise(backend, theta, *unit);
      return [unit, map = Linear().inference(backend, unit->theta)](auto& lane, ConstView<B> x, View<B> y) {
        map(lane, x, y);
      };
    }

    ConstView<B> pullback(B& backend, Parameters const&, Tape& tape, ConstView<B> y_bar,
                          Parameters& theta_bar) const {
      check("W_bar", "c_bar", theta_bar);
      clear(backend, tape);
      ConstView<B> const x_bar = Linear().pullback(backend, tape.unit.theta, tape.linear, y_bar, tape.bar);
      add_gradients(backend, tape, theta_bar);
      return x_bar;
    }

    void pullback_parameters(B& backend, Parameters const&, Tape& tape, ConstView<B> y_bar,
                             Parameters& theta_bar) const {
      check("W_bar", "c_bar", theta_bar);
      clear(backend, tape);
      Linear().pullback_parameters(backend, tape.unit.theta, tape.linear, y_bar, tape.bar);
      add_gradients(backend, tape, theta_bar);
    }

    void inference_pullback(B& backend, Parameters const&, Tape const& tape, ConstView<B> y_bar,
                            View<B> x_bar) const {
      Linear().inference_pullback(backend, tape.unit.theta, tape.linear, y_bar, x_bar);
    }

    /// W^ and c, as the layer uses them: what a certificate of margins reads.
    static Parameters normalised(B& backend, Parameters const& theta) {
      Unit unit;
      normalise(backend, theta, unit);
      return std::move(unit.theta);
    }

   private:
    static void check(char const* W, char const* c, Parameters const& theta) {
      require_shape("NormalisedDense", W, theta.W, k, in.channels);
      require_shape("NormalisedDense", c, theta.c, k, 1);
    }

    static void normalise(B& backend, Parameters const& theta, Unit& unit) {
      check("W", "c", theta);
      auto& lane = backend.lane();
      auto const frame = lane.frame();
      resize(backend, unit.theta.W, k, in.channels);
      for (Matrix<B>* const column : {&unit.theta.c, &unit.r}) resize(backend, *column, k, 1);
      View<B> const r = unit.r, scale = lane.scratch(k, 1);
      for (View<B> const sum : {r, scale}) each(lane, formula::Fill<Scalar>{0}, sum);
      Scalar share = 1;  // a power of two, so that no sum of magnitudes overflows
      for (Index n = 1; n < in.channels; n *= 2) share /= 2;
      row_sums(lane, scale, formula::ShareOfMagnitude<Scalar>{share}, ConstView<B>(theta.W));
      each(lane, formula::ScaleOfRow(), scale);
      auto const per_row = PerRow{ConstView<B>(scale)};
      row_sums(lane, r, formula::ScaledSquare<formula::Identity>{}, ConstView<B>(theta.W), per_row);
      each(lane, formula::InverseRoot(), r);
      each(lane, formula::StoreProduct(), View<B>(unit.theta.W), ConstView<B>(theta.W), per_row,
           PerRow{ConstView<B>(r)});
      each(lane, formula::MultiplyFinite(), r, ConstView<B>(scale));
      each(lane, formula::Assign(), View<B>(unit.theta.c), ConstView<B>(theta.c));
    }

    static void clear(B& backend, Tape& tape) {
      resize(backend, tape.bar.W, k, in.channels);
      resize(backend, tape.bar.c, k, 1);
      for (Matrix<B>* const sum : {&tape.bar.W, &tape.bar.c})
        each(backend.lane(), formula::Fill<Scalar>{0}, View<B>(*sum));
    }

    static void add_gradients(B& backend, Tape& tape, Parameters& theta_bar) {
      auto& lane = backend.lane();
      auto const frame = lane.frame();
      View<B> const c = lane.scratch(k, 1);
      ConstView<B> const W = tape.unit.theta.W, W_bar = tape.bar.W;
      each(lane, formula::Fill<Scalar>{0}, c);
      row_sums(lane, c, formula::Product(), W_bar, W);
      each(lane, formula::NormalisedPullback(), View<B>(theta_bar.W), W_bar, W, PerRow{ConstView<B>(c)},
           PerRow{ConstView<B>(tape.unit.r)});
      each(lane, formula::Add(), View<B>(theta_bar.c), ConstView<B>(tape.bar.c));
    }
  };
};

}  // namespace detrame::inline DETRAME_ABI
