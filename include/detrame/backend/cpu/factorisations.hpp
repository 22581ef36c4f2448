// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <limits>
#include <vector>

#include "detrame/backend/cpu/cpu.hpp"

namespace detrame::inline DETRAME_ABI {

namespace detail {
/// Whether each pivot of a Cholesky factor is a number: Eigen lets NaN and infinity through,
/// and calls it success.
template <class Factor>
bool is_finite_factor(Factor const& L) {
  for (Index i = 0; i < L.rows(); ++i)
    if (!(L(i, i) < std::numeric_limits<typename Factor::Scalar>::infinity())) return false;
  return true;
}
}  // namespace detail

template <class Scalar>
bool definite_solve(Cpu<Scalar>&, std::type_identity_t<MatrixView<Scalar const>> A,
                    std::type_identity_t<MatrixView<Scalar const>> rhs,
                    std::type_identity_t<MatrixView<Scalar>> out) {
  using Matrix = typename Cpu<Scalar>::Matrix;
  using Map = Eigen::Map<Matrix const, 0, Eigen::OuterStride<>>;
  DETRAME_ASSERT(A.rows() == A.cols() && rhs.rows() == A.rows());
  DETRAME_ASSERT(out.rows() == rhs.rows() && out.cols() == rhs.cols());
  Matrix X = Map(rhs.data(), rhs.rows(), rhs.cols(), Eigen::OuterStride<>(rhs.stride()));
  if (A.rows() > 0) {
    Eigen::LLT<Matrix> const llt(Map(A.data(), A.rows(), A.cols(), Eigen::OuterStride<>(A.stride())));
    if (llt.info() != Eigen::Success || !detail::is_finite_factor(llt.matrixLLT())) return false;
    if (X.cols() > 0) llt.solveInPlace(X);
  }
  Eigen::Map<Matrix, 0, Eigen::OuterStride<>>(out.data(), out.rows(), out.cols(),
                                              Eigen::OuterStride<>(out.stride())) = X;
  return true;
}

/// Here by Householder, then QL, by the parts of Eigen's solver: the whole of it costs each program ten
/// seconds more to compile, for eigenvectors that nobody asked for.
template <class Scalar>
std::vector<Scalar> symmetric_eigenvalues(Cpu<Scalar>&, std::type_identity_t<MatrixView<Scalar const>> A) {
  using Matrix = typename Cpu<Scalar>::Matrix;
  std::vector<Scalar> values(static_cast<std::size_t>(A.rows()), std::numeric_limits<Scalar>::quiet_NaN());
  if (A.rows() == 0) return values;
  Matrix lower = Eigen::Map<Matrix const, 0, Eigen::OuterStride<>>(A.data(), A.rows(), A.cols(),
                                                                   Eigen::OuterStride<>(A.stride()))
                     .template triangularView<Eigen::Lower>();
  if (!lower.allFinite()) return values;
  Scalar const largest = lower.cwiseAbs().maxCoeff();
  Scalar const scale = largest > Scalar(0) ? largest : Scalar(1);
  lower /= scale;  // squares do not overflow
  Eigen::Tridiagonalization<Matrix> const tridiagonal(lower);
  Eigen::SelfAdjointEigenSolver<Matrix> solver;
  solver.computeFromTridiagonal(tridiagonal.diagonal(), tridiagonal.subDiagonal(), Eigen::EigenvaluesOnly);
  if (solver.info() == Eigen::Success)
    for (Index i = 0; i < A.rows(); ++i)
      values[static_cast<std::size_t>(i)] = scale * solver.eigenvalues()(i);
  return values;
}

}  // namespace detrame::inline DETRAME_ABI
