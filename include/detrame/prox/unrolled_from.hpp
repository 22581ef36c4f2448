// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/prox/unrolled_prox_pullback.hpp"

namespace detrame::inline DETRAME_ABI {

/// T updates of the recursion where its constant part is given: that of a tied layer never needs a z.
///                                                                                                   (M5, M6)
///
///   U_{t+1} = A(G + W~ U_t, b),   U_0 = 0;   for tied parameters G = gamma S^{-1} (D^T x - d)
///
/// Shapes    as in unrolled_prox, G: k x N.  states: k x (T - 1) N.
/// Requires  T >= 1; sizes that agree (checked in debug builds: the layers that call it have checked theirs).
/// Ensures   those of unrolled_prox.
/// Adjoint   unrolled_from_pullback
/// Cost      2 k^2 N (T - 1) flops for a full W~.
/// Tested    tests/layer/layer_test.cpp (Dictionary)
template <class Activation, Structure S, Backend B>
void unrolled_from(B& backend, S const& structure, Activation activation, ConstView<B> W_tilde,
                   ConstView<B> b, ConstView<B> G, Index T, View<B> U, View<B> states) {
  Index const N = G.cols();
  DETRAME_ASSERT(T >= 1 && U.cols() == N && states.cols() == StoreStates::columns(T, N));
  auto const frame = backend.lane().frame();
  auto const K = structure.prepare(backend, W_tilde, Op::none);
  each_chunk(backend, batch_of(structure, G.rows(), N, T), detail::unrolled_working_set(G.rows()),
             [&](typename B::Lane& lane, Columns c) {
               auto const state = [&](Index t) -> View<B> {
                 return t < T ? columns(states, {(t - 1) * N + c.first, c.count}) : columns(U, c);
               };
               ConstView<B> const G_c = columns(G, c);  // k x n, the columns of this chunk
               each(lane, formula::Activate<Activation>{activation}, state(1), G_c, PerRow{b});
               detail::continue_unroll(lane, structure, activation, K, b, G_c, T, state);
             });
}

/// The gradients of <U_T, U_bar>, U_T from unrolled_from.                                             (A1)
///
///   G_bar = Sigma       W_tilde_bar += sum_{t>=1} P_t U_t^T       b_bar -= sum_t rowsum(sign(U_{t+1}) o P_t)
///
/// Requires  what is written overlaps nothing else, but G_bar may be U (which is lost then).
/// Ensures   G_bar is assigned, the other two are added to.
template <class Activation, Structure S, Backend B>
void unrolled_from_pullback(B& backend, S const& structure, Activation activation, ConstView<B> W_tilde,
                            ConstView<B> b, Index T, ConstView<B> U, ConstView<B> states, ConstView<B> U_bar,
                            View<B> G_bar, View<B> W_tilde_bar, View<B> b_bar) {
  static_assert(formula::one_sided<Activation>,
                "unrolled_from_pullback: rho'(U), which is not 1, is read after Sigma is written");
  Index const N = U.cols();
  auto const frame = backend.lane().frame();
  auto const K_T = structure.prepare(backend, W_tilde, Op::transposed);
  auto const gradient = structure.gradient(backend, W_tilde_bar);
  std::array<View<B>, 2> const sums{gradient.sum, b_bar};
  sum_chunks(backend, batch_of(structure, U.rows(), N, 2 * T), detail::unrolled_working_set(U.rows()), sums,
             [&](typename B::Lane& lane, Columns c, std::array<View<B>, 2> const& sum) {
               auto const state = [&](Index t) -> ConstView<B> {
                 return columns(states, {(t - 1) * N + c.first, c.count});
               };
               detail::pull_back_states<B>(lane, structure, activation, K_T, b, T, columns(U, c),
                                           columns(U_bar, c), state, columns(G_bar, c), sum[0], sum[1]);
             });
  structure.finish(backend, gradient, W_tilde_bar);
}

/// G_bar alone. U and states are kept: G_bar overlaps nothing else.
template <class Activation, Structure S, Backend B>
void unrolled_from_pullback(B& backend, S const& structure, Activation activation, ConstView<B> W_tilde,
                            ConstView<B> b, Index T, ConstView<B> U, ConstView<B> states, ConstView<B> U_bar,
                            View<B> G_bar) {
  Index const N = U.cols();
  auto const frame = backend.lane().frame();
  auto const K_T = structure.prepare(backend, W_tilde, Op::transposed);
  each_chunk(backend, batch_of(structure, U.rows(), N, T), detail::unrolled_working_set(U.rows()),
             [&](typename B::Lane& lane, Columns c) {
               auto const state = [&](Index t) -> ConstView<B> {
                 return columns(states, {(t - 1) * N + c.first, c.count});
               };
               detail::pull_back_states<B>(lane, structure, activation, K_T, b, T, columns(U, c),
                                           columns(U_bar, c), state, columns(G_bar, c),
                                           [](Index, ConstView<B>) {});
             });
}

}  // namespace detrame::inline DETRAME_ABI
