// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/layer/concept.hpp"
#include "detrame/layer/inference.hpp"
#include "detrame/layer/samples.hpp"

namespace detrame::inline DETRAME_ABI {

namespace formula {

/// s <- 1 / sqrt(variance + epsilon)
template <class Scalar>
struct InverseDeviation {
  Scalar epsilon;
  DETRAME_HOST_DEVICE void operator()(Scalar& s, Scalar variance) const {
    s = Scalar(1) / std::sqrt(variance + epsilon);
  }
};

/// y <- gain (x - mean) s + offset
struct Normalise {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& y, Scalar x, Scalar mean, Scalar s, Scalar gain,
                                      Scalar offset) const {
    y = gain * ((x - mean) * s) + offset;
  }
};

/// The terms of gain_bar: y_bar (x - mean) s
struct NormalisedProduct {
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar operator()(Scalar y_bar, Scalar x, Scalar mean, Scalar s) const {
    return y_bar * ((x - mean) * s);
  }
};

/// x_bar <- gain s (y_bar - (offset_bar + (x - mean) s gain_bar) / N), with the sums of y_bar over the batch
template <class Scalar>
struct NormalisePullback {
  Scalar inverse_count;
  DETRAME_HOST_DEVICE void operator()(Scalar& x_bar, Scalar y_bar, Scalar x, Scalar mean, Scalar s,
                                      Scalar gain, Scalar gain_bar, Scalar offset_bar) const {
    x_bar = gain * s * (y_bar - inverse_count * (offset_bar + (x - mean) * s * gain_bar));
  }
};

/// x_bar <- gain s y_bar, where the statistics are not the batch's
struct ScalePullback {
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& x_bar, Scalar y_bar, Scalar s, Scalar gain) const {
    x_bar = gain * s * y_bar;
  }
};

/// running <- running + share (scale measured - running)
template <class Scalar>
struct MoveTowards {
  Scalar share, scale;
  DETRAME_HOST_DEVICE void operator()(Scalar& running, Scalar measured) const {
    running += share * (scale * measured - running);
  }
};

}  // namespace formula

/// Batch normalisation, as PyTorch has it: each channel over all sites of all samples.                   (B1)
///
///   y = gain (x - mean) / sqrt(variance + 1e-5) + offset
///
/// In training mean and (biased) variance are the batch's; in inference, be it a forward's, they are the
/// running ones,
///
///   running <- .9 running + .1 batch's,     with the unbiased variance,
///
/// which `absorb` moves after a training step. They are parameters that no gradient trains.
///
/// Shapes    x, y: channels x N, with N = sites samples.  gain, offset, running_mean, running_variance:
///           channels x 1.
/// Requires  in training N != 1, else DomainError: one number has no variance. N = 0 leaves all as it is.
/// Ensures   statistics are those of the batch, in a fixed order: the same bits for any number of threads. A
///           mean far from 0 costs the variance no digits (row_moments).
/// Adjoint   (B1). The running statistics have gradient 0, also where forward is by them.
/// Lending   y is lent: pullback reads x for it. Cannot run in place, for the same reason.
/// Cost      two passes over x forward, two back; no product.
/// Source    docs/maths.md (B1); docs/decisions/0004-running-statistics.md
/// Tested    tests/layer/batch_norm_test.cpp
struct BatchNorm {
  static constexpr double epsilon = 1e-5, momentum = 0.1;

  static constexpr Shape output(Shape in) { return in; }

  template <Shape in, Backend B>
  struct Layer {
    using Backend = B;
    using FromRecipe = BatchNorm;
    using Scalar = typename B::Scalar;
    static constexpr Shape input = in, output = in;
    static std::string name() { return "Batch normalisation"; }
    static constexpr Index samples_at_once = 1;
    static constexpr Index least_samples = in.sites() == 1 ? 2 : 1;
    static constexpr bool in_place = true;
    static constexpr Index k = in.channels;

    struct Parameters {
      Matrix<B> gain, offset, running_mean, running_variance;
      template <class F, class Theta, class... Rest>
      static void visit(F&& f, Path const& path, Theta&& theta, Rest&&... rest) {
        f(path / "gain", Role{.name = "gain", .stream = 10, .initial = 1}, theta.gain, rest.gain...);
        f(path / "offset", Role{.name = "offset", .stream = 11}, theta.offset, rest.offset...);
        f(path / "running_mean", Role{.name = "running_mean", .stream = 12, .trained = false},
          theta.running_mean, rest.running_mean...);
        f(path / "running_variance",
          Role{.name = "running_variance", .stream = 13, .initial = 1, .trained = false},
          theta.running_variance, rest.running_variance...);
      }
    };

    struct Tape {
      ConstView<B> x{};
      bool inference = false;          ///< by the running statistics
      Matrix<B> mean, variance, s;     ///< k x 1, of the batch, or running ones
      Matrix<B> gain_bar, offset_bar;  ///< k x 1, of this batch alone
      Matrix<B> y;                     ///< pullback writes x_bar over it
    };

    Parameters parameters(B& backend) const {
      return {zeros(backend, k, 1), zeros(backend, k, 1), zeros(backend, k, 1), zeros(backend, k, 1)};
    }

    View<B> forward(B& backend, Parameters const& theta, ConstView<B> x, Tape& tape, Draw draw) const {
      samples<Layer>("BatchNorm", x);
      check("", theta);
      if (x.cols() == 1 && !draw.inference)
        throw DomainError("BatchNorm: in training a batch of one sample at one site has no variance");
      resize(backend, tape.y, k, x.cols());
      tape.x = x;
      for (Matrix<B>* m : {&tape.mean, &tape.variance, &tape.s}) resize(backend, *m, k, 1);
      tape.inference = draw.inference;
      if (draw.inference) {
        each(backend.lane(), formula::Assign(), tape.mean, theta.running_mean);
        each(backend.lane(), formula::Assign(), tape.variance, theta.running_variance);
      } else {
        row_moments(backend, x, tape.mean, tape.variance);
      }
      invert(backend, tape.variance, tape.s);
      auto const map = normalise(theta, tape.mean, tape.s);
      View<B> const y = tape.y;
      each_chunk(backend, Batch{x.cols()}, 2 * k,
                 [=](auto& lane, Columns chunk) { map(lane, columns(x, chunk), columns(y, chunk)); });
      return tape.y;
    }

    void predict(B& backend, Parameters const& theta, ConstView<B> x, View<B> y) const {
      samples<Layer>("BatchNorm", x, y);
      predict_in_chunks(backend, *this, theta, x, y);
    }

    auto inference(B& backend, Parameters const& theta) const {
      check("", theta);
      View<B> const s = backend.lane().scratch(k, 1);
      invert(backend, theta.running_variance, s);
      return normalise(theta, theta.running_mean, s);
    }

    /// With q = (x - mean) s:  offset_bar += rowsum(y_bar),  gain_bar += rowsum(y_bar o q),
    /// x_bar = gain s (y_bar - (rowsum(y_bar) + q rowsum(y_bar o q)) / N), without what is divided by N where
    /// the statistics are not the batch's.
    ConstView<B> pullback(B& backend, Parameters const& theta, Tape& tape, ConstView<B> y_bar,
                          Parameters& theta_bar) const {
      require_cotangent("BatchNorm", tape.y, y_bar);
      check("_bar", theta_bar);
      for (Matrix<B>* m : {&tape.gain_bar, &tape.offset_bar}) {
        resize(backend, *m, k, 1);
        clear(backend, *m);
      }
      ConstView<B> const x = tape.x, mean = tape.mean, s = tape.s, gain = theta.gain;
      std::array<View<B>, 2> const sums{View<B>(tape.gain_bar), View<B>(tape.offset_bar)};
      sum_chunks(backend, Batch{x.cols()}, 2 * k, sums,
                 [=](auto& lane, Columns chunk, std::array<View<B>, 2> const& partial) {
                   ConstView<B> const part = columns(y_bar, chunk);
                   row_sums(lane, partial[0], formula::NormalisedProduct(), part, columns(x, chunk),
                            PerRow{mean}, PerRow{s});
                   row_sums(lane, partial[1], formula::Identity(), part);
                 });
      ConstView<B> const gain_bar = tape.gain_bar, offset_bar = tape.offset_bar;
      each(backend.lane(), formula::Add(), theta_bar.gain, gain_bar);
      each(backend.lane(), formula::Add(), theta_bar.offset, offset_bar);
      View<B> const x_bar = tape.y;
      if (tape.inference) {
        inference_pullback(backend, theta, tape, y_bar, x_bar);
        return x_bar;
      }
      formula::NormalisePullback<Scalar> const f{Scalar(1) / static_cast<Scalar>(x.cols())};
      each_chunk(backend, Batch{x.cols()}, 3 * k, [=](auto& lane, Columns chunk) {
        each(lane, f, columns(x_bar, chunk), columns(y_bar, chunk), columns(x, chunk), PerRow{mean},
             PerRow{s}, PerRow{gain}, PerRow{gain_bar}, PerRow{offset_bar});
      });
      return x_bar;
    }

    void inference_pullback(B& backend, Parameters const& theta, Tape const& tape, ConstView<B> y_bar,
                            View<B> x_bar) const {
      require_cotangent("BatchNorm", tape.y, y_bar);
      require_inference("BatchNorm", tape.inference);
      check("", theta);
      each_chunk(backend, Batch{x_bar.cols()}, 2 * k,
                 [=, s = ConstView<B>(tape.s), gain = ConstView<B>(theta.gain)](auto& lane, Columns chunk) {
                   each(lane, formula::ScalePullback(), columns(x_bar, chunk), columns(y_bar, chunk),
                        PerRow{s}, PerRow{gain});
                 });
    }

    void absorb(B& backend, Parameters& theta, Tape const& tape) const {
      auto const N = static_cast<Scalar>(tape.x.cols());
      if (tape.x.cols() == 0 || tape.inference) return;
      formula::MoveTowards<Scalar> move{static_cast<Scalar>(momentum), 1};
      each(backend.lane(), move, theta.running_mean, tape.mean);
      move.scale = N / (N - 1);
      each(backend.lane(), move, theta.running_variance, tape.variance);
    }

   private:
    static void clear(B& backend, View<B> sum) { each(backend.lane(), formula::Fill<Scalar>{0}, sum); }

    static void invert(B& backend, ConstView<B> variance, View<B> s) {
      each(backend.lane(), formula::InverseDeviation<Scalar>{static_cast<Scalar>(epsilon)}, s, variance);
    }

    /// y = gain (x - mean) s + offset on a lane.
    static auto normalise(Parameters const& theta, ConstView<B> mean, ConstView<B> s) {
      return [=, gain = ConstView<B>(theta.gain), offset = ConstView<B>(theta.offset)](
                 auto& lane, ConstView<B> x, View<B> y) {
        each(lane, formula::Normalise(), y, x, PerRow{mean}, PerRow{s}, PerRow{gain}, PerRow{offset});
      };
    }

    static void check(char const* suffix, Parameters const& theta) {
      Parameters::visit(
          [&](std::string_view name, Role const&, Matrix<B> const& p) {
            if (p.rows() != k || p.cols() != 1)
              throw ShapeError(message("BatchNorm: ", name, suffix, " is ", p.rows(), " x ", p.cols(),
                                       ", must be ", k, " x 1"));
          },
          Path(), theta);
    }
  };
};

}  // namespace detrame::inline DETRAME_ABI
