// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/operator/concept.hpp"

namespace detrame::inline DETRAME_ABI {

/// The block-diagonal maps of R^k with full blocks of equal size; one group: all k x k matrices.       (M5)
///
///   W~ = diag(W_1, ..., W_groups),   W = [W_1 ... W_groups] side by side
///
/// Shapes    W: kg x k with kg = k / groups.  U, V, P, args: views of k x N, a column a site.
/// Requires  groups >= 1 divides k; `check` throws DomainError. The verbs check nothing.
/// Ensures   the laws of operator/concept.hpp; groups = n is n times the map of one group on its own rows.
/// Cost      map, add_gradient: 2 k kg N flops.
/// Tested    tests/operator/dense_blocks_test.cpp
struct DenseBlocks {
  Index groups = 1;

  constexpr Index weight_rows(Index k) const { return k / groups; }
  constexpr Index weight_cols(Index k) const { return k; }
  Index unit() const { return 1; }
  Index taps() const { return 1; }
  constexpr Batch batch(Index N) const { return {N}; }

  void check(char const* who, Index k) const {
    if (groups < 1) throw DomainError(message(who, ": groups = ", groups, ", must be >= 1"));
    if (k % groups != 0)
      throw DomainError(message(who, ": ", groups, " groups of equal size cannot be made of ", k, " rows"));
  }

  /// W~, or W~^T, ready for products.
  template <class Where, class Weights>
  auto prepare(Where& where, Weights const& W, Op op) const {
    return prepare_product(where, W, op, groups);
  }

  /// f(v_ij, args_ij...) for every entry of V = K U, K as prepared.
  template <class Lane, class Prepared, class Batch, class F, class... Args>
  void map(Lane& lane, Prepared const& K, Batch const& U, F const& f, Args const&... args) const {
    Index const kg = U.rows() / groups;
    for (Index g = 0; g < groups; ++g)
      product_each(lane, K.group(g), group_rows(U, g, kg), f, group_rows(args, g, kg)...);
  }

  /// The gradient of W~ is summed where it stands.
  template <Backend B>
  GradientInPlace<View<B>> gradient(B&, View<B> W_bar) const {
    return {W_bar};
  }
  /// W_bar_g += sign P_g U_g^T, the gradient of sign <W~ U, P>
  template <class Lane, class Cotangents, class Batch, class Scalar, class Weights>
  void add_gradient(Lane& lane, Cotangents const& P, Batch const& U, Scalar sign,
                    Weights const& W_bar) const {
    Index const kg = W_bar.rows();
    for (Index g = 0; g < groups; ++g)
      add_outer_product(lane, group_rows(P, g, kg), group_rows(U, g, kg), sign,
                        W_bar.middle_cols(g * kg, kg));
  }
  template <Backend B>
  void finish(B&, GradientInPlace<View<B>> const&, View<B>) const {}

  /// w_ii = 0: the projection on D0.
  template <class Lane, class Weights>
  void zero_diagonal(Lane& lane, Weights const& W) const {
    each_indexed(lane, formula::ZeroDiagonal{W.rows()}, W);
  }

  /// W~: k x k, on the host.
  template <Backend B>
  HostMatrix<typename B::Scalar> dense(B& backend, ConstView<B> W) const {
    HostMatrix<typename B::Scalar> const blocks = to_host(backend, W);  // kg x k
    Index const kg = blocks.rows();
    return host_matrix<typename B::Scalar>(blocks.cols(), blocks.cols(), [&](Index i, Index j) {
      return i / kg == j / kg ? blocks(i % kg, j) : typename B::Scalar(0);
    });
  }

  /// W of a k x k matrix: ShapeError where it is not square,
  /// DomainError where it has an entry off the blocks.
  template <class Scalar>
  HostMatrix<Scalar> from_dense(HostMatrix<Scalar> const& W_tilde) const {
    Index const k = W_tilde.rows();
    if (W_tilde.cols() != k)
      throw ShapeError(message("DenseBlocks: W_tilde is ", k, " x ", W_tilde.cols(), ", must be square"));
    check("DenseBlocks", k);
    Index const kg = weight_rows(k);
    for (Index j = 0; j < k; ++j)
      for (Index i = 0; i < k; ++i)
        if (i / kg != j / kg && W_tilde(i, j) != Scalar(0))
          throw DomainError(message("DenseBlocks: W_tilde(", i, ", ", j, ") = ", W_tilde(i, j),
                                    " is off the ", groups, " diagonal blocks"));
    return host_matrix<Scalar>(kg, k, [&](Index i, Index j) { return W_tilde(j / kg * kg + i, j); });
  }

  friend bool operator==(DenseBlocks const&, DenseBlocks const&) = default;
};

static_assert(Structure<DenseBlocks>);

}  // namespace detrame::inline DETRAME_ABI
