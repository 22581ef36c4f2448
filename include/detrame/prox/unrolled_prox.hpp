// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/concept.hpp"
#include "detrame/core/errors.hpp"
#include "detrame/core/sizes.hpp"
#include "detrame/metric/misuse.hpp"
#include "detrame/operator/concept.hpp"

namespace detrame::inline DETRAME_ABI {

namespace formula {

/// The first update from U_0 = 0, fused to v = (W~ z)_i: g <- h z - v, u <- A(g, b).
template <class Rule>
struct FirstUpdate {
  static constexpr bool on_packets = formula::on_packets<Rule>;
  Rule rule;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& g, Scalar& u, Scalar z, Scalar h, Scalar b) const {
    g = h * z - v;
    u = rule(g, b);
  }
};

/// Every further update, fused to v = (W~ u)_i: u_next <- A(v + g, b).
template <class Rule>
struct NextUpdate {
  static constexpr bool on_packets = formula::on_packets<Rule>;
  Rule rule;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& u_next, Scalar g, Scalar b) const {
    u_next = rule(v + g, b);
  }
};

}  // namespace formula

/// What a forward pass keeps for its pullback besides Z and U_T: all of U_1, ..., U_{T-1}, or nothing.
/// ShapeError where they have more columns than an Index counts.
struct StoreStates {
  static constexpr Index columns(Index T, Index N) {
    auto const count = product_of_sizes({T > 1 ? T - 1 : 0, N});
    if (!count)
      throw ShapeError(message("StoreStates: ", T - 1, " states of ", N,
                               " columns, must be sizes >= 0 whose product can be counted"));
    return *count;
  }
};
struct RecomputeStates {
  static constexpr Index columns(Index, Index) { return 0; }
};

namespace detail {

/// What the unroll and its pullback keep in use for one column; the same for both, so that states which the
/// pullback recomputes fall in the same chunks and come out with the same bits.
inline Index unrolled_working_set(Index k) { return 6 * k; }

/// Refuses a v that is not shaped as its model.
template <class V, class Model>
void require_shape_of(char const* who, char const* name, V const& v, char const* model_name,
                      Model const& model) {
  if (v.rows() != model.rows() || v.cols() != model.cols())
    throw ShapeError(message(who, ": ", name, " is ", v.rows(), " x ", v.cols(), ", ", model_name, " is ",
                             model.rows(), " x ", model.cols()));
}

/// Refuses parameters that do not fit; the T of a caller who counts backwards too.
template <Structure S, class ConstView>
void check_recursion(char const* who, S const& structure, ConstView W_tilde, ConstView h, ConstView b,
                     Index k, Index T) {
  structure.check(who, k);
  if (T < 0) throw DomainError(message(who, ": T = ", T, ", must be >= 0"));
  require_shape(who, "W_tilde", W_tilde, structure.weight_rows(k), structure.weight_cols(k));
  require_shape(who, "h", h, k, 1);
  require_shape(who, "b", b, k, 1);
}

/// Refuses parameters and shapes that do not fit.
template <Structure S, class ConstView>
void check_unrolled(char const* who, S const& structure, ConstView W_tilde, ConstView h, ConstView b,
                    ConstView Z, Index T, ConstView U, ConstView states) {
  Index const k = Z.rows(), N = Z.cols();
  check_recursion(who, structure, W_tilde, h, b, k, T);
  require_shape(who, "U", U, k, N);
  if (N % structure.unit() != 0)
    throw ShapeError(message(who, ": Z has ", N, " columns, must be a multiple of ", structure.unit()));
  if (states.cols() > 0) require_shape(who, "states", states, k, StoreStates::columns(T, N));
}

/// U_2, ..., U_T of one chunk from its U_1 and G: U_{t+1} goes to U(t + 1). K: W~, prepared.
template <class Activation, Structure S, class Lane, class Prepared, class ConstView, class States>
void continue_unroll(Lane& lane, S const& structure, Activation activation, Prepared const& K, ConstView b,
                     ConstView G, Index T, States const& U) {
  for (Index t = 1; t < T; ++t)
    structure.map(lane, K, ConstView(U(t)), formula::NextUpdate<Activation>{activation}, U(t + 1), G,
                  PerRow{b});
}

/// The recursion on the columns of one chunk: U_{t+1} goes to U(t + 1), for t = 0, ..., T - 1.
template <class Activation, Structure S, class Lane, class Prepared, class ConstView, class States>
void unroll_chunk(Lane& lane, S const& structure, Activation activation, Prepared const& K, ConstView h,
                  ConstView b, ConstView Z, Index T, States const& U) {
  if (T == 0) return;
  auto const G = lane.scratch(Z.rows(), Z.cols());  // k x n
  structure.map(lane, K, Z, formula::FirstUpdate<Activation>{activation}, G, U(1), Z, PerRow{h}, PerRow{b});
  continue_unroll(lane, structure, activation, K, b, ConstView(G), T, U);
}

/// U = U_T of one chunk, T >= 1; the earlier updates are not kept.
template <class Activation, Structure S, class Lane, class Prepared, class ConstView, class View>
void unroll_to(Lane& lane, S const& structure, Activation activation, Prepared const& K, ConstView h,
               ConstView b, ConstView Z, Index T, View const& U) {
  View const other = lane.scratch(Z.rows(), Z.cols());  // k x n, so that no product is in place
  unroll_chunk(lane, structure, activation, K, h, b, Z, T,
               [&](Index t) { return (T - t) % 2 == 0 ? U : other; });
}

}  // namespace detail

/// T updates of the recursion of eq. (20), from U_0 = 0.                                               (M5)
///
///   U_{t+1} = A(G + W~ U_t, b),   G = h o Z - W~ Z,   A the rule of a penalty: relu(g - b), ...
///
/// Shapes    W_tilde: as `structure` says, for k rows.  h, b: k x 1.  Z, U: k x N, a column a site.
///           states: k x (T - 1) N, or no columns; U_t stands in the columns [(t - 1) N, t N).
/// Requires  all shapes, else ShapeError; T >= 0, else DomainError. U and states overlap nothing else.
/// Ensures   (1) U = U_T, and states = U_1, ..., U_{T-1} where it has columns; T = 0 gives U = 0.
///           (2) the same bits for any number of threads, and with or without states.
///           (3) nothing is allocated after the first call of the same shapes.
/// Adjoint   unrolled_prox_pullback (A1); tangent unrolled_prox_jvp.
/// Cost      2 k^2 N T flops for a full k x k W_tilde: T products in all, since G is formed once. All T
///           updates of a chunk of columns follow one another while the chunk is in cache.
/// Memory    of a lane: 2 k n scalars for the n columns of a chunk, and what the structure's maps take; once
///           for all lanes the prepared weights.
/// Source    docs/maths.md (M5). That U_T is a prox is another claim, with its own certificate.
/// Tested    tests/prox/unrolled_test.cpp
template <class Activation, Structure S, Backend B>
void unrolled_prox(B& backend, S const& structure, Activation activation, ConstView<B> W_tilde,
                   ConstView<B> h, ConstView<B> b, ConstView<B> Z, Index T, View<B> U, View<B> states = {}) {
  using Lane = typename B::Lane;
  using Scalar = typename B::Scalar;
  detail::check_unrolled<S, ConstView<B>>("unrolled_prox", structure, W_tilde, h, b, Z, T, U, states);
  Index const k = Z.rows(), N = Z.cols();
  auto const frame = backend.lane().frame();
  auto const K = structure.prepare(backend, W_tilde, Op::none);
  each_chunk(backend, batch_of(structure, k, N, T), detail::unrolled_working_set(k),
             [&](Lane& lane, Columns c) {
               View<B> const U_T = columns(U, c);  // k x n, the columns of this chunk
               if (T == 0)
                 each(lane, formula::Fill<Scalar>{Scalar(0)}, U_T);
               else if (states.cols() == 0)
                 detail::unroll_to(lane, structure, activation, K, h, b, columns(Z, c), T, U_T);
               else
                 detail::unroll_chunk(
                     lane, structure, activation, K, h, b, columns(Z, c), T, [&](Index t) -> View<B> {
                       return t < T ? columns(states, {(t - 1) * N + c.first, c.count}) : U_T;
                     });
             });
}

/// The same map, for T >= 1, as a function of a lane: map(lane, Z, U). It is prepared for many calls and
/// lives until the innermost frame of backend.lane() closes.
template <class Activation, Structure S, Backend B>
auto prepare_unroll(B& backend, S const& structure, Activation activation, ConstView<B> W_tilde,
                    ConstView<B> h, ConstView<B> b, Index k, Index T) {
  detail::check_recursion("prepare_unroll", structure, W_tilde, h, b, k, T);
  return [=, K = structure.prepare(backend, W_tilde, Op::none)](auto& lane, ConstView<B> Z, View<B> U) {
    each_chunk(lane, structure.batch(Z.cols()), detail::unrolled_working_set(k), [&](auto&, Columns c) {
      detail::unroll_to(lane, structure, activation, K, h, b, columns(Z, c), T, columns(U, c));
    });
  };
}

template <detail::NoBackend B, class... Rest>
auto unrolled_prox(B const&, Rest const&...) {
  return detail::explain<B>();
}

}  // namespace detrame::inline DETRAME_ABI
