// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/core/host_device.hpp"
#include "detrame/core/limits.hpp"
#include "detrame/core/matrix_view.hpp"

namespace detrame::inline DETRAME_ABI::device {

/// What the threads of a block know of each other; on the host, one thread,
/// since nvcc compiles kernels for both.
DETRAME_HOST_DEVICE inline Index member() {
#if defined(__CUDA_ARCH__)
  return threadIdx.x;
#else
  return 0;
#endif
}
DETRAME_HOST_DEVICE inline Index members() {
#if defined(__CUDA_ARCH__)
  return blockDim.x;
#else
  return 1;
#endif
}
/// What was written before, every member sees after.
DETRAME_HOST_DEVICE inline void meet() {
#if defined(__CUDA_ARCH__)
  __syncthreads();
#endif
}

/// Cholesky factors of small matrices, each by the threads of a block, that can be continued.
///
///   A = L L^T,   A: n x n symmetric, positive definite
///
/// The rows of the lower triangle follow one another, so that a larger factor begins with a smaller one, and
/// threads that go down a column of it meet different banks of shared memory.
template <class Scalar>
struct BlockCholesky {
  DETRAME_HOST_DEVICE static constexpr Index size(Index n) { return n * (n + 1) / 2; }
  DETRAME_HOST_DEVICE static constexpr Index place(Index i, Index j) { return i * (i + 1) / 2 + j; }

  /// Factors rows first, ..., n - 1, where F holds the rows of A, given the rows before them. Returns how
  /// many rows from the top are factored: n, or the first row whose pivot is not positive beyond its
  /// rounding, n eps a_ii, or not finite. Column by column, a thread a row: n^3 / 6 multiply-adds, for
  /// each two scalars read, 2 n barriers.
  DETRAME_HOST_DEVICE static Index factor(Scalar* F, Index n, Index first) {
    meet();
    for (Index j = 0; j < n; ++j) {
      Scalar const* const above = F + place(j, 0);
      for (Index i = (j < first ? first : j) + member(); i < n; i += members()) {
        Scalar* const row = F + place(i, 0);
        Scalar const entry = row[j];
        Scalar rest = entry;
        for (Index l = 0; l < j; ++l) rest -= row[l] * above[l];
        if (i == j) {
          bool const positive =
              rest > static_cast<Scalar>(n) * limits::epsilon<Scalar> * entry && rest - rest == Scalar(0);
          rest = positive ? std::sqrt(rest) : Scalar(0);  // 0 says: not positive
        }
        row[j] = rest;
      }
      meet();
      Scalar const pivot = above[j];
      if (j >= first && pivot == Scalar(0)) return j;
      for (Index i = (j + 1 < first ? first : j + 1) + member(); i < n; i += members())
        F[place(i, j)] /= pivot;
      meet();
    }
    return n;
  }

  /// x <- (L L^T)^{-1} x, an unknown after the other, whose share all threads subtract: n^2
  /// multiply-adds, for each two scalars read and one written, 2 n + 3 barriers.
  DETRAME_HOST_DEVICE static void solve(Scalar const* F, Index n, Scalar* x) {
    meet();
    for (Index j = 0; j < n; ++j) {
      Scalar const x_j = x[j] / F[place(j, j)];
      for (Index i = j + 1 + member(); i < n; i += members()) x[i] -= F[place(i, j)] * x_j;
      meet();
    }
    divide(F, n, x);
    for (Index j = n - 1; j >= 0; --j) {
      Scalar const x_j = x[j] / F[place(j, j)];
      for (Index i = member(); i < j; i += members()) x[i] -= F[place(j, i)] * x_j;
      meet();
    }
    divide(F, n, x);
  }

 private:
  DETRAME_HOST_DEVICE static void divide(Scalar const* F, Index n, Scalar* x) {
    for (Index i = member(); i < n; i += members()) x[i] /= F[place(i, i)];
    meet();
  }
};

}  // namespace detrame::inline DETRAME_ABI::device
