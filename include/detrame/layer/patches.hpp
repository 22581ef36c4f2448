// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/layer/convolution.hpp"
#include "detrame/layer/inference.hpp"
#include "detrame/layer/output_memory.hpp"
#include "detrame/layer/samples.hpp"

namespace detrame::inline DETRAME_ABI {

namespace detail {

/// The site that tap (dy, dx) of a window reads for its output site q of a batch of images, or -1 beside the
/// image.
DETRAME_HOST_DEVICE constexpr Index site_read(Window const& w, Index q, Index dy, Index dx) {
  Index const at = q % w.out_sites(), y = at / w.out_width() * w.stride + dy - w.padding,
              x = at % w.out_width() * w.stride + dx - w.padding;
  return y < 0 || y >= w.height || x < 0 || x >= w.width ? -1
                                                         : q / w.out_sites() * w.sites() + y * w.width + x;
}

/// The output site whose tap (dy, dx) reads site q, or -1 where there is none.
DETRAME_HOST_DEVICE constexpr Index site_reading(Window const& w, Index q, Index dy, Index dx) {
  Index const at = q % w.sites(), y = at / w.width + w.padding - dy, x = at % w.width + w.padding - dx;
  return y < 0 || y % w.stride != 0 || y / w.stride >= w.out_height() || x < 0 || x % w.stride != 0 ||
                 x / w.stride >= w.out_width()
             ? -1
             : q / w.sites() * w.out_sites() + y / w.stride * w.out_width() + x / w.stride;
}

/// What a window reads for one of its output sites, below one another.
struct GatherWindow {
  Window window;

  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index q, MatrixView<Scalar> patch,
                                      MatrixView<Scalar const> x) const {
    Index const C = x.rows();
    for (Index dy = 0; dy < window.kernel; ++dy)
      for (Index dx = 0; dx < window.kernel; ++dx) {
        Index const site = site_read(window, q, dy, dx);
        auto const part = patch.middle_rows((dy * window.kernel + dx) * C, C);
        team.each(C, [=](Index c) { part(c, q) = site < 0 ? Scalar(0) : x(c, site); });
      }
  }
};

/// Its adjoint at one site of an image: the sum over the windows that read it, tap after tap.
struct ScatterWindow {
  Window window;

  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index q, MatrixView<Scalar> x_bar,
                                      MatrixView<Scalar const> patch_bar) const {
    Index const C = x_bar.rows();
    team.each(C, [=](Index c) { x_bar(c, q) = 0; });
    for (Index dy = 0; dy < window.kernel; ++dy)
      for (Index dx = 0; dx < window.kernel; ++dx) {
        Index const site = site_reading(window, q, dy, dx);
        if (site < 0) continue;
        auto const part = patch_bar.middle_rows((dy * window.kernel + dx) * C, C);
        team.each(C, [=](Index c) { x_bar(c, q) += part(c, site); });
      }
  }
};

}  // namespace detail

/// The operators P of a deep dictionary over images (N1): at each site of a window of K x K pixels, those
/// that it covers, with zeros around the image, as one column. No parameters.
///
///   y(i + channels (K dy + dx), q) = x(i, site that the window at q has at dy, dx)
///
/// so that Dense<k> or Dictionary<k, ...> behind it maps patches; with Dense<k> it is Convolution<k, K, ...>,
/// of the same W.
///
/// Choices   Stride<s>, else 1; Padding<p>, else (K - 1) / 2, as those of Convolution.
/// Shapes    x: channels x (sites samples).  y: (K^2 channels) x (out_sites samples).
/// Ensures   no rounding forward; x_bar sums at most K^2 terms, in one order for any number of threads.
/// Adjoint   x_bar = P^T y_bar: each site sums over the windows that cover it.
/// Lending   y is not lent: pullback writes x_bar over it while it reads y_bar. Cannot run in place.
/// Cost      K^2 times the memory of x where the stride is 1; no product.
/// Source    docs/maths.md (N1)
/// Tested    tests/layer/patches_test.cpp
template <Index K, class... Choices>
struct Patches {
  using Geometry = Convolution<1, K, Choices...>;
  static_assert(Geometry::choices.bias, "Patches: there is no bias that NoBias could take away");
  static_assert(std::is_same_v<typename detail::ChosenArithmetic<Choices...>::type, Automatic>,
                "Patches: there is no product whose arithmetic could be chosen");
  static constexpr Shape output(Shape in) {
    Window const w = Geometry::window(in);
    return {w.taps() * in.channels, w.out_height(), w.out_width()};
  }

  template <Shape in, Backend B>
  struct Layer {
    static_assert(Geometry::window(in).fits(),
                  "Patches: the window must fit the padded image, and the padding be less than it");
    using Backend = B;
    using FromRecipe = Patches;
    using Parameters = NoParameters;
    static constexpr Shape input = in, output = Patches::output(in);
    static constexpr Window window = Geometry::window(in);
    static constexpr Index samples_at_once = 1;
    static std::string name() { return message("Patches ", window); }

    struct Tape {
      OutputMemory<input, output, B> memory;
    };

    Parameters parameters(B&) const { return {}; }

    ConstView<B> forward(B& backend, Parameters const& theta, ConstView<B> x, Tape& tape, Draw) const {
      View<B> const y = tape.memory.y(backend, samples<Layer>("Patches", x));
      predict(backend, theta, x, y);
      return y;
    }

    void predict(B& backend, Parameters const& theta, ConstView<B> x, View<B> y) const {
      samples<Layer>("Patches", x, y);
      predict_in_chunks(backend, *this, theta, x, y);
    }

    auto inference(B&, Parameters const&) const {
      return [](auto& lane, ConstView<B> x, View<B> y) {
        each_column(lane, y.cols(), detail::GatherWindow{window}, y, x);
      };
    }

    ConstView<B> pullback(B& backend, Parameters const& theta, Tape& tape, ConstView<B> y_bar,
                          Parameters&) const {
      View<B> const x_bar = tape.memory.x_bar("Patches", y_bar);
      inference_pullback(backend, theta, tape, y_bar, x_bar);
      return x_bar;
    }

    void inference_pullback(B& backend, Parameters const&, Tape const& tape, ConstView<B> y_bar,
                            View<B> x_bar) const {
      require_cotangent("Patches", tape.memory.y(), y_bar);
      each_chunk(backend, Batch{x_bar.cols(), in.sites()}, in.channels + output.channels,
                 [=](auto& lane, Columns chunk) {
                   each_column(lane, chunk.count, detail::ScatterWindow{window}, columns(x_bar, chunk),
                               columns(y_bar, outputs<Layer>(chunk)));
                 });
    }
  };
};

}  // namespace detrame::inline DETRAME_ABI
