// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/metric/concept.hpp"

namespace detrame::inline DETRAME_ABI {

namespace detail {

/// Kernels of each_column. Diagonal entry j of a block-diagonal Q stands in row j modulo
/// kg of the middle tap.
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

/// out = (A + A^T) / 2, block by block; A^T of a kernel has its taps in reverse, each transposed.
struct SymmetricPart {
  Index taps = 1;
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar*, MatrixView<Scalar const> A,
                                      MatrixView<Scalar> out) const {
    Index const kg = A.rows(), row = j % kg, tap = j / kg % taps, group = j / kg / taps;
    Index const first = (group * taps + taps - 1 - tap) * kg;
    team.each(kg, [=](Index i) { out(i, j) = A(i, j) / Scalar(2) + A(row, first + i) / Scalar(2); });
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

/// The entries of a metric, in the layout of its structure. A metric that can only be applied satisfies the
/// concept with empty weights: whatever reads entries asks for them here, and refuses it in a sentence.
template <class M>
auto entries_of(char const* who, M const& Q) {
  auto const weights = Q.weights();
  Index const k = Q.dim(), rows = Q.structure().weight_rows(k), cols = Q.structure().weight_cols(k);
  if (weights.rows() != rows || weights.cols() != cols || rows < 1)
    throw ShapeError(message(who, ": needs the entries of Q, and its weights are ", weights.rows(), " x ",
                             weights.cols(), ", must be ", rows, " x ", cols));
  return weights;
}

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

/// From the entries of Q: its diagonal; the sums of |q_il| over l and the taps (those of a site whose window
/// lies in the image; no other has larger ones); Q itself, of all channels and sites of an image. A metric of
/// the user's without entries may have a `diagonal` and `absolute_row_sums` of its own, found by its type.
template <Backend B, Metric M>
Matrix<B> diagonal(B& backend, M const& Q) {
  return diagonal(backend, Q.structure(), entries_of("diagonal", Q));
}
template <Backend B, Metric M>
Matrix<B> absolute_row_sums(B& backend, M const& Q) {
  return absolute_row_sums(backend, Q.structure(), entries_of("absolute_row_sums", Q));
}
template <Backend B, Metric M>
Matrix<B> dense(B& backend, M const& Q) {
  return to_device(backend, Q.structure().dense(backend, entries_of("dense", Q)));
}

/// out = A^T. out does not overlap A.
template <Backend B>
void transpose(B& backend, ConstView<B> A, View<B> out) {
  each_column(backend, out.cols(), 0, detail::Transpose{}, A, out);
}

/// The symmetric part of every block, (Q_g + Q_g^T) / 2; of a kernel, the nearest one with W[o, i, delta] =
/// W[i, o, -delta]. out does not overlap Q.                                                              (K2)
template <Backend B, Structure S>
void symmetric_part(B& backend, S const& structure, ConstView<B> Q, View<B> out) {
  each_column(backend, Q.cols(), 0, detail::SymmetricPart{structure.taps()}, Q, out);
}
template <Backend B>
Matrix<B> symmetric_part(B& backend, ConstView<B> Q) {
  Matrix<B> out;
  resize(backend, out, Q.rows(), Q.cols());
  symmetric_part(backend, DenseBlocks{}, Q, View<B>(out));
  return out;
}

}  // namespace detrame::inline DETRAME_ABI
