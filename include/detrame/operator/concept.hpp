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
///   batch(N)                            N columns, and how they are best cut into chunks
///   prepare(where, W, op)               K: W~ or W~^T, ready for products. `where` is a backend, whose lanes
///                                       share the work, or a lane; K lives until its innermost frame closes,
///                                       and W stays as it is until then
///   map(lane, K, U, f, args...)         f(v_ij, args_ij...) for every entry of V = K U
///   gradient(b, W_bar)                  G, the form in which a gradient is summed
///   add_gradient(lane, P, U, s, part)   part += s d<W~ U, P> / dW, for a part shaped as G.sum
///   finish(b, G, W_bar)                 W_bar += the sum, unless that is W_bar
///   zero_diagonal(lane, W)              the projection of W~ on D0, the maps with a zero diagonal
///   dense(b, W), from_dense(W~)         W~ itself on the k unit() entries of a sample, on the host, and back
///
/// `map` is where a kernel that fuses the product with what follows it is put in; its args are views of k
/// rows, PerRow or PerColumn, and what f writes is not read by the product.
///
/// Laws (tests/laws/operator_laws.hpp): map is linear, then f; <W~ U, P> = <U, W~^T P>; add_gradient is the
/// derivative of <W~ U, P>; map agrees with dense; from_dense inverts dense; zero_diagonal is idempotent,
/// touches the diagonal alone and leaves none.
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
concept map = requires(S const& s, B& b, typename B::Lane& lane, ConstView<B> x, View<B> y) {
  { s.batch(Index{}) } -> std::same_as<Batch>;
  s.map(lane, s.prepare(b, x, Op::none), x, formula::Store{}, y);
  s.map(lane, s.prepare(lane, x, Op::none), x, formula::Store{}, y);
};

template <class S, class B>
concept gradient =
    requires(S const& s, B& b, typename B::Lane& lane, ConstView<B> x, View<B> y, typename B::Scalar sign) {
      s.add_gradient(lane, x, x, sign, s.gradient(b, y).sum);
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
                      has::zero_diagonal<S, B> && has::dense_form<S, B>;

/// N columns of k rows, each of which is to be multiplied `products` times.
template <Structure S>
Batch batch_of(S const& structure, Index k, Index N, Index products) {
  Batch batch = structure.batch(N);
  batch.flops = 2. * static_cast<double>(products) * static_cast<double>(structure.weight_rows(k)) *
                static_cast<double>(structure.weight_cols(k));
  return batch;
}

/// The structure that stands for the same maps and computes them by direct sums, whatever arithmetic it
/// prefers: what a bound of rounding is derived for.
template <Structure S>
S direct_sums(S const& structure) {
  return structure;
}

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
