// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "detrame/prox/unrolled_prox.hpp"

namespace detrame::inline DETRAME_ABI {

namespace formula {

/// The tangent of G = h o z - W~ z, first part, fused to v = (W~ dz)_i: dg <- dh z + h dz - v.
struct InputTangent {
  static constexpr bool on_packets = true;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& dg, Scalar z, Scalar dz, Scalar h, Scalar dh) const {
    dg = dh * z + h * dz - v;
  }
};

/// Second part, fused to v = (dW~ z)_i: y <- y - v.
struct SubtractProduct {
  static constexpr bool on_packets = true;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& y) const {
    y -= v;
  }
};

/// The tangent of an update, fused to v = (dW~ u)_i, with w = (W~ du)_i:
/// du_next <- (v + w + dg - rho'(u_next) db) dA/dt.
template <class Rule>
struct UpdateTangent {
  static constexpr bool on_packets = formula::on_packets<Rule>;
  Rule rule;
  template <class Scalar>
  DETRAME_HOST_DEVICE void operator()(Scalar v, Scalar& du_next, Scalar w, Scalar dg, Scalar u_next, Scalar b,
                                      Scalar db) const {
    Scalar const of_b = rule.subgradient(u_next, Scalar{}, db, Scalar{});  // rho'(u_next) db
    du_next = rule.times_slope(v + w + dg - of_b, u_next, b);
  }
};

}  // namespace formula

/// The tangent of U_T, U_T from unrolled_prox, in the direction (dW~, dh, db, dZ).                      (A1)
///
///   dU_{t+1} = dA_{t+1} o (W~ dU_t + dW~ U_t + dG - rho'(U_{t+1}) o db),   dU_0 = 0,   dA as there
///   dG       = dh o Z + h o dZ - dW~ Z - W~ dZ
///
/// Shapes    a tangent is shaped as its primal. Shapes are checked, else ShapeError.
/// Ensures   (1) dU = dU_T, <U_bar, dU> = <unrolled_prox_pullback(U_bar), (dW~, dh, db, dZ)>; T = 0: dU = 0.
///           (2) where a pre-activation lies on a kink, the derivative used is 0.
/// Cost      6 k^2 N T flops for a full W_tilde; U_1, ..., U_T are computed on the way.
/// Tested    tests/prox/unrolled_pullback_test.cpp
template <class Activation, Structure S, Backend B>
void unrolled_prox_jvp(B& backend, S const& structure, Activation activation, ConstView<B> W_tilde,
                       ConstView<B> h, ConstView<B> b, ConstView<B> Z, Index T, ConstView<B> dW_tilde,
                       ConstView<B> dh, ConstView<B> db, ConstView<B> dZ, View<B> dU) {
  using Lane = typename B::Lane;
  using Scalar = typename B::Scalar;
  constexpr char const* who = "unrolled_prox_jvp";
  detail::check_unrolled<S, ConstView<B>>(who, structure, W_tilde, h, b, Z, T, Z, {});
  detail::require_shape_of(who, "dW_tilde", dW_tilde, "W_tilde", W_tilde);
  detail::require_shape_of(who, "dh", dh, "h", h);
  detail::require_shape_of(who, "db", db, "b", b);
  detail::require_shape_of(who, "dZ", dZ, "Z", Z);
  detail::require_shape_of(who, "dU", dU, "Z", Z);
  Index const k = Z.rows();
  auto const frame = backend.lane().frame();
  auto const K = structure.prepare(backend, W_tilde, Op::none),
             dK = structure.prepare(backend, dW_tilde, Op::none);
  each_chunk(
      backend, batch_of(structure, k, Z.cols(), 4 * T), detail::unrolled_working_set(k),
      [&](Lane& lane, Columns c) {
        ConstView<B> const Z_c = columns(Z, c), dZ_c = columns(dZ, c);  // k x n, the columns of this chunk
        View<B> const G = lane.scratch(k, c.count), dG = lane.scratch(k, c.count);  // k x n
        View<B> U = lane.scratch(k, c.count), U_next = lane.scratch(k, c.count);    // k x n
        View<B> V = lane.scratch(k, c.count), W_dU = lane.scratch(k, c.count);      // k x n, V = dU_t
        View<B> const dU_c = columns(dU, c);
        structure.map(lane, K, Z_c, formula::FirstUpdate<Activation>{activation}, G, U, Z_c, PerRow{h},
                      PerRow{b});
        structure.map(lane, K, dZ_c, formula::InputTangent{}, dG, Z_c, dZ_c, PerRow{h}, PerRow{dh});
        structure.map(lane, dK, Z_c, formula::SubtractProduct{}, dG);
        each(lane, formula::Fill<Scalar>{Scalar(0)}, U);
        each(lane, formula::Fill<Scalar>{Scalar(0)}, V);
        for (Index t = 0; t < T; ++t) {
          structure.map(lane, K, ConstView<B>(U), formula::NextUpdate<Activation>{activation}, U_next,
                        ConstView<B>(G), PerRow{b});
          structure.map(lane, K, ConstView<B>(V), formula::Store{}, W_dU);
          structure.map(lane, dK, ConstView<B>(U), formula::UpdateTangent<Activation>{activation}, V,
                        ConstView<B>(W_dU), ConstView<B>(dG), ConstView<B>(U_next), PerRow{b}, PerRow{db});
          std::swap(U, U_next);
        }
        each(lane, formula::Assign{}, dU_c, ConstView<B>(V));
      });
}

}  // namespace detrame::inline DETRAME_ABI
