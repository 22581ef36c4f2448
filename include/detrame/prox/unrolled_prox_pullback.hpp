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

/// The way back through U_T, ..., U_1 of one chunk: Sigma = sum_t P_t is assigned, sum_{t>=1} P_t U_t^T is
/// added to W_bar, shaped as gradient.sum, the share of b to b_bar. K_T: W~^T, prepared.
/// state(t) gives U_t.
template <Backend B, class Activation, Structure S, class Prepared, class States>
void pull_back_states(typename B::Lane& lane, S const& structure, Activation activation, Prepared const& K_T,
                      ConstView<B> b, Index T, ConstView<B> U, ConstView<B> U_bar, States const& state,
                      View<B> Sigma, View<B> W_bar, View<B> b_bar) {
  using Scalar = typename B::Scalar;
  auto const add_b_bar = [&](ConstView<B> U_next, ConstView<B> P) {
    if constexpr (!formula::one_sided<Activation>)
      row_sums(lane, b_bar, formula::NegativeOfThreshold<Activation>{activation}, U_next, P);
  };
  View<B> P = lane.scratch(U.rows(), U.cols()), earlier = lane.scratch(U.rows(), U.cols());  // k x n
  each(lane, formula::LastMask<Activation>{activation}, P, Sigma, U_bar, U, PerRow{b});
  add_b_bar(U, P);
  for (Index t = T - 1; t >= 1; --t) {
    structure.add_gradient(lane, ConstView<B>(P), state(t), Scalar(1), W_bar);
    structure.map(lane, K_T, ConstView<B>(P), formula::EarlierMask<Activation>{activation}, earlier, Sigma,
                  state(t), PerRow{b});
    std::swap(P, earlier);
    add_b_bar(state(t), P);
  }
  if constexpr (formula::one_sided<Activation>)
    row_sums(lane, b_bar, formula::Negative{}, ConstView<B>(Sigma));
}

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
  using Lane = typename B::Lane;
  using Scalar = typename B::Scalar;
  constexpr char const* who = "unrolled_prox_pullback";
  detail::check_unrolled<S, ConstView<B>>(who, structure, W_tilde, h, b, Z, T, U, states);
  detail::require_shape_of(who, "U_bar", U_bar, "U", U);
  detail::require_shape_of(who, "Z_bar", Z_bar, "Z", Z);
  detail::require_shape_of(who, "W_tilde_bar", W_tilde_bar, "W_tilde", W_tilde);
  detail::require_shape_of(who, "h_bar", h_bar, "h", h);
  detail::require_shape_of(who, "b_bar", b_bar, "b", b);

  Index const k = Z.rows(), N = Z.cols();
  bool const stored = states.cols() > 0;
  auto const frame = backend.lane().frame();
  auto const K_T = structure.prepare(backend, W_tilde, Op::transposed);
  std::optional<decltype(structure.prepare(backend, W_tilde, Op::none))>
      K;  // for states that are computed again
  if (!stored && T > 1) K.emplace(structure.prepare(backend, W_tilde, Op::none));
  auto const gradient = structure.gradient(backend, W_tilde_bar);
  std::array<View<B>, 3> const sums{gradient.sum, h_bar, b_bar};
  sum_chunks(
      backend, batch_of(structure, k, N, 3 * T), detail::unrolled_working_set(k), sums,
      [&](Lane& lane, Columns c, std::array<View<B>, 3> const& sum) {
        ConstView<B> const Z_c = columns(Z, c), U_c = columns(U, c);  // k x n, the columns of this chunk
        if (T == 0) return each(lane, formula::Fill<Scalar>{Scalar(0)}, columns(Z_bar, c));

        View<B> const recomputed =
            stored || T == 1 ? View<B>{} : lane.scratch(k, (T - 1) * c.count);  // U_1 ... U_{T-1}
        if (!stored && T > 1)
          detail::unroll_chunk(lane, structure, activation, *K, h, b, Z_c, T - 1, [&](Index t) -> View<B> {
            return recomputed.middle_cols((t - 1) * c.count, c.count);
          });
        auto const state = [&](Index t) -> ConstView<B> {
          return stored ? columns(states, {(t - 1) * N + c.first, c.count})
                        : ConstView<B>(recomputed.middle_cols((t - 1) * c.count, c.count));
        };
        View<B> const Sigma = lane.scratch(k, c.count);  // k x n
        detail::pull_back_states<B>(lane, structure, activation, K_T, b, T, U_c, columns(U_bar, c), state,
                                    Sigma, sum[0], sum[2]);
        structure.add_gradient(lane, ConstView<B>(Sigma), Z_c, Scalar(-1), sum[0]);
        structure.map(lane, K_T, ConstView<B>(Sigma), formula::InputCotangent{}, columns(Z_bar, c),
                      ConstView<B>(Sigma), PerRow{h});
        row_sums(lane, sum[1], formula::Product{}, ConstView<B>(Sigma), Z_c);
      });
  structure.finish(backend, gradient, W_tilde_bar);
}

}  // namespace detrame::inline DETRAME_ABI
