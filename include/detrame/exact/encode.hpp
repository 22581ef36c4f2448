// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "detrame/exact/exact_synthesis.hpp"
#include "detrame/exact/scaling.hpp"

namespace detrame::inline DETRAME_ABI {

namespace exact {

/// y = A v by blocks of A: y(rows of block g, j) = A_g v(rows of block g, j); one task a column.
struct BlockProduct {
  Index n;                 ///< columns of a block
  bool skip_zeros = true;  ///< of v: where A is finite they add nothing

  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar*, MatrixView<Scalar const> A,
                                      MatrixView<Scalar const> v, MatrixView<Scalar> y) const {
    Index const rows = A.rows();
    team.each(y.rows(), [=](Index i) { y(i, j) = Scalar(0); });
    for (Index l = 0; l < A.cols(); ++l) {
      Index const top = l / n * rows;
      Scalar const v_l = v(l, j);
      if (!skip_zeros || v_l != Scalar(0)) team.each(rows, [=](Index i) { y(top + i, j) += A(i, l) * v_l; });
    }
  }
};

template <Backend B>
void require_codes(char const* who, Synthesis<B> const& synthesis, ConstView<B> A) {
  if (A.rows() != synthesis.D.cols())
    throw ShapeError(
        message(who, ": A has ", A.rows(), " rows, D is ", synthesis.D.rows(), " x ", synthesis.D.cols()));
}

}  // namespace exact

/// The sparse codes of samples, with their certificate: exact_synthesis by its common name.             (M1)
/// Shapes    X: m x N. The codes, result.u: k x N.
template <Backend B>
ExactResult<B> encode(B& backend, Synthesis<B> const& synthesis, Input<B> X, ExactOptions options = {}) {
  return exact_synthesis(backend, synthesis, std::move(X), options);
}

/// X = D A: what codes stand for.
/// Shapes    A: k x N, else ShapeError. Result: m x N.
template <Backend B>
Matrix<B> decode(B& backend, Synthesis<B> const& synthesis, Input<B> A) {
  ConstView<B> const a = A, D = synthesis.D;
  exact::require_codes<B>("decode", synthesis, a);
  Matrix<B> X;
  resize(backend, X, D.rows(), a.cols());
  auto& lane = backend.lane();
  auto const frame = lane.frame();
  View<B> const largest = lane.scratch(1, D.cols());
  each_column(backend, D.cols(), 0, exact::LargestOfColumn{}, D, largest);
  bool const finite = max_to_host(lane, ConstView<B>(largest)) <= limits::largest<typename B::Scalar>;
  each_column(backend, a.cols(), 0, exact::BlockProduct{D.cols(), finite}, D, a, View<B>(X));
  return X;
}

template <detail::NoBackend B, class... Rest>
auto encode(B const&, Rest const&...) {
  return detail::explain<B>();
}

template <detail::NoBackend B, class... Rest>
auto decode(B const&, Rest const&...) {
  return detail::explain<B>();
}

}  // namespace detrame::inline DETRAME_ABI
