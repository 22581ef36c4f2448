// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/layer/dictionary.hpp"
#include "detrame/layer/samples.hpp"
#include "detrame/metric/gram_metric.hpp"
#include "detrame/metric/tie_pullback.hpp"
#include "detrame/prox/scheme.hpp"
#include "detrame/prox/stopping.hpp"
#include "detrame/prox/unrolled_from.hpp"

namespace detrame::inline DETRAME_ABI {

namespace formula {

/// The constant part of a tied recursion, fused to v = (D^T x)_i: g <- gamma (v - d) / (theta + gamma beta)
template <class Scalar>
struct TiedInput {
  Scalar gamma;
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& g, Scalar d, Scalar theta, Scalar beta) const {
    g = gamma * (v - d) / (theta + gamma * beta);
  }
};

/// Its adjoint, y_bar <- gamma g_bar / (theta + gamma beta), with y = D^T x - d
template <class Scalar>
struct TiedInputPullback {
  Scalar gamma;
  DETRAME_HOST_DEVICE void operator()(Scalar& y_bar, Scalar g_bar, Scalar theta, Scalar beta) const {
    y_bar = gamma * g_bar / (theta + gamma * beta);
  }
};

/// The share of s = theta + gamma beta in it: s_bar = -sum_j g_bar g / s, theta_bar += s_bar,
/// beta_bar += gamma s_bar
template <class Scalar>
struct TiedInputScale {
  Scalar gamma;
  DETRAME_HOST_DEVICE void operator()(Scalar& theta_bar, Scalar& beta_bar, Scalar g_bar_g, Scalar theta,
                                      Scalar beta) const {
    Scalar const s_bar = -g_bar_g / (theta + gamma * beta);
    theta_bar += s_bar;
    beta_bar += gamma * s_bar;
  }
};

}  // namespace formula

/// A dictionary layer runs T tied updates, with the step of eq. (24) (Jacobi) or of Gershgorin; gradients of
/// exactly that map, in closed form (A1).
template <class Scheme, class Steps>
struct Unrolled;

/// The layer of deep dictionary learning, unrolled with tied parameters: T updates towards M_D(x).      (M6)
///
///   G = gamma S^{-1} (D^T x - d),   U_{t+1} = ReLU(G + W~ U_t - b),   W~, S, b from `tie`
///
/// Shapes    x: channels x columns.  u: k x columns.
/// Requires  alpha > 0, beta >= 0, lambda >= 0: the constraints that Sgd keeps.
/// Ensures   the T-step map; how far it is from the prox is the certificate's to say (C2). No Q^{-1}, no z.
/// Adjoint   of the T-step map, through G, W~, b and the step's Theta to D, d, lambda, alpha, beta (A1).
/// Lending   u is not lent: pullback reads it as U_T. Cannot run in place: pullback reads x.
/// Cost      2 m k^2 flops a batch for Q, then 2 m k + 2 k^2 (T - 1) a column.
/// Tested    tests/layer/layer_test.cpp
template <Index k, class Scheme, int T>
struct Dictionary<k, Unrolled<Scheme, Unroll<T>>> {
  static_assert(k > 0, "Dictionary: the number of atoms must be positive");
  static_assert(T >= 1, "Dictionary: at least one update");
  static_assert(
      std::is_same_v<Scheme, Jacobi> || std::is_same_v<Scheme, Gershgorin>,
      "Dictionary: the recursion is Jacobi or Gershgorin; Gauss-Seidel and FISTA are differentiated "
      "implicitly only (Exact)");
  static constexpr Shape output(Shape in) { return {k, in.height, in.width}; }

  template <Shape in, Backend B>
  struct Layer {
    using Backend = B;
    using FromRecipe = Dictionary;
    using Scalar = typename B::Scalar;
    using Parameters = DictionaryParameters<B>;
    static constexpr Shape input = in, output = Dictionary::output(in);
    static constexpr Index multiply_adds = (k * in.channels + (T - 1) * k * k) * in.sites();
    static std::string name() { return message("Dictionary, T = ", T); }
    static constexpr DenseBlocks structure{1};
    static constexpr bool gershgorin = std::is_same_v<Scheme, Gershgorin>;

    struct Tape {
      ConstView<B> x{};
      Matrix<B> Q, Theta, lambda, beta;     // k x k, k x 1: what `tie` reads
      Matrix<B> W_tilde, h, b;              // k x k, k x 1: what it makes
      Matrix<B> G, u, states;               // k x N, k x N, k x (T - 1) N; pullback writes G_bar over u
      Matrix<B> W_tilde_bar, Q_bar, b_bar;  // k x k, k x 1
      Matrix<B> Theta_bar, lambda_bar, beta_bar;
      Matrix<B> x_bar;  // m x N
    };

    Parameters parameters(B& backend) const { return Parameters::zeros(backend, in.channels, k); }

    ConstView<B> forward(B& backend, Parameters const& theta, ConstView<B> x, Tape& tape, Draw) const {
      samples<Layer>("Dictionary", x);
      theta.check(in.channels, k);
      auto& lane = backend.lane();
      Scalar const alpha = max_to_host(lane, theta.alpha), beta = max_to_host(lane, theta.beta),
                   lambda = max_to_host(lane, theta.lambda);
      if (alpha <= 0) throw DomainError(message("Dictionary: alpha = ", alpha, ", must be > 0"));
      if (beta < 0) throw DomainError(message("Dictionary: beta = ", beta, ", must be >= 0"));
      if (lambda < 0) throw DomainError(message("Dictionary: lambda = ", lambda, ", must be >= 0"));
      for (Matrix<B>* const square : {&tape.Q, &tape.W_tilde}) resize(backend, *square, k, k);
      for (Matrix<B>* const column : {&tape.Theta, &tape.lambda, &tape.beta, &tape.h, &tape.b})
        resize(backend, *column, k, 1);
      for (Matrix<B>* const batch : {&tape.G, &tape.u}) resize(backend, *batch, k, x.cols());
      resize(backend, tape.states, k, StoreStates::columns(T, x.cols()));
      tape.x = x;

      gram(backend, theta.D, alpha, tape.Q);
      if constexpr (gershgorin) {
        each(lane, formula::Fill<Scalar>{0}, tape.Theta);
        row_sums(lane, tape.Theta, formula::Magnitude(), tape.Q);
      } else {
        diagonal(backend, structure, tape.Q, tape.Theta);
      }
      each(lane, formula::Fill<Scalar>{lambda}, tape.lambda);
      each(lane, formula::Fill<Scalar>{beta}, tape.beta);
      tie(backend, structure, tape.Q, tape.lambda, tape.beta, Scalar(1), tape.Theta, tape.W_tilde, tape.h,
          tape.b);

      ConstView<B> const D = theta.D, d = theta.d, Theta = tape.Theta, betas = tape.beta;
      View<B> const G = tape.G;
      each_chunk(backend, Batch{x.cols()}, in.channels + 2 * k, [&](auto& chunk_lane, Columns c) {
        View<B> const G_c = columns(G, c);  // k x n
        gemm(chunk_lane, 1, D, Op::transposed, columns(x, c), Op::none, 0, G_c);
        each(chunk_lane, formula::TiedInput<Scalar>{1}, ConstView<B>(G_c), G_c, PerRow{d}, PerRow{Theta},
             PerRow{betas});
      });
      unrolled_from(backend, structure, formula::NonnegativeShrinkage(), tape.W_tilde, tape.b, tape.G, T,
                    tape.u, tape.states);
      return tape.u;
    }

    void predict(B& backend, Parameters const& theta, ConstView<B> x, View<B> u) const {
      samples<Layer>("Dictionary", x, u);
      Tape tape;
      each(backend.lane(), formula::Assign(), u, forward(backend, theta, x, tape, Draw{}));
    }

    ConstView<B> pullback(B& backend, Parameters const& theta, Tape& tape, ConstView<B> u_bar,
                          Parameters& theta_bar) const {
      require_cotangent("Dictionary", tape.u, u_bar);
      theta_bar.check(in.channels, k, "_bar");
      auto& lane = backend.lane();
      for (Matrix<B>* const square : {&tape.W_tilde_bar, &tape.Q_bar}) resize(backend, *square, k, k);
      for (Matrix<B>* const column : {&tape.b_bar, &tape.Theta_bar, &tape.lambda_bar, &tape.beta_bar})
        resize(backend, *column, k, 1);
      resize(backend, tape.x_bar, in.channels, u_bar.cols());
      for (Matrix<B>* const sum : {&tape.W_tilde_bar, &tape.b_bar})
        each(lane, formula::Fill<Scalar>{0}, *sum);
      unrolled_from_pullback(backend, structure, formula::NonnegativeShrinkage(), tape.W_tilde, tape.b, T,
                             tape.u, tape.states, u_bar, tape.u, tape.W_tilde_bar, tape.b_bar);

      auto const frame = lane.frame();
      View<B> const h_bar = lane.scratch(k, 1), G_bar_G = lane.scratch(k, 1);  // k x 1
      for (View<B> const& sum : {h_bar, G_bar_G}) each(lane, formula::Fill<Scalar>{0}, sum);
      tie_pullback(backend, structure, tape.Q, tape.lambda, tape.beta, Scalar(1), tape.Theta,
                   tape.W_tilde_bar, h_bar, tape.b_bar, tape.Q_bar, tape.lambda_bar, tape.beta_bar,
                   tape.Theta_bar);
      View<B> const G_bar = tape.u;
      row_sums(lane, G_bar_G, formula::Product(), G_bar, tape.G);
      each(lane, formula::TiedInputScale<Scalar>{1}, tape.Theta_bar, tape.beta_bar, ConstView<B>(G_bar_G),
           tape.Theta, tape.beta);
      if constexpr (gershgorin)
        gershgorin_step_pullback(backend, structure, tape.Q, tape.Theta_bar, tape.Q_bar);
      else
        coordinate_step_pullback(backend, structure, tape.Theta_bar, tape.Q_bar);
      gram_pullback(backend, theta.D, tape.Q_bar, theta_bar.D);

      ConstView<B> const x = tape.x, D = theta.D, Theta = tape.Theta, betas = tape.beta;
      View<B> const x_bar = tape.x_bar;
      std::array<View<B>, 2> const sums{View<B>(theta_bar.D), View<B>(theta_bar.d)};
      sum_chunks(backend, Batch{u_bar.cols()}, in.channels + 2 * k, sums,
                 [&](auto& chunk_lane, Columns c, std::array<View<B>, 2> const& partial) {
                   View<B> const y_bar_c = columns(G_bar, c);  // k x n, of D^T x - d, over G_bar
                   each(chunk_lane, formula::TiedInputPullback<Scalar>{1}, y_bar_c, y_bar_c, PerRow{Theta},
                        PerRow{betas});
                   gemm(chunk_lane, 1, columns(x, c), Op::none, y_bar_c, Op::transposed, 1, partial[0]);
                   row_sums(chunk_lane, partial[1], formula::Negative(), y_bar_c);
                   gemm(chunk_lane, 1, D, Op::none, y_bar_c, Op::none, 0, columns(x_bar, c));
                 });
      diagonal(backend, structure, tape.Q_bar, h_bar);
      detail::add_total(backend, h_bar, theta_bar.alpha);
      detail::add_total(backend, tape.lambda_bar, theta_bar.lambda);
      detail::add_total(backend, tape.beta_bar, theta_bar.beta);
      return tape.x_bar;
    }

    void inference_pullback(B& backend, Parameters const& theta, Tape const& tape, ConstView<B> u_bar,
                            View<B> x_bar) const {
      require_cotangent("Dictionary", tape.u, u_bar);
      theta.check(in.channels, k);
      auto const frame = backend.lane().frame();
      View<B> const G_bar = backend.lane().scratch(k, u_bar.cols());  // k x N
      unrolled_from_pullback<formula::NonnegativeShrinkage>(backend, structure, {}, tape.W_tilde, tape.b, T,
                                                            tape.u, tape.states, u_bar, G_bar);
      ConstView<B> const D = theta.D, Theta = tape.Theta, betas = tape.beta;
      each_chunk(backend, Batch{u_bar.cols()}, in.channels + 2 * k, [&](auto& lane, Columns c) {
        View<B> const y_bar_c = columns(G_bar, c);  // k x n, of D^T x - d, over G_bar
        each(lane, formula::TiedInputPullback<Scalar>{1}, y_bar_c, y_bar_c, PerRow{Theta}, PerRow{betas});
        gemm(lane, 1, D, Op::none, ConstView<B>(y_bar_c), Op::none, 0, columns(x_bar, c));
      });
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
