// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include "detrame/layer/q_metric.hpp"

namespace detrame::inline DETRAME_ABI {

/// `channels` neighbouring channels whose block of W~ has a structure of its own.
template <Index channels, class StructureRecipe>
struct Channels;

/// W~ with blocks of different structures along its diagonal, as the paper's section 4.2 allows: some full at
/// every site, some convolutions.
///
///   QMetricReLU<Mixed<Channels<16, Full>, Channels<48, Convolutional<3>>>, Unroll<3>>
template <class... Parts>
struct Mixed;

/// The Q-metric layer on such a W~: what its parts are on their channels, one recursion each, since no block
/// reads another.                                                                                        (M5)
///
/// Shapes    z, u: channels x columns, those of the parts one after the other. Parameters "0.W_tilde", "0.h",
///           "0.b", "1.W_tilde", ...: those of the parts.
/// Ensures   the bits of the parts, each on its rows.
/// Adjoint   theirs
/// Tested    tests/layer/q_metric_test.cpp
template <class Activation, Index... channels, class... Recipes, int T, class TapePolicy,
          class DiagonalPolicy>
struct QMetric<Activation, Mixed<Channels<channels, Recipes>...>, Unroll<T>, TapePolicy, DiagonalPolicy> {
  static constexpr std::size_t count = sizeof...(channels);
  static_assert(count > 0, "Mixed: at least one part");
  static constexpr Shape output(Shape in) { return in; }

  template <Shape in, Backend B>
  struct Layer {
    static_assert((channels + ...) == in.channels, "Mixed: its parts must have the channels of the input");
    using Backend = B;
    using FromRecipe = QMetric;
    template <Index k, class Recipe>
    using Of = typename QMetric<Activation, Recipe, Unroll<T>, TapePolicy,
                                DiagonalPolicy>::template Layer<Shape{k, in.height, in.width}, B>;
    static constexpr Shape input = in, output = in;
    static constexpr Index multiply_adds = (Of<channels, Recipes>::multiply_adds + ...);
    static constexpr Index samples_at_once = std::max({Of<channels, Recipes>::samples_at_once...});
    static std::string name() {
      std::string parts;
      ((parts += message(parts.empty() ? "" : " and ", channels, " (", name_of<Recipes>(), ")")), ...);
      return message("Q-metric ", name_of<Activation>(), ", ", parts,
                     DiagonalPolicy::is_free ? " with a free diagonal, T = " : ", T = ", T);
    }

    struct Parameters {
      std::tuple<typename Of<channels, Recipes>::Parameters...> parts;
      template <class F, class Theta, class... Rest>
      static void visit(F&& f, Path const& path, Theta&& theta, Rest&&... rest) {
        each_part([&](auto p, auto part) {
          decltype(part)::Parameters::visit(f, path / Index{p}, std::get<p>(theta.parts),
                                            std::get<p>(rest.parts)...);
        });
      }
    };

    struct Tape {
      ConstView<B> z{};
      Matrix<B> u;  ///< pullback writes z_bar over it
      std::array<Matrix<B>, count> states;
    };

    Parameters parameters(B& backend) const { return {{Of<channels, Recipes>().parameters(backend)...}}; }

    ConstView<B> forward(B& backend, Parameters const& theta, ConstView<B> z, Tape& tape, Draw) const {
      samples<Layer>("QMetric", z);
      resize(backend, tape.u, in.channels, z.cols());
      tape.z = z;
      each_part([&](auto p, auto part) {
        resize(backend, tape.states[p], part.k, TapePolicy::columns(T, z.cols()));
        part.unroll(backend, std::get<p>(theta.parts), rows<p>(z), rows<p>(View<B>(tape.u)), tape.states[p]);
      });
      return tape.u;
    }

    void predict(B& backend, Parameters const& theta, ConstView<B> z, View<B> u) const {
      samples<Layer>("QMetric", z, u);
      predict_in_chunks(backend, *this, theta, z, u);
    }

    auto inference(B& backend, Parameters const& theta) const {
      auto const maps = std::apply(
          [&](auto const&... part) {
            return std::tuple{Of<channels, Recipes>().inference(backend, part)...};
          },
          theta.parts);
      return [maps](auto& lane, ConstView<B> z, View<B> u) {
        each_part([&](auto p, auto) { std::get<p>(maps)(lane, rows<p>(z), rows<p>(u)); });
      };
    }

    ConstView<B> pullback(B& backend, Parameters const& theta, Tape& tape, ConstView<B> u_bar,
                          Parameters& theta_bar) const {
      require_cotangent("QMetric", tape.u, u_bar);
      each_part([&](auto p, auto part) {
        part.pull_back(backend, std::get<p>(theta.parts), rows<p>(tape.z), rows<p>(View<B>(tape.u)),
                       tape.states[p], rows<p>(u_bar), std::get<p>(theta_bar.parts));
      });
      return tape.u;
    }

    void inference_pullback(B& backend, Parameters const& theta, Tape const& tape, ConstView<B> u_bar,
                            View<B> z_bar) const {
      require_cotangent("QMetric", tape.u, u_bar);
      each_part([&](auto p, auto part) {
        part.pull_back(backend, std::get<p>(theta.parts), rows<p>(tape.z), rows<p>(ConstView<B>(tape.u)),
                       tape.states[p], rows<p>(u_bar), rows<p>(z_bar));
      });
    }

    /// The states whose kinks are those of this layer, for check_pullback.
    template <class F>
    static void visit_states(F&& f, Tape const& tape) {
      auto const rule = Activation::template at<typename B::Scalar>();
      f(tape.u, rule);
      for (auto const& states : tape.states) f(states, rule);
    }

   private:
    /// f(number of the part, its layer) for each part.
    template <class F>
    static void each_part(F const& f) {
      [&]<std::size_t... p>(std::index_sequence<p...>) {
        (f(std::integral_constant<std::size_t, p>(), Of<channels, Recipes>()), ...);
      }(std::make_index_sequence<count>());
    }

    /// The rows of part p.
    template <std::size_t p, class V>
    static V rows(V const& v) {
      constexpr std::array<Index, count> k{channels...};
      Index first = 0;
      for (std::size_t before = 0; before < p; ++before) first += k[before];
      return v.middle_rows(first, k[p]);
    }
  };
};

}  // namespace detrame::inline DETRAME_ABI
