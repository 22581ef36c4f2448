// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/exact/report.hpp"

namespace detrame::inline DETRAME_ABI {

/// Cotangents of what exact_synthesis reads. A result that is used again is not allocated again.
///
/// Shapes    X_bar: m x N.  D_bar: m x k.  d_bar: k x 1.  lambda_bar, alpha_bar, beta_bar: 1 x 1.
template <Backend B>
struct SynthesisCotangent {
  Matrix<B> X_bar, D_bar, d_bar, lambda_bar, alpha_bar, beta_bar;
  Matrix<B> v;                       ///< k x N, the solution of the adjoint system
  Matrix<B> lambda_rows, beta_rows;  ///< k x 1, the cotangents of penalties row by row
};

namespace exact {

/// Room for N columns, or positions, of codes, of what D and X_bar are shaped as.
template <Backend B>
void reserve(B& backend, SynthesisCotangent<B>& bar, ConstView<B> D, ConstView<B> X, Index N) {
  Index const k = D.cols();
  reserve(backend, bar.v, k, N);
  reserve(backend, bar.X_bar, X.rows(), X.cols());
  reserve(backend, bar.D_bar, D.rows(), k);
  for (auto* const column : {&bar.d_bar, &bar.lambda_rows, &bar.beta_rows}) reserve(backend, *column, k, 1);
  for (auto* const number : {&bar.lambda_bar, &bar.alpha_bar, &bar.beta_bar}) reserve(backend, *number, 1, 1);
}

/// total = sum of a column; one task.
struct Total {
  template <class Team, class Scalar>
  DETRAME_HOST_DEVICE void operator()(Team const& team, Index, Scalar*, MatrixView<Scalar const> column,
                                      MatrixView<Scalar> total) const {
    Scalar const sum = team.sum(column.rows(), [=](Index i) { return column(i, 0); });
    team.once([=] { total(0, 0) = sum; });
  }
};

/// The cotangents of lambda, alpha and beta, from those row by row.
template <Backend B>
void add_up_penalty(B& backend, SynthesisCotangent<B>& bar) {
  each_column(backend, 1, 0, Total{}, ConstView<B>(bar.lambda_rows), View<B>(bar.lambda_bar));
  each_column(backend, 1, 0, Total{}, ConstView<B>(bar.beta_rows), View<B>(bar.beta_bar));
  each_column(backend, 1, 0, Total{}, ConstView<B>(bar.beta_rows), View<B>(bar.alpha_bar));
}

}  // namespace exact
}  // namespace detrame::inline DETRAME_ABI
