// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>

#include "detrame/backend/cuda/each.hpp"
#include "detrame/backend/cuda/matrix_factor.hpp"
#include "detrame/backend/formula/entries.hpp"

namespace detrame::inline DETRAME_ABI {

namespace device {

/// cuBLAS counts in int.
inline int count(char const* what, Index n) {
  if (n > std::numeric_limits<int>::max())
    throw DomainError(message("gemm: ", what, " = ", n, ", must be <= ", std::numeric_limits<int>::max()));
  return static_cast<int>(n);
}

inline cublasOperation_t operation(Op op) { return op == Op::none ? CUBLAS_OP_N : CUBLAS_OP_T; }

inline void call_gemm(cublasHandle_t handle, Op op_A, Op op_B, int m, int n, int k, float const* alpha,
                      float const* A, int lda, float const* B, int ldb, float const* beta, float* C,
                      int ldc) {
  DETRAME_CUDA(
      cublasSgemm(handle, operation(op_A), operation(op_B), m, n, k, alpha, A, lda, B, ldb, beta, C, ldc));
}
inline void call_gemm(cublasHandle_t handle, Op op_A, Op op_B, int m, int n, int k, double const* alpha,
                      double const* A, int lda, double const* B, int ldb, double const* beta, double* C,
                      int ldc) {
  DETRAME_CUDA(
      cublasDgemm(handle, operation(op_A), operation(op_B), m, n, k, alpha, A, lda, B, ldb, beta, C, ldc));
}

}  // namespace device

/// Here by cuBLAS: 2 m n depth flops; each matrix must cross memory once, C twice where beta is not 0.
template <class Scalar>
void gemm(CudaLane<Scalar>& lane, std::type_identity_t<Scalar> alpha,
          std::type_identity_t<DeviceView<Scalar const>> A, Op op_A,
          std::type_identity_t<DeviceView<Scalar const>> B, Op op_B, std::type_identity_t<Scalar> beta,
          std::type_identity_t<DeviceView<Scalar>> C) {
  Index const depth = op_A == Op::none ? A.cols() : A.rows();
  DETRAME_ASSERT((op_A == Op::none ? A.rows() : A.cols()) == C.rows());
  DETRAME_ASSERT((op_B == Op::none ? B.cols() : B.rows()) == C.cols());
  DETRAME_ASSERT((op_B == Op::none ? B.rows() : B.cols()) == depth);
  if (C.rows() == 0 || C.cols() == 0) return;
  if (depth == 0) {
    if (beta == Scalar(0)) return each(lane, formula::Fill<Scalar>{Scalar(0)}, C);
    return each(lane, formula::Scale<Scalar>{beta}, C);
  }
  auto const leading = [](auto const& v) { return device::count("leading dimension", v.raw().stride()); };
  device::call_gemm(lane.cublas(), op_A, op_B, device::count("rows", C.rows()),
                    device::count("columns", C.cols()), device::count("depth", depth), &alpha, A.raw().data(),
                    leading(A), B.raw().data(), leading(B), &beta, C.raw().data(), leading(C));
}

template <class Scalar>
void add_outer_product(CudaLane<Scalar>& lane, std::type_identity_t<DeviceView<Scalar const>> A,
                       std::type_identity_t<DeviceView<Scalar const>> B, std::type_identity_t<Scalar> sign,
                       std::type_identity_t<DeviceView<Scalar>> C) {
  gemm(lane, sign, A, Op::none, B, Op::transposed, Scalar(1), C);
}

namespace device {

/// Depths up to which our own product, with what follows it, is asked for before cuBLAS. The second kernel
/// that cuBLAS needs moves v twice, 8 bytes an entry, in which a card does some 110 operations in float: as
/// many as are lost in 64 multiply-adds where our product reaches half of the peak and cuBLAS
/// nearly all of it.
inline constexpr Index fused_depth = 64;

/// A_T(i, (g, l)) <- A(l, (g, i))
template <class Scalar>
struct TransposeGroups {
  MatrixView<Scalar const> A;
  Index rows;  ///< of a transposed group
  DETRAME_HOST_DEVICE void operator()(Index i, Index j, Scalar& a) const {
    a = A(j % A.rows(), j / A.rows() * rows + i);
  }
};

}  // namespace device

/// A left factor that serves many products: op(A) of each of `groups` matrices side by side. It is kept as it
/// is where cuBLAS takes it; else transposed.
template <class Scalar>
struct DeviceProduct {
  DeviceView<Scalar const> A;
  Op op;
  Index groups = 1;

  DeviceProduct group(Index g) const {
    Index const cols = A.cols() / groups;
    return {A.middle_cols(g * cols, cols), op, 1};
  }
  bool fused() const { return op == Op::none && A.cols() / groups <= device::fused_depth; }
};

template <class Where>
auto prepare_product(Where& where, std::type_identity_t<DeviceView<typename Where::Scalar const>> A, Op op,
                     Index groups = 1) {
  using Scalar = typename Where::Scalar;
  Index const depth = A.rows(), rows = A.cols() / groups;  // of op(A_g) where it is transposed
  if (op == Op::none || depth > device::fused_depth) return DeviceProduct<Scalar>{A, op, groups};
  CudaLane<Scalar>& lane = device::lane_of(where);
  DeviceView<Scalar> const A_T = lane.scratch(rows, groups * depth);
  each_indexed(lane, device::TransposeGroups<Scalar>{A.raw(), rows}, A_T);
  return DeviceProduct<Scalar>{A_T, Op::none, groups};
}

/// Here in one kernel up to a depth of 64; else by cuBLAS, then a kernel of `each`: V is written and read
/// once, beside what the two move.
template <class Scalar, class F, class... Args>
void product_each(CudaLane<Scalar>& lane, DeviceProduct<Scalar> const& A,
                  std::type_identity_t<DeviceView<Scalar const>> B, F const& f, Args&&... args) {
  DETRAME_ASSERT(A.groups == 1);
  if (!A.fused()) {
    auto const frame = lane.frame();
    DeviceView<Scalar> const V = lane.scratch(A.op == Op::none ? A.A.rows() : A.A.cols(), B.cols());
    gemm(lane, Scalar(1), A.A, A.op, B, Op::none, Scalar(0), V);
    return each(lane, f, DeviceView<Scalar const>(V), args...);
  }
  DETRAME_ASSERT(A.A.cols() == B.rows());
  DETRAME_ASSERT((detail::argument<Scalar>(args).fits(A.A.rows(), B.cols()) && ...));
  device::launch_tiled_product(lane, A.A.raw(), device::MatrixFactor<Scalar>(B.raw()), B.cols(), Index{1}, f,
                               detail::argument<Scalar>(args)...);
}

}  // namespace detrame::inline DETRAME_ABI
