// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <utility>

#include "detrame/layer/concept.hpp"
#include "detrame/layer/inference.hpp"
#include "detrame/layer/inference_pullback.hpp"
#include "detrame/layer/samples.hpp"

namespace detrame::inline DETRAME_ABI {

/// One block n times, each time with parameters of its own. The block is instantiated once, so a deep network
/// costs the compiler what a shallow one does.
///
/// Parameters are named by position: "0.W", "1.W", ...
/// Lending   y is not lent, and nothing runs in place, not even where the block could.
/// Tested    tests/network/network_test.cpp
template <int n, Recipe Block>
struct Repeat {
  static_assert(n > 0, "Repeat: at least once");

  static constexpr Shape output(Shape in) { return Block::output(in); }

  template <Shape in, Backend B>
  struct Layer {
    static_assert(Block::output(in) == in, "Repeat: the block must return the shape that it reads");
    using Backend = B;
    using FromRecipe = Repeat;
    using BlockLayer = Bind<Block, in, B>;
    static constexpr Shape input = in, output = in;
    static constexpr Index multiply_adds = n * ::detrame::multiply_adds<BlockLayer>();

    struct Parameters {
      std::array<typename BlockLayer::Parameters, n> block;
      template <class F, class Theta, class... Rest>
      static void visit(F&& f, Path const& path, Theta&& theta, Rest&&... rest) {
        for (std::size_t i = 0; i < n; ++i)
          BlockLayer::Parameters::visit(f, path / static_cast<Index>(i), theta.block[i], rest.block[i]...);
      }
    };
    struct Tape {
      std::array<typename BlockLayer::Tape, n> block;
    };

    static constexpr Index samples_at_once = ::detrame::samples_at_once<BlockLayer>();
    static constexpr Index least_samples = ::detrame::least_samples<BlockLayer>();

    static constexpr bool parts_have_adjoints = has::inference_pullback<BlockLayer>;

    BlockLayer layer;

    Parameters parameters(B& backend) const {
      Parameters theta;
      for (auto& block : theta.block) block = layer.parameters(backend);
      return theta;
    }

    ConstView<B> forward(B& backend, Parameters const& theta, ConstView<B> x, Tape& tape, Draw draw) const {
      ConstView<B> y = x;
      for (std::size_t i = 0; i < n; ++i)
        y = layer.forward(backend, theta.block[i], y, tape.block[i], draw.at(static_cast<Index>(i)));
      return y;
    }

    ConstView<B> pullback(B& backend, Parameters const& theta, Tape& tape, ConstView<B> y_bar,
                          Parameters& theta_bar) const {
      ConstView<B> x_bar = y_bar;
      for (std::size_t i = n; i-- > 0;)
        x_bar = layer.pullback(backend, theta.block[i], tape.block[i], x_bar, theta_bar.block[i]);
      return x_bar;
    }

    void inference_pullback(B& backend, Parameters const& theta, Tape const& tape, ConstView<B> y_bar,
                            View<B> x_bar) const {
      each_block(backend.lane(), y_bar, x_bar, [&](std::size_t i, ConstView<B> from, View<B> to) {
        ::detrame::inference_pullback(backend, layer, theta.block[n - 1 - i], tape.block[n - 1 - i], from,
                                      to);
      });
    }

    void predict(B& backend, Parameters const& theta, ConstView<B> x, View<B> y) const {
      samples<Layer>("Repeat", x, y);
      if constexpr (samples_at_once > 0)
        predict_in_chunks(backend, *this, theta, x, y);
      else
        each_block(backend.lane(), x, y, [&](std::size_t i, ConstView<B> from, View<B> to) {
          layer.predict(backend, theta.block[i], from, to);
        });
    }

    auto inference(B& backend, Parameters const& theta) const {
      auto const maps = [&]<std::size_t... i>(std::index_sequence<i...>) {
        return std::array{layer.inference(backend, theta.block[i])...};
      }(std::make_index_sequence<n>());
      return [maps](auto& lane, ConstView<B> x, View<B> y) {
        each_block(lane, x, y,
                   [&](std::size_t i, ConstView<B> from, View<B> to) { maps[i](lane, from, to); });
      };
    }

    void absorb(B& backend, Parameters& theta, Tape const& tape) const {
      for (std::size_t i = 0; i < n; ++i) ::detrame::absorb(backend, layer, theta.block[i], tape.block[i]);
    }

    template <class F>
    void walk(F&& f, Path const& path, Parameters const& theta, Tape const& tape) const {
      for (std::size_t i = 0; i < n; ++i)
        ::detrame::walk(f, layer, path / static_cast<Index>(i), theta.block[i], tape.block[i]);
    }

    template <class F>
    static void visit_states(F&& f, Tape const& tape) {
      if constexpr (requires { BlockLayer::visit_states(f, tape.block[0]); })
        for (auto const& block : tape.block) BlockLayer::visit_states(f, block);
    }

   private:
    /// run(i, x_i, y_i) for i = 0, ..., n - 1, through y and a buffer by turns.
    template <class Lane, class Run>
    static void each_block(Lane& lane, ConstView<B> x, View<B> y, Run const& run) {
      auto const frame = lane.frame();
      View<B> const other = n > 1 ? lane.scratch(x.rows(), x.cols()) : y;
      ConstView<B> last = x;
      for (std::size_t i = 0; i < n; ++i) {
        View<B> const next = (n - 1 - i) % 2 == 0 ? y : other;
        run(i, last, next);
        last = next;
      }
    }
  };
};

}  // namespace detrame::inline DETRAME_ABI
