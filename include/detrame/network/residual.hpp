// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/network/stack.hpp"

namespace detrame {

/// y = x + f(x), with f a stack that returns the shape it reads.
///
/// Parameters are those of the branch: "branch.0.W", ...
/// Tested    tests/network/network_test.cpp
template <Recipe... Branch>
struct Residual {
  static constexpr Shape output(Shape in) { return in; }

  template <Shape in, Backend B>
  struct Layer {
    static_assert(Stack<Branch...>::output(in) == in,
                  "Residual: the branch must return the shape that it reads");
    using Backend = B;
    using View = typename B::View;
    using ConstView = typename B::ConstView;
    using BranchLayer = Bind<Stack<Branch...>, in, B>;
    static constexpr Shape input = in, output = in;

    struct Parameters {
      typename BranchLayer::Parameters branch;
      template <class F, class Theta, class... Rest>
      static void visit(F&& f, Path const& path, Theta&& theta, Rest&&... rest) {
        BranchLayer::Parameters::visit(f, path / "branch.", theta.branch, rest.branch...);
      }
    };
    struct Tape {
      typename BranchLayer::Tape branch;
      typename B::Matrix y, x_bar;
    };

    BranchLayer branch;

    Parameters parameters(B& backend) const { return {branch.parameters(backend)}; }

    ConstView forward(B& backend, Parameters const& theta, ConstView x, Tape& tape, Draw draw) const {
      resize(backend, tape.y, x.rows(), x.cols());
      add(backend, x, branch.forward(backend, theta.branch, x, tape.branch, draw), tape.y);
      return tape.y;
    }

    ConstView pullback(B& backend, Parameters const& theta, Tape& tape, ConstView y_bar,
                       Parameters& theta_bar) const {
      require_cotangent("Residual", tape.y, y_bar);
      resize(backend, tape.x_bar, y_bar.rows(), y_bar.cols());
      add(backend, y_bar, branch.pullback(backend, theta.branch, tape.branch, y_bar, theta_bar.branch),
          tape.x_bar);
      return tape.x_bar;
    }

    void predict(B& backend, Parameters const& theta, ConstView x, View y) const {
      samples<Layer>("Residual", x, y);
      branch.predict(backend, theta.branch, x, y);
      add(backend, x, y, y);
    }

    template <class F>
    static void visit_states(F&& f, Tape const& tape) {
      if constexpr (requires { BranchLayer::visit_states(f, tape.branch); })
        BranchLayer::visit_states(f, tape.branch);
    }

   private:
    static void add(B& backend, ConstView x, ConstView f, View y) {
      each_chunk(backend, Batch{x.cols()}, 3 * in.channels, [=](auto& lane, Columns chunk) {
        each(lane, formula::Sum(), columns(y, chunk), columns(x, chunk), columns(f, chunk));
      });
    }
  };
};

}  // namespace detrame
