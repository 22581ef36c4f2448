// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/layer/concept.hpp"
#include "detrame/layer/inference.hpp"
#include "detrame/layer/samples.hpp"
#include "detrame/operator/convolutional_blocks.hpp"
#include "detrame/operator/dense_blocks.hpp"
#include "detrame/prox/stopping.hpp"
#include "detrame/prox/unrolled.hpp"
#include "detrame/prox/unrolled_pullback.hpp"

namespace detrame::inline DETRAME_ABI {

/// W~ with `groups` full diagonal blocks, at every site.
template <Index groups>
struct Blocks {
  static_assert(groups >= 1, "Blocks: at least one");
  template <class Scalar, Shape in>
  static constexpr DenseBlocks at() {
    return {groups};
  }
  static constexpr bool fits(Shape in) { return in.channels % groups == 0; }
};
/// A full W~.
using Full = Blocks<1>;

/// W~ a cross-correlation with a K x K kernel, block-diagonal over `groups` of channels; Arithmetic: Direct,
/// Winograd<2>, Winograd<4> (where K = 3), or Automatic.
template <Index K, Index groups = 1, class Arithmetic = Automatic>
struct Convolutional {
  static_assert(K >= 1 && K % 2 == 1, "Convolutional: the kernel must be odd");
  static_assert(groups >= 1, "Convolutional: at least one group");
  template <class Scalar, Shape in>
  static constexpr auto at() {
    using By = Resolved<Arithmetic, Scalar, K, 1, in.channels / groups>;
    return ConvolutionalBlocksBy<By>{in.height, in.width, K, groups};
  }
  static constexpr bool fits(Shape in) { return in.channels % groups == 0; }
};

template <class StructureRecipe, class Steps, class TapePolicy = StoreStates>
struct QMetricReLU;

/// The Q-metric ReLU of Algorithm 2, with free parameters: T updates of                                  (M5)
///
///   U_{t+1} = ReLU(h o z + W~ (U_t - z) - b),   U_0 = 0;   returns U_T
///
/// Shapes    z, u: channels x columns.  W~ as StructureRecipe says (Full, Blocks<g>, Convolutional<K>).  h,
///           b: channels x 1.
/// Requires  the constraints W~ in D0, h in [0, 1], b >= 0 are the optimiser's to keep (F3); the map is
///           defined without them. It is a prox only where `untie` says so (F2).
/// Adjoint   closed form (A1). TapePolicy: StoreStates keeps U_1 ... U_{T-1}, RecomputeStates computes them
///           again.
/// Cost      2 k^2 T flops a column (K^2 times that for a convolution) forward, about three times that with
///           the pullback.
/// Tested    tests/layer/layer_test.cpp
template <class StructureRecipe, int T, class TapePolicy>
struct QMetricReLU<StructureRecipe, Unroll<T>, TapePolicy> {
  static_assert(T >= 1, "QMetricReLU: at least one update");

  static constexpr Shape output(Shape in) { return in; }

  template <Shape in, Backend B>
  struct Layer {
    static_assert(StructureRecipe::fits(in), "QMetricReLU: the blocks of W~ must divide the channels");
    using Backend = B;
    static constexpr Shape input = in, output = in;
    static constexpr Index k = in.channels;
    static constexpr auto structure = StructureRecipe::template at<typename B::Scalar, in>();
    static constexpr Index multiply_adds =
        T * structure.weight_rows(k) * structure.weight_cols(k) * in.sites();
    static constexpr Index samples_at_once = (structure.batch(0).wanted + in.sites() - 1) / in.sites();

    struct Parameters {
      Matrix<B> W_tilde, h, b;
      template <class F, class Theta, class... Rest>
      static void visit(F&& f, Path const& path, Theta&& theta, Rest&&... rest) {
        f(path / "W_tilde", Role(Kind::W_tilde, structure.taps(), T), theta.W_tilde, rest.W_tilde...);
        f(path / "h", Kind::h, theta.h, rest.h...);
        f(path / "b", Kind::b, theta.b, rest.b...);
      }
    };

    struct Tape {
      ConstView<B> z{};
      Matrix<B> u, states;  ///< pullback writes z_bar over u
    };

    Parameters parameters(B& backend) const {
      structure.check("QMetricReLU", k);
      return {zeros(backend, structure.weight_rows(k), structure.weight_cols(k)), zeros(backend, k, 1),
              zeros(backend, k, 1)};
    }

    ConstView<B> forward(B& backend, Parameters const& theta, ConstView<B> z, Tape& tape, Draw) const {
      samples<Layer>("QMetricReLU", z);
      resize(backend, tape.u, k, z.cols());
      resize(backend, tape.states, k, TapePolicy::columns(T, z.cols()));
      tape.z = z;
      unrolled_prox(backend, structure, formula::NonnegativeShrinkage(), theta.W_tilde, theta.h, theta.b, z,
                    T, tape.u, tape.states);
      return tape.u;
    }

    void predict(B& backend, Parameters const& theta, ConstView<B> z, View<B> u) const {
      samples<Layer>("QMetricReLU", z, u);
      predict_in_chunks(backend, *this, theta, z, u);
    }

    auto inference(B& backend, Parameters const& theta) const {
      return prepare_unroll(backend, structure, formula::NonnegativeShrinkage(), theta.W_tilde, theta.h,
                            theta.b, k, T);
    }

    ConstView<B> pullback(B& backend, Parameters const& theta, Tape& tape, ConstView<B> u_bar,
                          Parameters& theta_bar) const {
      require_cotangent("QMetricReLU", tape.u, u_bar);
      unrolled_prox_pullback(backend, structure, formula::NonnegativeShrinkage(), theta.W_tilde, theta.h,
                             theta.b, tape.z, T, tape.u, tape.states, u_bar, tape.u, theta_bar.W_tilde,
                             theta_bar.h, theta_bar.b);
      return tape.u;
    }

    /// The states whose zeros are the kinks of this layer, for check_pullback.
    template <class F>
    static void visit_states(F&& f, Tape const& tape) {
      f(tape.u);
      f(tape.states);
    }
  };
};

}  // namespace detrame::inline DETRAME_ABI
