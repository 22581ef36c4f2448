// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/concept.hpp"
#include "detrame/exact/range.hpp"

/// What all columns of a call share, brought into range before the kernels: matrices by one power of two, and
/// the weights of the penalty as the kernels read them. Columns are scaled one by one,
/// within the kernels (`Powers`).
namespace detrame::inline DETRAME_ABI::exact {

/// out_j = max_i |A_ij|; a task a column. A kernel of each_column.
struct LargestOfColumn {
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar*, MatrixView<Scalar const> A,
                                      MatrixView<Scalar> out) const {
    Scalar const largest = team.max(A.rows(), [=](Index i) { return std::abs(A(i, j)); });
    team.once([=] { out(0, j) = largest; });
  }
};

/// The largest entry on the diagonals of blocks side by side; one task.
struct LargestOfDiagonal {
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index, Scalar*, MatrixView<Scalar const> blocks,
                                      MatrixView<Scalar> out) const {
    Scalar const largest = team.max(blocks.cols(), [=](Index i) { return blocks(i % blocks.rows(), i); });
    team.once([=] { out(0, 0) = largest; });
  }
};

/// out = A 2^power; a task a column.
struct ScaleColumn {
  int power;
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index j, Scalar*, MatrixView<Scalar const> A,
                                      MatrixView<Scalar> out) const {
    int const by = power;
    team.each(A.rows(), [=](Index i) { out(i, j) = scaled(A(i, j), by); });
  }
};

/// A 2^power: A itself, or a copy in the lane's scratch.
template <Backend B>
ConstView<B> scaled_matrix(B& backend, ConstView<B> A, int power) {
  if (power == 0) return A;
  View<B> const out = backend.lane().scratch(A.rows(), A.cols());
  each_column(backend, A.cols(), 0, ScaleColumn{power}, A, out);
  return out;
}

/// |D_i|_2 up to its rounding; one task an atom. A kernel of each_column.
struct AtomNorms {
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index i, Scalar*, MatrixView<Scalar const> D,
                                      MatrixView<Scalar> norms) const {
    Scalar const length = norm(team, D.rows(), [=](Index l) { return D(l, i); });
    team.once([=] { norms(i, 0) = length; });
  }
};

/// A metric times 4^matrix: products of the entries of its square root with data need the range of those.
template <Backend B>
struct ScaledMetric {
  int matrix;
  ConstView<B> weights;

  /// largest: views of the numbers whose largest one is Q's.
  ScaledMetric(B& backend, ConstView<B> Q, ConstView<B> largest) {
    int const power = to_one(max_to_host(backend.lane(), largest));
    bool const far = power < -2 * comfort<typename B::Scalar> || power > 2 * comfort<typename B::Scalar>;
    matrix = far ? power / 2 : 0;
    weights = scaled_matrix<B>(backend, Q, 2 * matrix);
  }
};

/// The metric of columns, whose largest entry is on its diagonal.
template <Backend B>
ScaledMetric<B> scaled_blocks(B& backend, ConstView<B> blocks) {
  View<B> const largest = backend.lane().scratch(1, 1);
  each_column(backend, 1, 0, LargestOfDiagonal{}, blocks, largest);
  return {backend, blocks, largest};
}

/// The kernel of a convolutional metric.
template <Backend B>
ScaledMetric<B> scaled_kernel(B& backend, ConstView<B> kernel) {
  View<B> const largest = backend.lane().scratch(1, kernel.cols());
  each_column(backend, kernel.cols(), 0, LargestOfColumn{}, kernel, largest);
  return {backend, kernel, largest};
}

/// Atoms times 2^matrix, with their norms, and alpha times 4^matrix.
template <Backend B>
struct ScaledAtoms {
  int matrix;
  typename B::Scalar alpha;
  ConstView<B> D, norms;  // as the caller's, k x 1

  ScaledAtoms(B& backend, ConstView<B> atoms, typename B::Scalar alpha_) {
    View<B> const lengths = backend.lane().scratch(atoms.cols(), 1);
    each_column(backend, atoms.cols(), 0, AtomNorms{}, atoms, lengths);
    matrix = into_range(max_to_host(backend.lane(), ConstView<B>(lengths)));
    alpha = scaled(alpha_, 2 * matrix);
    D = scaled_matrix<B>(backend, atoms, matrix);
    if (matrix != 0) each_column(backend, atoms.cols(), 0, AtomNorms{}, D, lengths);
    norms = lengths;
  }
};

/// beta_i 4^matrix and lambda_i of each entry; one task. An infinite beta_i holds u_i at 0 as an infinite
/// lambda_i does.
struct TakeWeights {
  int matrix;
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index, Scalar*, MatrixView<Scalar const> beta,
                                      MatrixView<Scalar const> lambda, MatrixView<Scalar> beta_out,
                                      MatrixView<Scalar> lambda_out) const {
    int const by = 2 * matrix;
    team.each(beta_out.rows(), [=](Index i) {
      Scalar const b = beta(i % beta.rows(), 0);
      bool const held = b > limits::largest<Scalar>;
      beta_out(i, 0) = held ? Scalar(0) : scaled(b, by);
      lambda_out(i, 0) = held ? b : lambda(i % lambda.rows(), 0);
    });
  }
};

/// The weights of `sites` times the rows of beta; views of the lane's scratch.
template <Backend B>
struct EntryWeights {
  ConstView<B> beta, lambda;

  EntryWeights(B& backend, ConstView<B> beta_rows, ConstView<B> lambda_rows, Index sites, int matrix) {
    View<B> const both = backend.lane().scratch(beta_rows.rows() * sites, 2);
    View<B> const b = both.middle_cols(0, 1), l = both.middle_cols(1, 1);
    each_column(backend, 1, 0, TakeWeights{matrix}, beta_rows, lambda_rows, b, l);
    beta = b;
    lambda = l;
  }
};

}  // namespace detrame::inline DETRAME_ABI::exact
