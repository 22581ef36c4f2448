// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/layer/inference.hpp"
#include "detrame/layer/output_memory.hpp"
#include "detrame/layer/samples.hpp"
#include "detrame/network/stack.hpp"

namespace detrame::inline DETRAME_ABI {

/// What the input of a Residual is added through, as its first argument: a recipe whose output is the
/// branch's, such as Convolution<k, 1, Stride<2>, NoBias> (a projection) or PadChannels<k, Stride<2>>.
template <Recipe Path>
struct Shortcut;

namespace detail {

/// The shortcut where none is given: x itself.
struct Unchanged {
  static constexpr Shape output(Shape in) { return in; }
};

/// y = g(x) + f(x), of a branch f and a shortcut g.
template <Recipe Through, Recipe Branch>
struct ResidualOf {
  static constexpr Shape output(Shape in) { return Branch::output(in); }
  static constexpr bool unchanged = std::is_same_v<Through, Unchanged>;

  template <Shape in, Backend B>
  struct Unmapped {  // the layer that Unchanged does not need to be
    using Parameters = NoParameters;
    struct Tape {};
    static constexpr Index samples_at_once = 1;
    auto inference(B&, Parameters const&) const {
      return [](auto&, ConstView<B>, View<B>) {};
    }
  };
  template <Shape in, Backend B, bool = unchanged>
  struct BoundShortcut {
    using type = Unmapped<in, B>;
  };
  template <Shape in, Backend B>
  struct BoundShortcut<in, B, false> {
    using type = Bind<Through, in, B>;
  };

  template <Shape in, Backend B>
  struct Layer {
    static_assert(!unchanged || Branch::output(in) == in,
                  "Residual: the branch must return the shape that it reads");
    static_assert(Branch::output(in) == Through::output(in),
                  "Residual: branch and shortcut must return the same shape");
    using Backend = B;
    using FromRecipe = ResidualOf;
    using BranchLayer = Bind<Branch, in, B>;
    using ShortcutLayer = typename BoundShortcut<in, B>::type;
    static constexpr Shape input = in, output = Branch::output(in);
    static constexpr Index multiply_adds =
        ::detrame::multiply_adds<BranchLayer>() + ::detrame::multiply_adds<ShortcutLayer>();

    struct Parameters {
      typename BranchLayer::Parameters branch;
      typename ShortcutLayer::Parameters shortcut;
      template <class F, class Theta, class... Rest>
      static void visit(F&& f, Path const& path, Theta&& theta, Rest&&... rest) {
        BranchLayer::Parameters::visit(f, path / "branch.", theta.branch, rest.branch...);
        ShortcutLayer::Parameters::visit(f, path / "shortcut.", theta.shortcut, rest.shortcut...);
      }
    };
    struct Tape {
      typename BranchLayer::Tape branch;
      typename ShortcutLayer::Tape shortcut;
      OutputMemory<input, output, B> memory;
    };

    static constexpr Index samples_at_once = ::detrame::samples_at_once(
        {::detrame::samples_at_once<BranchLayer>(), ::detrame::samples_at_once<ShortcutLayer>()});
    static constexpr Index least_samples =
        std::max(::detrame::least_samples<BranchLayer>(), ::detrame::least_samples<ShortcutLayer>());

    static constexpr bool parts_have_adjoints =
        has::inference_pullback<BranchLayer> && (unchanged || has::inference_pullback<ShortcutLayer>);

    BranchLayer branch;
    ShortcutLayer shortcut;

    Parameters parameters(B& backend) const {
      Parameters theta{branch.parameters(backend), {}};
      if constexpr (!unchanged) theta.shortcut = shortcut.parameters(backend);
      return theta;
    }

    View<B> forward(B& backend, Parameters const& theta, ConstView<B> x, Tape& tape, Draw draw) const {
      ConstView<B> const f = branch.forward(backend, theta.branch, x, tape.branch, draw);
      ConstView<B> g = x;
      if constexpr (!unchanged)
        g = shortcut.forward(backend, theta.shortcut, x, tape.shortcut, draw.at(Index{Branch::depth}));
      View<B> const y = tape.memory.y(backend, samples<Layer>("Residual", x));
      add(backend, g, f, y);
      return y;
    }

    ConstView<B> pullback(B& backend, Parameters const& theta, Tape& tape, ConstView<B> y_bar,
                          Parameters& theta_bar) const {
      require_cotangent("Residual", tape.memory.y(), y_bar);
      ConstView<B> const f_bar = branch.pullback(backend, theta.branch, tape.branch, y_bar, theta_bar.branch);
      ConstView<B> g_bar = y_bar;
      if constexpr (!unchanged)
        g_bar = shortcut.pullback(backend, theta.shortcut, tape.shortcut, y_bar, theta_bar.shortcut);
      View<B> const x_bar = tape.memory.x_bar();  // y_bar may lie here: read no more, or entry by entry
      add(backend, g_bar, f_bar, x_bar);
      return x_bar;
    }

    void inference_pullback(B& backend, Parameters const& theta, Tape const& tape, ConstView<B> y_bar,
                            View<B> x_bar) const {
      require_cotangent("Residual", tape.memory.y(), y_bar);
      ::detrame::inference_pullback(backend, branch, theta.branch, tape.branch, y_bar, x_bar);
      auto const frame = backend.lane().frame();
      ConstView<B> g_bar = y_bar;
      if constexpr (!unchanged) {
        View<B> const mapped = backend.lane().scratch(x_bar.rows(), x_bar.cols());
        ::detrame::inference_pullback(backend, shortcut, theta.shortcut, tape.shortcut, y_bar, mapped);
        g_bar = mapped;
      }
      add(backend, g_bar, x_bar, x_bar);
    }

    void predict(B& backend, Parameters const& theta, ConstView<B> x, View<B> y) const {
      samples<Layer>("Residual", x, y);
      if constexpr (samples_at_once > 0) {
        predict_in_chunks(backend, *this, theta, x, y);
      } else {
        branch.predict(backend, theta.branch, x, y);
        auto const frame = backend.lane().frame();
        ConstView<B> g = x;
        if constexpr (!unchanged) {
          View<B> const mapped = backend.lane().scratch(y.rows(), y.cols());
          shortcut.predict(backend, theta.shortcut, x, mapped);
          g = mapped;
        }
        add(backend, g, y, y);
      }
    }

    auto inference(B& backend, Parameters const& theta) const {
      return [f = branch.inference(backend, theta.branch), g = shortcut.inference(backend, theta.shortcut)](
                 auto& lane, ConstView<B> x, View<B> y) {
        f(lane, x, y);
        auto const frame = lane.frame();
        ConstView<B> shortcut_y = x;
        if constexpr (!unchanged) {
          View<B> const mapped = lane.scratch(y.rows(), y.cols());
          g(lane, x, mapped);
          shortcut_y = mapped;
        }
        each(lane, formula::Sum(), y, shortcut_y, y);
      };
    }

    void absorb(B& backend, Parameters& theta, Tape const& tape) const {
      ::detrame::absorb(backend, branch, theta.branch, tape.branch);
      if constexpr (!unchanged) ::detrame::absorb(backend, shortcut, theta.shortcut, tape.shortcut);
    }

    template <class F>
    void walk(F&& f, Path const& path, Parameters const& theta, Tape const& tape) const {
      ::detrame::walk(f, branch, path / "branch.", theta.branch, tape.branch);
      if constexpr (!unchanged)
        ::detrame::walk(f, shortcut, path / "shortcut.", theta.shortcut, tape.shortcut);
    }

    template <class F>
    static void visit_states(F&& f, Tape const& tape) {
      if constexpr (requires { BranchLayer::visit_states(f, tape.branch); })
        BranchLayer::visit_states(f, tape.branch);
      if constexpr (requires { ShortcutLayer::visit_states(f, tape.shortcut); })
        ShortcutLayer::visit_states(f, tape.shortcut);
    }

   private:
    static void add(B& backend, ConstView<B> x, ConstView<B> f, View<B> y) {
      each_chunk(backend, Batch{x.cols()}, 3 * x.rows(), [=](auto& lane, Columns chunk) {
        each(lane, formula::Sum(), columns(y, chunk), columns(x, chunk), columns(f, chunk));
      });
    }
  };
};

}  // namespace detail

/// y = x + f(x), with f a stack that returns the shape it reads; or, with a Shortcut first, y = g(x) + f(x).
///
/// Parameters are those of branch and shortcut: "branch.0.W", ..., "shortcut.W", ...
/// Lending   y is lent: pullback does not read it. Cannot run in place: x is added when the branch is done.
/// Tested    tests/network/network_test.cpp, tests/network/shortcut_test.cpp
template <class First, Recipe... Branch>
struct Residual : detail::ResidualOf<detail::Unchanged, Stack<First, Branch...>> {};

template <Recipe Path, Recipe... Branch>
struct Residual<Shortcut<Path>, Branch...> : detail::ResidualOf<Path, Stack<Branch...>> {};

}  // namespace detrame::inline DETRAME_ABI
