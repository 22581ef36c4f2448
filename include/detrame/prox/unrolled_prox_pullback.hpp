// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <utility>

#include "detrame/prox/unrolled_prox.hpp"

namespace detrame::inline DETRAME_ABI {

namespace formula {

/// The last P of the unrolled adjoint: p <- u_bar dA/dt, sigma <- p.
template <class Rule>
struct LastMask {
  Rule rule;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar& p, Scalar& sigma, Scalar u_bar, Scalar u, Scalar b) const {
    p = rule.times_slope(u_bar, u, b);
    sigma = p;
  }
};

/// The P before it, fused to v = (W~^T p_next)_i: p <- v dA/dt, sigma <- sigma + p.
template <class Rule>
struct EarlierMask {
  static constexpr bool on_packets = formula::on_packets<Rule>;
  Rule rule;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& p, Scalar& sigma, Scalar u, Scalar b) const {
    Scalar const masked = rule.times_slope(v, u, b);  // p may alias sigma for all the compiler knows
    p = masked;
    sigma += masked;
  }
};

/// Fused to v = (W~^T sigma)_i: z_bar <- h sigma - v.
struct InputCotangent {
  static constexpr bool on_packets = true;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& z_bar, Scalar sigma, Scalar h) const {
    z_bar = h * sigma - v;
  }
};

}  // namespace formula

namespace detail {

/// The way back through U_T, ..., U_1 of one chunk: Sigma = sum_t P_t is assigned, and use(t, P_t) called for
/// t = T - 1, ..., 0. K_T: W~^T, prepared. state(t) gives U_t.
template <Backend B, class Activation, Structure S, class Prepared, class States, class Use>
void pull_back_states(typename B::Lane& lane, S const& structure, Activation activation, Prepared const& K_T,
                      ConstView<B> b, Index T, ConstView<B> U, ConstView<B> U_bar, States const& state,
                      View<B> Sigma, Use const& use) {
  View<B> P = lane.scratch(U.rows(), U.cols()), earlier = lane.scratch(U.rows(), U.cols());  // k x n
  each(lane, formula::LastMask<Activation>{activation}, P, Sigma, U_bar, U, PerRow{b});
  use(T - 1, ConstView<B>(P));
  for (Index t = T - 1; t >= 1; --t) {
    structure.map(lane, K_T, ConstView<B>(P), formula::EarlierMask<Activation>{activation}, earlier, Sigma,
                  state(t), PerRow{b});
    std::swap(P, earlier);
    use(t - 1, ConstView<B>(P));
  }
}

/// The same, and sum_{t>=1} P_t U_t^T is added to W_bar, shaped as gradient.sum, the share of b to b_bar.
template <Backend B, class Activation, Structure S, class Prepared, class States>
void pull_back_states(typename B::Lane& lane, S const& structure, Activation activation, Prepared const& K_T,
                      ConstView<B> b, Index T, ConstView<B> U, ConstView<B> U_bar, States const& state,
                      View<B> Sigma, View<B> W_bar, View<B> b_bar) {
  pull_back_states<B>(lane, structure, activation, K_T, b, T, U, U_bar, state, Sigma,
                      [&](Index t, ConstView<B> P) {
                        if constexpr (!formula::one_sided<Activation>)
                          row_sums(lane, b_bar, formula::NegativeOfThreshold<Activation>{activation},
                                   t + 1 == T ? U : state(t + 1), P);
                        if (t >= 1) structure.add_gradient(lane, P, state(t), typename B::Scalar(1), W_bar);
                      });
  if constexpr (formula::one_sided<Activation>)
    row_sums(lane, b_bar, formula::Negative{}, ConstView<B>(Sigma));
}

/// Refuses what does not fit of the arguments that both adjoints below have.
template <Structure S, class ConstView>
void check_adjoint(char const* who, S const& structure, ConstView W_tilde, ConstView h, ConstView b,
                   ConstView Z, Index T, ConstView U, ConstView states, ConstView U_bar, ConstView Z_bar) {
  check_unrolled(who, structure, W_tilde, h, b, Z, T, U, states);
  require_shape_of(who, "U_bar", U_bar, "U", U);
  require_shape_of(who, "Z_bar", Z_bar, "Z", Z);
}

/// What they share: W~ prepared, transposed and, for states that are computed again, as it is.
template <Structure S, Backend B>
struct AdjointOfUnroll {
  using Prepared = decltype(std::declval<S const&>().prepare(std::declval<B&>(), ConstView<B>(), Op::none));
  S const& structure;
  ConstView<B> h, b, states;
  Index T, N;
  Prepared K_T;
  std::optional<Prepared> K{};

  AdjointOfUnroll(B& backend, S const& structure_, ConstView<B> W_tilde, ConstView<B> h_, ConstView<B> b_,
                  ConstView<B> Z, Index T_, ConstView<B> states_)
      : structure(structure_),
        h(h_),
        b(b_),
        states(states_),
        T(T_),
        N(Z.cols()),
        K_T(structure.prepare(backend, W_tilde, Op::transposed)) {
    if (states.cols() == 0 && T > 1) K.emplace(structure.prepare(backend, W_tilde, Op::none));
  }

  /// use(state) for a chunk, where state(t) is its U_t, t = 1, ..., T - 1.
  template <class Activation, class Use>
  void with_states(typename B::Lane& lane, Activation activation, ConstView<B> Z, Columns c,
                   Use const& use) const {
    if (!K) return use([&](Index t) { return columns(states, {(t - 1) * N + c.first, c.count}); });
    View<B> const again = lane.scratch(Z.rows(), (T - 1) * c.count);  // U_1 ... U_{T-1}
    auto const state = [&](Index t) { return again.middle_cols((t - 1) * c.count, c.count); };
    unroll_chunk(lane, structure, activation, *K, h, b, Z, T - 1, state);
    use([&](Index t) -> ConstView<B> { return state(t); });
  }

  void input_cotangent(typename B::Lane& lane, ConstView<B> Sigma, View<B> Z_bar) const {
    structure.map(lane, K_T, Sigma, formula::InputCotangent{}, Z_bar, Sigma, PerRow{h});
  }
};

}  // namespace detail

/// The gradients of <U_T, U_bar>, U_T from unrolled_prox, in closed form.                              (A1)
///
///   P_{T-1} = U_bar o dA_T,   P_{t-1} = (W~^T P_t) o dA_t,   Sigma = sum_t P_t
///   dA_t = 1 / (1 + b rho''(U_t)), 0 at a kink: 1[U_t != 0] of the shrinkages
///
///   Z_bar    = h o Sigma - W~^T Sigma          W_tilde_bar += sum_{t>=1} P_t U_t^T - Sigma Z^T
///   h_bar   += rowsum(Sigma o Z)               b_bar       -= sum_t rowsum(rho'(U_{t+1}) o P_t)
///
/// Shapes    as in unrolled_prox; a cotangent is shaped as its primal.
/// Requires  U (and states, where it has columns) as unrolled_prox left them for the same arguments; without
///           states U_1, ..., U_{T-1} are computed once more. Shapes are checked, else ShapeError. What is
///           written overlaps nothing else, but Z_bar may be U (which is lost then).
/// Ensures   (1) Z_bar is assigned, the other three are added to. T = 0: Z_bar = 0, nothing is added.
///           (2) the same bits for any number of threads, and with or without states.
///           (3) nothing is allocated after the first call of the same shapes.
///           (4) where a pre-activation lies on a kink, the derivative used is 0.
/// Cost      4 k^2 N T flops for a full W_tilde: T products with W~^T, T of gradients; without states
///           2 k^2 N (T - 1) more, and scratch for T - 1 states of a chunk.
/// Source    docs/maths.md (A1)
/// Tested    tests/prox/unrolled_pullback_test.cpp
template <class Activation, Structure S, Backend B>
void unrolled_prox_pullback(B& backend, S const& structure, Activation activation, ConstView<B> W_tilde,
                            ConstView<B> h, ConstView<B> b, ConstView<B> Z, Index T, ConstView<B> U,
                            ConstView<B> states, ConstView<B> U_bar, View<B> Z_bar, View<B> W_tilde_bar,
                            View<B> h_bar, View<B> b_bar) {
  using Scalar = typename B::Scalar;
  constexpr char const* who = "unrolled_prox_pullback";
  detail::check_adjoint<S, ConstView<B>>(who, structure, W_tilde, h, b, Z, T, U, states, U_bar, Z_bar);
  detail::require_shape_of(who, "W_tilde_bar", W_tilde_bar, "W_tilde", W_tilde);
  detail::require_shape_of(who, "h_bar", h_bar, "h", h);
  detail::require_shape_of(who, "b_bar", b_bar, "b", b);

  Index const k = Z.rows(), N = Z.cols();
  auto const frame = backend.lane().frame();
  detail::AdjointOfUnroll<S, B> const adjoint(backend, structure, W_tilde, h, b, Z, T, states);
  auto const gradient = structure.gradient(backend, W_tilde_bar);
  std::array<View<B>, 3> const sums{gradient.sum, h_bar, b_bar};
  sum_chunks(backend, batch_of(structure, k, N, 3 * T), detail::unrolled_working_set(k), sums,
             [&](typename B::Lane& lane, Columns c, std::array<View<B>, 3> const& sum) {
               if (T == 0) return each(lane, formula::Fill<Scalar>{Scalar(0)}, columns(Z_bar, c));
               ConstView<B> const Z_c = columns(Z, c);  // k x n, the columns of this chunk
               adjoint.with_states(lane, activation, Z_c, c, [&](auto const& state) {
                 View<B> const Sigma = lane.scratch(k, c.count);  // k x n
                 detail::pull_back_states<B>(lane, structure, activation, adjoint.K_T, b, T, columns(U, c),
                                             columns(U_bar, c), state, Sigma, sum[0], sum[2]);
                 structure.add_gradient(lane, ConstView<B>(Sigma), Z_c, Scalar(-1), sum[0]);
                 adjoint.input_cotangent(lane, Sigma, columns(Z_bar, c));
                 row_sums(lane, sum[1], formula::Product{}, ConstView<B>(Sigma), Z_c);
               });
             });
  structure.finish(backend, gradient, W_tilde_bar);
}

/// Z_bar of these alone, with no product of gradients. U and states are kept.
///
/// Requires  as above, but Z_bar is not U.
/// Cost      2 k^2 N T flops for a full W_tilde, and without states as much again.
template <class Activation, Structure S, Backend B>
void unrolled_prox_pullback(B& backend, S const& structure, Activation activation, ConstView<B> W_tilde,
                            ConstView<B> h, ConstView<B> b, ConstView<B> Z, Index T, ConstView<B> U,
                            ConstView<B> states, ConstView<B> U_bar, View<B> Z_bar) {
  using Scalar = typename B::Scalar;
  detail::check_adjoint<S, ConstView<B>>("unrolled_prox_pullback", structure, W_tilde, h, b, Z, T, U, states,
                                         U_bar, Z_bar);
  auto const frame = backend.lane().frame();
  detail::AdjointOfUnroll<S, B> const adjoint(backend, structure, W_tilde, h, b, Z, T, states);
  Index const k = Z.rows();
  each_chunk(backend, batch_of(structure, k, Z.cols(), 2 * T), detail::unrolled_working_set(k),
             [&](typename B::Lane& lane, Columns c) {
               if (T == 0) return each(lane, formula::Fill<Scalar>{Scalar(0)}, columns(Z_bar, c));
               adjoint.with_states(lane, activation, columns(Z, c), c, [&](auto const& state) {
                 View<B> const Sigma = lane.scratch(k, c.count);  // k x n
                 detail::pull_back_states<B>(lane, structure, activation, adjoint.K_T, b, T, columns(U, c),
                                             columns(U_bar, c), state, Sigma, [](Index, ConstView<B>) {});
                 adjoint.input_cotangent(lane, Sigma, columns(Z_bar, c));
               });
             });
}

}  // namespace detrame::inline DETRAME_ABI
