// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>

#include "detrame/layer/concept.hpp"
#include "detrame/layer/inference.hpp"
#include "detrame/layer/inference_pullback.hpp"
#include "detrame/layer/samples.hpp"
#include "detrame/network/record.hpp"

namespace detrame::inline DETRAME_ABI {

/// Layers one after the other, each reading what the last one wrote: itself a layer.                   (N2)
///
///   y = f_n(... f_2(f_1(x)))
///
/// Parameters are named by position: "0.W", "0.c", "1.W_tilde", ...
/// Lending   y is lent if the last layer lends it. A layer that can runs in place behind one that lends; the
///           whole does not.
/// Tested    tests/network/network_test.cpp
template <Recipe... Recipes>
struct Stack {
  static_assert(sizeof...(Recipes) > 0, "Stack: at least one layer");
  static constexpr std::size_t depth = sizeof...(Recipes);

  /// shapes(in)[i] is what layer i reads; the last entry is what the stack returns.
  static constexpr std::array<Shape, depth + 1> shapes(Shape in) {
    std::array<Shape, depth + 1> s{in};
    std::size_t i = 0;
    ((s[i + 1] = Recipes::output(s[i]), ++i), ...);
    return s;
  }
  static constexpr Shape output(Shape in) { return shapes(in)[depth]; }

 private:
  template <Shape in, Backend B, class Indices>
  struct Bound;

  template <Shape in, Backend B, std::size_t... I>
  struct Bound<in, B, std::index_sequence<I...>> {
    using Backend = B;
    using FromRecipe = Stack;
    static constexpr Shape input = in, output = Stack::output(in);

    static constexpr std::array<Shape, depth + 1> shapes = Stack::shapes(in);
    using Layers = Record<typename Recipes::template Layer<shapes[I], B>...>;
    static constexpr Index multiply_adds =
        (::detrame::multiply_adds<typename Recipes::template Layer<shapes[I], B>>() + ...);
    static_assert((::detrame::Layer<typename Recipes::template Layer<shapes[I], B>> && ...),
                  "Stack: every recipe must become a Layer");

    struct Parameters : Record<typename Recipes::template Layer<shapes[I], B>::Parameters...> {
      template <class F, class Theta, class... Rest>
      static void visit(F&& f, Path const& path, Theta&& theta, Rest&&... rest) {
        (visit_one<I>(f, path, theta, rest...), ...);
      }

     private:
      template <std::size_t i, class F, class Theta, class... Rest>
      static void visit_one(F&& f, Path const& path, Theta&& theta, Rest&&... rest) {
        std::remove_cvref_t<decltype(leaf<i>(theta))>::visit(f, path / Index{i}, leaf<i>(theta),
                                                             leaf<i>(rest)...);
      }
    };
    struct Tape : Record<typename Recipes::template Layer<shapes[I], B>::Tape...> {};
    using Output =
        ForwardResult<typename std::remove_cvref_t<decltype(leaf<depth - 1>(std::declval<Layers&>()))>>;

    static constexpr Index samples_at_once = ::detrame::samples_at_once(
        {::detrame::samples_at_once<typename Recipes::template Layer<shapes[I], B>>()...});
    static constexpr Index least_samples =
        std::max({::detrame::least_samples<typename Recipes::template Layer<shapes[I], B>>()...});

    static constexpr bool parts_have_adjoints =
        (has::inference_pullback<typename Recipes::template Layer<shapes[I], B>> && ...);

    Layers layers;

    Parameters parameters(B& backend) const {
      Parameters theta;
      ((leaf<I>(theta) = leaf<I>(layers).parameters(backend)), ...);
      return theta;
    }

    Output forward(B& backend, Parameters const& theta, ConstView<B> x, Tape& tape, Draw draw) const {
      return forward_from<0>(backend, theta, x, tape, draw);
    }

    ConstView<B> pullback(B& backend, Parameters const& theta, Tape& tape, ConstView<B> y_bar,
                          Parameters& theta_bar) const {
      return pullback_to<0>(backend, theta, tape, y_bar, theta_bar);
    }

    void pullback_parameters(B& backend, Parameters const& theta, Tape& tape, ConstView<B> y_bar,
                             Parameters& theta_bar) const {
      if constexpr (first < depth)
        ::detrame::pullback_parameters(backend, leaf<first>(layers), leaf<first>(theta), leaf<first>(tape),
                                       pullback_to<first + 1>(backend, theta, tape, y_bar, theta_bar),
                                       leaf<first>(theta_bar));
    }

    void inference_pullback(B& backend, Parameters const& theta, Tape const& tape, ConstView<B> y_bar,
                            View<B> x_bar) const {
      Index const n = samples("Stack", output, y_bar);
      auto const frame = backend.lane().frame();
      std::array<View<B>, 2> const buffers{backend.lane().scratch(cotangent_size(0) * n, 1),
                                           backend.lane().scratch(cotangent_size(1) * n, 1)};
      ConstView<B> last = y_bar;
      (
          [&] {
            constexpr std::size_t j = depth - 1 - I;
            View<B> next = x_bar;
            if constexpr (j > 0)
              next = buffers[j % 2]
                         .middle_rows(0, shapes[j].size() * n)
                         .reshaped(shapes[j].channels, shapes[j].sites() * n);
            ::detrame::inference_pullback(backend, leaf<j>(layers), leaf<j>(theta), leaf<j>(tape), last,
                                          next);
            last = next;
          }(),
          ...);
    }

    void predict(B& backend, Parameters const& theta, ConstView<B> x, View<B> y) const {
      Index const n = samples<Bound>("Stack", x, y);
      if constexpr (samples_at_once > 0)
        predict_in_chunks(backend, *this, theta, x, y);
      else
        each_layer(backend.lane(), n, x, y, [&]<std::size_t i>(ConstView<B> from, View<B> to) {
          leaf<i>(layers).predict(backend, leaf<i>(theta), from, to);
        });
    }

    auto inference(B& backend, Parameters const& theta) const {
      using Maps = Record<decltype(leaf<I>(layers).inference(backend, leaf<I>(theta)))...>;
      return [maps = Maps{{leaf<I>(layers).inference(backend, leaf<I>(theta))}...}](
                 auto& lane, ConstView<B> x, View<B> y) {
        each_layer(lane, x.cols() / in.sites(), x, y, [&]<std::size_t i>(ConstView<B> from, View<B> to) {
          auto const frame = lane.frame();
          leaf<i>(maps)(lane, from, to);
        });
      };
    }

    void absorb(B& backend, Parameters& theta, Tape const& tape) const {
      (::detrame::absorb(backend, leaf<I>(layers), leaf<I>(theta), leaf<I>(tape)), ...);
    }

    template <class F>
    void walk(F&& f, Path const& path, Parameters const& theta, Tape const& tape) const {
      (::detrame::walk(f, leaf<I>(layers), path / Index{I}, leaf<I>(theta), leaf<I>(tape)), ...);
    }

    template <class F>
    static void visit_states(F&& f, Tape const& tape) {
      (
          [&] {
            using L = typename std::remove_cvref_t<decltype(leaf<I>(std::declval<Layers&>()))>;
            if constexpr (requires { L::visit_states(f, leaf<I>(tape)); }) L::visit_states(f, leaf<I>(tape));
          }(),
          ...);
    }

   private:
    /// Where inference writes what layer i returns: 2 is y, 0 and 1 are buffers by turns. A layer that may
    /// works in place.
    static constexpr std::array<int, depth> places = [] {
      std::array<bool, depth> in_place{
          ::detrame::in_place<typename Recipes::template Layer<shapes[I], B>>()...};
      std::array<int, depth> at{};
      std::size_t first = depth - 1;  // the first of those that write y
      while (first > 0 && in_place[first]) --first;
      for (std::size_t i = 0; i < depth; ++i)
        at[i] = i >= first ? 2 : i == 0 ? 0 : in_place[i] ? at[i - 1] : 1 - at[i - 1];
      return at;
    }();
    /// Scalars of a buffer for one sample.
    static constexpr Index buffer_size(int which) {
      Index size = 0;
      for (std::size_t i = 0; i < depth; ++i)
        if (places[i] == which) size = std::max(size, shapes[i + 1].size());
      return size;
    }

    /// The same of a buffer for the cotangents of what layers read, whose places alternate.
    static constexpr Index cotangent_size(std::size_t which) {
      Index size = 0;
      for (std::size_t j = 1; j < depth; ++j)
        if (j % 2 == which) size = std::max(size, shapes[j].size());
      return size;
    }

    /// run<i>(x_i, y_i) for each layer on n samples, through buffers of the lane.
    template <class Lane, class Run>
    static void each_layer(Lane& lane, Index n, ConstView<B> x, View<B> y, Run const& run) {
      auto const frame = lane.frame();
      std::array<View<B>, 2> const buffers{lane.scratch(buffer_size(0) * n, 1),
                                           lane.scratch(buffer_size(1) * n, 1)};
      ConstView<B> last = x;
      (
          [&] {
            constexpr Shape out = shapes[I + 1];
            View<B> next = y;
            if constexpr (places[I] < 2)
              next =
                  buffers[places[I]].middle_rows(0, out.size() * n).reshaped(out.channels, out.sites() * n);
            run.template operator()<I>(last, next);
            last = next;
          }(),
          ...);
    }

    /// The first layer that has parameters, or depth.
    static constexpr std::size_t first = [] {
      std::size_t i = 0;
      (void)((std::same_as<typename Recipes::template Layer<shapes[I], B>::Parameters, NoParameters> &&
              ++i) &&
             ...);
      return i;
    }();

    /// The cotangent of what layer i reads: pullbacks of layers depth - 1, ..., i.
    template <std::size_t i>
    ConstView<B> pullback_to(B& backend, Parameters const& theta, Tape& tape, ConstView<B> y_bar,
                             Parameters& theta_bar) const {
      ConstView<B> x_bar = y_bar;
      (
          [&] {
            constexpr std::size_t j = depth - 1 - I;
            if constexpr (j >= i)
              x_bar =
                  leaf<j>(layers).pullback(backend, leaf<j>(theta), leaf<j>(tape), x_bar, leaf<j>(theta_bar));
          }(),
          ...);
      return x_bar;
    }

    /// Layers i, i + 1, ... on what layer i - 1 returned: over it, where the one lends it and the other can.
    template <std::size_t i, class X>
    Output forward_from(B& backend, Parameters const& theta, X x, Tape& tape, Draw draw) const {
      auto const& layer = leaf<i>(layers);
      auto const y = [&] {
        if constexpr (std::is_same_v<X, View<B>> && RunsInPlace<std::remove_cvref_t<decltype(layer)>>)
          return layer.forward_in_place(backend, leaf<i>(theta), x, leaf<i>(tape), draw.at(Index{i}));
        else
          return layer.forward(backend, leaf<i>(theta), x, leaf<i>(tape), draw.at(Index{i}));
      }();
      if constexpr (i + 1 == depth)
        return y;
      else
        return forward_from<i + 1>(backend, theta, y, tape, draw);
    }
  };

 public:
  template <Shape in, Backend B>
  using Layer = Bound<in, B, std::make_index_sequence<depth>>;
};

}  // namespace detrame::inline DETRAME_ABI
