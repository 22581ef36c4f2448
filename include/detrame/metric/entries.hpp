// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/operator/dense_blocks.hpp"

namespace detrame {

namespace detail {

/// Kernels of each_column. Diagonal entry j of a block-diagonal Q stands in row j modulo kg of the middle
/// tap.
struct DiagonalEntry {
  Index taps = 1;
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const&, Index j, Scalar*, MatrixView<Scalar const> Q,
                                      MatrixView<Scalar> diagonal) const {
    Index const kg = Q.rows();
    diagonal(j, 0) = Q(j % kg, (j / kg * taps + taps / 2) * kg + j % kg);
  }
};

/// Writes the upper triangle of each block alone, from the lower one, which nobody writes.
struct MirrorLower {
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const&, Index j, Scalar*, MatrixView<Scalar> Q) const {
    Index const first = j - j % Q.rows();
    for (Index i = 0; first + i < j; ++i) Q(i, j) = Q(j - first, first + i);
  }
};

/// out = (A + A^T) / 2, block by block.
struct SymmetricPart {
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar*, MatrixView<Scalar const> A,
                                      MatrixView<Scalar> out) const {
    Index const row = j % A.rows(), first = j - row;
    team.each(A.rows(), [=](Index i) { out(i, j) = A(i, j) / Scalar(2) + A(row, first + i) / Scalar(2); });
  }
};

struct Transpose {
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar*, MatrixView<Scalar const> A,
                                      MatrixView<Scalar> out) const {
    team.each(out.rows(), [=](Index i) { out(i, j) = A(j, i); });
  }
};

}  // namespace detail

/// The diagonal of a map in the layout of a structure: k x 1.
template <Backend B, Structure S>
void diagonal(B& backend, S const& structure, ConstView<B> Q, View<B> out) {
  each_column(backend, out.rows(), 0, detail::DiagonalEntry{structure.taps()}, Q, out);
}
template <Backend B, Structure S>
Matrix<B> diagonal(B& backend, S const& structure, ConstView<B> Q) {
  Matrix<B> out;
  resize(backend, out, Q.cols() / structure.taps(), 1);
  diagonal(backend, structure, Q, out);
  return out;
}

/// The sums of |q_il| over l (and over the taps): k x 1. They dominate Q: diag(sums) - Q is positive
/// semi-definite (Gershgorin).
template <Backend B, Structure S>
void absolute_row_sums(B& backend, S const& structure, ConstView<B> Q, View<B> out) {
  Index const kg = Q.rows(), width = kg * structure.taps();
  each(backend.lane(), formula::Fill<typename B::Scalar>{0}, out);
  for (Index g = 0; g < structure.groups; ++g)
    row_sums(backend.lane(), out.middle_rows(g * kg, kg), formula::Magnitude{},
             Q.middle_cols(g * width, width));
}
template <Backend B, Structure S>
Matrix<B> absolute_row_sums(B& backend, S const& structure, ConstView<B> Q) {
  Matrix<B> out;
  resize(backend, out, Q.cols() / structure.taps(), 1);
  absolute_row_sums(backend, structure, Q, out);
  return out;
}

/// out = A^T. out does not overlap A.
template <Backend B>
void transpose(B& backend, ConstView<B> A, View<B> out) {
  each_column(backend, out.cols(), 0, detail::Transpose{}, A, out);
}

/// The symmetric part of every block, (Q_g + Q_g^T) / 2. out does not overlap Q.
template <Backend B>
void symmetric_part(B& backend, ConstView<B> Q, View<B> out) {
  each_column(backend, Q.cols(), 0, detail::SymmetricPart{}, Q, out);
}
template <Backend B>
Matrix<B> symmetric_part(B& backend, ConstView<B> Q) {
  Matrix<B> out;
  resize(backend, out, Q.rows(), Q.cols());
  symmetric_part(backend, Q, out);
  return out;
}

}  // namespace detrame
