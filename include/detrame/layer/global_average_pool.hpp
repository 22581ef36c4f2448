// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/layer/inference.hpp"
#include "detrame/layer/output_memory.hpp"
#include "detrame/layer/samples.hpp"

namespace detrame::inline DETRAME_ABI {

/// The mean of each channel over all sites of a sample.
///
///   y(c) = 1/sites sum_s x(c, s)          x_bar(c, s) = y_bar(c) / sites
///
/// Shapes    x: channels x (sites samples).  y: channels x samples.
/// Lending   y is not lent: pullback writes x_bar over it while it reads y_bar. Cannot run in place.
/// Tested    tests/layer/pooling_test.cpp
struct GlobalAveragePool {
  static constexpr Shape output(Shape in) { return {in.channels}; }

  template <Shape in, Backend B>
  struct Layer {
    using Backend = B;
    using FromRecipe = GlobalAveragePool;
    using Scalar = typename B::Scalar;
    using Parameters = NoParameters;
    static constexpr Shape input = in, output = GlobalAveragePool::output(in);
    static constexpr Index sites = in.sites();
    static constexpr Index samples_at_once = 1;
    static std::string name() { return "Global average"; }

    struct Tape {
      OutputMemory<input, output, B> memory;
    };

    Parameters parameters(B&) const { return {}; }

    ConstView<B> forward(B& backend, Parameters const& theta, ConstView<B> x, Tape& tape, Draw) const {
      View<B> const y = tape.memory.y(backend, samples<Layer>("GlobalAveragePool", x));
      predict(backend, theta, x, y);
      return y;
    }

    void predict(B& backend, Parameters const& theta, ConstView<B> x, View<B> y) const {
      samples<Layer>("GlobalAveragePool", x, y);
      predict_in_chunks(backend, *this, theta, x, y);
    }

    auto inference(B&, Parameters const&) const {
      return [](auto& lane, ConstView<B> x, View<B> mean) {
        each(lane, formula::Fill<Scalar>{0}, mean);
        for (Index n = 0; n < mean.cols(); ++n)
          row_sums(lane, mean.middle_cols(n, 1), formula::Identity(), x.middle_cols(n * sites, sites));
        each(lane, formula::Scale<Scalar>{inverse()}, mean);
      };
    }

    ConstView<B> pullback(B& backend, Parameters const& theta, Tape& tape, ConstView<B> y_bar,
                          Parameters&) const {
      View<B> const x_bar = tape.memory.x_bar("GlobalAveragePool", y_bar);
      inference_pullback(backend, theta, tape, y_bar, x_bar);
      return x_bar;
    }

    void inference_pullback(B& backend, Parameters const&, Tape const& tape, ConstView<B> y_bar,
                            View<B> x_bar) const {
      require_cotangent("GlobalAveragePool", tape.memory.y(), y_bar);
      each_chunk(backend, Batch{x_bar.cols(), sites}, in.channels, [=](auto& lane, Columns chunk) {
        for (Index first = chunk.first; first < chunk.first + chunk.count; first += sites)
          each(lane, formula::Scaled<Scalar>{inverse()}, columns(x_bar, {first, sites}),
               PerRow{y_bar.middle_cols(first / sites, 1)});
      });
    }

   private:
    static constexpr Scalar inverse() { return Scalar(1) / static_cast<Scalar>(sites); }
  };
};

}  // namespace detrame::inline DETRAME_ABI
