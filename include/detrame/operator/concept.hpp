// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>

#include "detrame/backend/concept.hpp"

namespace detrame::inline DETRAME_ABI {

/// A structure says which linear maps of R^k (at every site) a set of weights W stands for. It is a cheap
/// value that holds choices (how many groups, how wide a kernel) and no weights; W~ below is the matrix that
/// it makes of W: k x k, or of all k channels and all sites of a sample where it mixes sites.
///
///   weight_rows(k), weight_cols(k)      the shape of W
///   check(who, k)                       throws DomainError where there is no such map of k rows
///   unit()                              the sites of a sample: how many neighbouring columns W~ mixes
///   taps()                              how many matrices of weight_rows rows a block of W has (1: W~ is
///                                       that block)
///   map(lane, W, U, f, args...)         f(v_ij, args_ij...) for every entry of V = W~ U
///   map_adjoint(lane, W, P, f, args...) the same for V = W~^T P
///   apply, apply_adjoint(lane, W, U, V) V = W~ U, V = W~^T U
///   add_gradient(lane, P, U, s, W_bar)  W_bar += s d<W~ U, P> / dW
///   batch(N)                            N columns, and how they are best cut into chunks
///   prepare(b, W, op)                   W~ or W~^T, prepared for many products: what `map` takes in place of
///                                       W. It lives until the innermost frame of b.lane() closes
///   gradient(b, W_bar)                  G, the form in which a gradient is summed: add_gradient(lane, G, P,
///                                       U, s, part) adds to a matrix shaped as G.sum, and finish(b, G,
///                                       W_bar) adds the sum to W_bar, unless it is W_bar
///   zero_diagonal(lane, W)              the projection of W~ on D0, the maps with a zero diagonal
///   dense(b, W), from_dense(W~)         W~ itself on the k unit() entries of a sample, on the host, and back
///
/// `map` and `map_adjoint` are where a kernel that fuses the product with what follows it is put in; their
/// args are views of k rows, PerRow or PerColumn, and what f writes is not read by the product.
///
/// Laws (tests/laws/operator_laws.hpp): apply is linear; <W~ U, P> = <U, W~^T P>; add_gradient is the
/// derivative of <W~ U, P>; map is apply, then f, with prepared weights up to rounding; apply agrees with
/// dense; from_dense inverts dense; zero_diagonal is idempotent, touches the diagonal alone and leaves none.
namespace has {

template <class S>
concept weight_shape = requires(S const& s) {
  { s.weight_rows(Index{}) } -> std::same_as<Index>;
  { s.weight_cols(Index{}) } -> std::same_as<Index>;
  { s.unit() } -> std::same_as<Index>;
  { s.taps() } -> std::same_as<Index>;
  s.check("", Index{});
};

template <class S, class B>
concept map = requires(S const& s, typename B::Lane& lane, ConstView<B> x, View<B> y) {
  s.map(lane, x, x, formula::Store{}, y);
  s.map_adjoint(lane, x, x, formula::Store{}, y);
  s.apply(lane, x, x, y);
  s.apply_adjoint(lane, x, x, y);
};

template <class S, class B>
concept gradient = requires(S const& s, typename B::Lane& lane, ConstView<B> x, View<B> y,
                            typename B::Scalar sign) { s.add_gradient(lane, x, x, sign, y); };

template <class S, class B>
concept prepare = requires(S const& s, B& b, typename B::Lane& lane, ConstView<B> x, View<B> y) {
  { s.batch(Index{}) } -> std::same_as<Batch>;
  s.map(lane, s.prepare(b, x, Op::none), x, formula::Store{}, y);
  s.add_gradient(lane, s.gradient(b, y), x, x, typename B::Scalar(), s.gradient(b, y).sum);
  s.finish(b, s.gradient(b, y), y);
};

template <class S, class B>
concept zero_diagonal = requires(S const& s, typename B::Lane& lane, View<B> W) { s.zero_diagonal(lane, W); };

template <class S, class B>
concept dense_form = requires(S const& s, B& b, ConstView<B> W, HostMatrix<typename B::Scalar> const& host) {
  { s.dense(b, W) } -> std::same_as<HostMatrix<typename B::Scalar>>;
  { s.from_dense(host) } -> std::same_as<HostMatrix<typename B::Scalar>>;
};

}  // namespace has

template <class S>
concept Structure = std::copyable<S> && has::weight_shape<S>;

/// The whole concept, which can only be checked beside a backend.
template <class S, class B>
concept StructureOn = Structure<S> && Backend<B> && has::map<S, B> && has::gradient<S, B> &&
                      has::prepare<S, B> && has::zero_diagonal<S, B> && has::dense_form<S, B>;

/// N columns of k rows, each of which is to be multiplied `products` times.
template <Structure S>
Batch batch_of(S const& structure, Index k, Index N, Index products) {
  Batch batch = structure.batch(N);
  batch.flops = 2. * static_cast<double>(products) * static_cast<double>(structure.weight_rows(k)) *
                static_cast<double>(structure.weight_cols(k));
  return batch;
}

/// Weights that a backend has prepared, group by group.
template <class K>
concept Prepared = requires(K const& K_) { K_.group(Index{}); };

/// A gradient that is summed in the form in which it is wanted.
template <class View>
struct GradientInPlace {
  View sum;
};

/// The rows of group g, of kg rows, of whatever stands beside V = W~ U.
template <class View>
View group_rows(View const& v, Index g, Index kg) {
  return v.middle_rows(g * kg, kg);
}
template <class View>
PerRow<View> group_rows(PerRow<View> const& v, Index g, Index kg) {
  return {v.vector.middle_rows(g * kg, kg)};
}
template <class View>
PerColumn<View> group_rows(PerColumn<View> const& v, Index, Index) {
  return v;
}

}  // namespace detrame::inline DETRAME_ABI
