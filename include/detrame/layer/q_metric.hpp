// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <concepts>
#include <limits>

#include "detrame/layer/concept.hpp"
#include "detrame/layer/inference.hpp"
#include "detrame/layer/samples.hpp"
#include "detrame/layer/start.hpp"
#include "detrame/operator/convolutional_blocks.hpp"
#include "detrame/operator/dense_blocks.hpp"
#include "detrame/prox/stopping.hpp"
#include "detrame/prox/unrolled_prox.hpp"
#include "detrame/prox/unrolled_prox_pullback.hpp"

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
  static std::string name() { return groups == 1 ? "full" : message(groups, " blocks"); }
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
  static std::string name() {
    return message(K, " x ", K, groups == 1 ? "" : message(" in ", groups, " groups"));
  }
};

/// What a layer says of the diagonal of its W~, where a convolution's is that of the middle tap: it is in D0,
/// zero in training and at the start, or free, as other steps than eq. (24) want it (`gershgorin_step`).
struct InD0 {
  static constexpr bool is_free = false;
};
struct FreeDiagonal {
  static constexpr bool is_free = true;
};

/// W~, in D0 unless its diagonal is free. It starts at 0, under RandomStart normal of deviation
/// spread / sqrt(inputs).                                                                                (F3)
struct RecurrentWeight : Role {
  constexpr RecurrentWeight(Index taps_, int T, bool free_diagonal_)
      : Role{.name = "W_tilde",
             .stream = 2,
             .taps = taps_,
             .free_diagonal = free_diagonal_,
             .updates = T,
             .weight = true} {}

  template <class Scalar, class Policy>
  void start(HostMatrix<Scalar>& p, Random const& random, Policy const& policy) const {
    if constexpr (std::derived_from<Policy, RandomStart>)
      fill_normal(p, random, policy.spread / std::sqrt(static_cast<double>(p.rows() * taps)));
  }
};

/// The rule of a Q-metric layer, as a type.
struct Nonnegative {
  static std::string name() { return "ReLU"; }
  template <class Scalar>
  static constexpr formula::NonnegativeShrinkage at() {
    return {};
  }
};
struct Signed {
  static std::string name() { return "soft threshold"; }
  template <class Scalar>
  static constexpr formula::SoftShrinkage at() {
    return {};
  }
};

/// Bounds as a template argument.
struct Bounds {
  double low, high;
};
/// u within bounds, Clipped<Bounds{-1, 1}> a hard tanh; b counts nothing.
template <Bounds bounds>
struct Clipped {
  static_assert(bounds.low <= bounds.high, "Clipped: the bounds must be an interval");
  template <class Scalar>
  static constexpr formula::Clamp<Scalar> at() {
    return {static_cast<Scalar>(bounds.low), static_cast<Scalar>(bounds.high)};
  }
  static std::string name() { return message("clip to [", bounds.low, ", ", bounds.high, "]"); }
};

/// Where Huber's penalty turns from a square to a line, as a template argument.
struct Delta {
  double value;
};
/// Huber's: u = t delta / (delta + b) where that is within delta, else t - b sign(t).
template <Delta delta>
struct Smooth {
  template <class Scalar>
  static constexpr formula::HuberShrinkage<Scalar> at() {
    using Limits = std::numeric_limits<Scalar>;
    static_assert(delta.value >= Limits::min() && delta.value <= Limits::max(),
                  "Smooth: delta must be > 0, finite and normal in the scalar of the backend");
    return {static_cast<Scalar>(delta.value)};
  }
  static std::string name() { return message("Huber ", delta.value); }
};

template <class Activation, class StructureRecipe, class Steps, class TapePolicy = StoreStates,
          class DiagonalPolicy = InD0>
struct QMetric;

/// The Q-metric ReLU of Algorithm 2, its signed sibling, and what else a rule makes of it, with free
/// parameters: T updates of                                                                        (M5) (M9)
///
///   U_{t+1} = A(h o z + W~ (U_t - z), b),   U_0 = 0;   returns U_T
///
/// By its names QMetricReLU, A(t, b) = ReLU(t - b), and QMetricSoftThreshold, A(t, b) = sign(t) (|t| - b)_+.
///
/// Shapes    z, u: channels x columns.  Activation: Nonnegative, Signed, Clipped<Bounds>, Smooth<Delta>, or
///           any type with an at<Scalar>() that gives a rule.  W~ as StructureRecipe says (Full, Blocks<g>,
///           Convolutional<K>).  h, b: channels x 1.
/// Requires  the constraints h in [0, 1], b >= 0 and, unless DiagonalPolicy is FreeDiagonal, W~ in D0 are the
///           optimiser's to keep (F3); the map is defined without them, but of Signed and Smooth it is
///           nobody's where b < 0. It is a prox only where `untie` says so (F2).
/// Adjoint   closed form (A1). TapePolicy: StoreStates keeps U_1 ... U_{T-1}, RecomputeStates computes them
///           again.
/// Lending   u is not lent: pullback reads it as U_T. Cannot run in place: pullback reads z.
/// Cost      2 k^2 T flops a column (K^2 times that for a convolution) forward, about three times that with
///           the pullback.
/// Tested    tests/layer/q_metric_test.cpp
template <class Activation, class StructureRecipe, int T, class TapePolicy, class DiagonalPolicy>
struct QMetric<Activation, StructureRecipe, Unroll<T>, TapePolicy, DiagonalPolicy> {
  static_assert(T >= 1, "QMetric: at least one update");

  static constexpr Shape output(Shape in) { return in; }

  template <Shape in, Backend B>
  struct Layer {
    static_assert(StructureRecipe::fits(in), "QMetric: the blocks of W~ must divide the channels");
    using Backend = B;
    using FromRecipe = QMetric;
    static constexpr Shape input = in, output = in;
    static constexpr Index k = in.channels;
    static constexpr auto structure = StructureRecipe::template at<typename B::Scalar, in>();
    static constexpr auto activation = Activation::template at<typename B::Scalar>();
    static constexpr Index multiply_adds =
        T * structure.weight_rows(k) * structure.weight_cols(k) * in.sites();
    static constexpr Index samples_at_once = (structure.batch(0).wanted + in.sites() - 1) / in.sites();
    static std::string name() {
      return message("Q-metric ", name_of<Activation>(), ", ", name_of<StructureRecipe>(),
                     DiagonalPolicy::is_free ? " with a free diagonal, T = " : ", T = ", T);
    }

    struct Parameters {
      Matrix<B> W_tilde, h, b;
      template <class F, class Theta, class... Rest>
      static void visit(F&& f, Path const& path, Theta&& theta, Rest&&... rest) {
        f(path / "W_tilde", RecurrentWeight(structure.taps(), T, DiagonalPolicy::is_free), theta.W_tilde,
          rest.W_tilde...);
        f(path / "h", Role{.name = "h", .stream = 3, .initial = 1, .low = 0, .high = 1}, theta.h, rest.h...);
        f(path / "b", Role{.name = "b", .stream = 4, .low = 0}, theta.b, rest.b...);
      }
    };

    struct Tape {
      ConstView<B> z{};
      Matrix<B> u, states;  ///< pullback writes z_bar over u
    };

    Parameters parameters(B& backend) const {
      structure.check("QMetric", k);
      return {zeros(backend, structure.weight_rows(k), structure.weight_cols(k)), zeros(backend, k, 1),
              zeros(backend, k, 1)};
    }

    ConstView<B> forward(B& backend, Parameters const& theta, ConstView<B> z, Tape& tape, Draw) const {
      samples<Layer>("QMetric", z);
      resize(backend, tape.u, k, z.cols());
      resize(backend, tape.states, k, TapePolicy::columns(T, z.cols()));
      tape.z = z;
      unroll(backend, theta, z, tape.u, tape.states);
      return tape.u;
    }

    void predict(B& backend, Parameters const& theta, ConstView<B> z, View<B> u) const {
      samples<Layer>("QMetric", z, u);
      predict_in_chunks(backend, *this, theta, z, u);
    }

    auto inference(B& backend, Parameters const& theta) const {
      return prepare_unroll(backend, structure, activation, theta.W_tilde, theta.h, theta.b, k, T);
    }

    ConstView<B> pullback(B& backend, Parameters const& theta, Tape& tape, ConstView<B> u_bar,
                          Parameters& theta_bar) const {
      require_cotangent("QMetric", tape.u, u_bar);
      pull_back(backend, theta, tape.z, tape.u, tape.states, u_bar, theta_bar);
      return tape.u;
    }

    void inference_pullback(B& backend, Parameters const& theta, Tape const& tape, ConstView<B> u_bar,
                            View<B> z_bar) const {
      require_cotangent("QMetric", tape.u, u_bar);
      pull_back(backend, theta, tape.z, tape.u, tape.states, u_bar, z_bar);
    }

    /// forward and pullback on views: of some rows of a layer that holds several of these. z_bar stands over
    /// u.
    static void unroll(B& backend, Parameters const& theta, ConstView<B> z, View<B> u, View<B> states) {
      unrolled_prox(backend, structure, activation, theta.W_tilde, theta.h, theta.b, z, T, u, states);
    }
    static void pull_back(B& backend, Parameters const& theta, ConstView<B> z, View<B> u, ConstView<B> states,
                          ConstView<B> u_bar, Parameters& theta_bar) {
      unrolled_prox_pullback(backend, structure, activation, theta.W_tilde, theta.h, theta.b, z, T, u, states,
                             u_bar, u, theta_bar.W_tilde, theta_bar.h, theta_bar.b);
    }

    static void pull_back(B& backend, Parameters const& theta, ConstView<B> z, ConstView<B> u,
                          ConstView<B> states, ConstView<B> u_bar, View<B> z_bar) {
      unrolled_prox_pullback(backend, structure, activation, theta.W_tilde, theta.h, theta.b, z, T, u, states,
                             u_bar, z_bar);
    }

    /// The states whose kinks are those of this layer, for check_pullback.
    template <class F>
    static void visit_states(F&& f, Tape const& tape) {
      f(tape.u, activation);
      f(tape.states, activation);
    }
  };
};

template <class StructureRecipe, class Steps, class TapePolicy = StoreStates, class DiagonalPolicy = InD0>
using QMetricReLU = QMetric<Nonnegative, StructureRecipe, Steps, TapePolicy, DiagonalPolicy>;
template <class StructureRecipe, class Steps, class TapePolicy = StoreStates, class DiagonalPolicy = InD0>
using QMetricSoftThreshold = QMetric<Signed, StructureRecipe, Steps, TapePolicy, DiagonalPolicy>;

}  // namespace detrame::inline DETRAME_ABI
