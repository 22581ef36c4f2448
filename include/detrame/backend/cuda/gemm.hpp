// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>

#include "detrame/backend/cuda/each.hpp"
#include "detrame/backend/formula/entries.hpp"

namespace detrame {

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

/// C <- alpha op_A(A) op_B(B) + beta C. With beta = 0, C need not be initialised. C overlaps neither A nor B.
///
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

/// f(v_ij, args_ij...) for every entry of V = op_A(A) B, which is not kept: a product with what follows it.
///
/// f takes v by value, then its arguments as in `each`; what it writes must not be read by the product.
///
/// Here by cuBLAS, then a kernel of `each`: V is written and read once, beside what the two move.
template <class Scalar, class F, class... Args>
void gemm_each(CudaLane<Scalar>& lane, std::type_identity_t<DeviceView<Scalar const>> A, Op op_A,
               std::type_identity_t<DeviceView<Scalar const>> B, F const& f, Args&&... args) {
  auto const frame = lane.frame();
  DeviceView<Scalar> const V = lane.scratch(op_A == Op::none ? A.rows() : A.cols(), B.cols());
  gemm(lane, Scalar(1), A, op_A, B, Op::none, Scalar(0), V);
  each(lane, f, DeviceView<Scalar const>(V), args...);
}

/// C += sign A B^T
template <class Scalar>
void add_outer_product(CudaLane<Scalar>& lane, std::type_identity_t<DeviceView<Scalar const>> A,
                       std::type_identity_t<DeviceView<Scalar const>> B, std::type_identity_t<Scalar> sign,
                       std::type_identity_t<DeviceView<Scalar>> C) {
  gemm(lane, sign, A, Op::none, B, Op::transposed, Scalar(1), C);
}

/// A left factor that serves many products: op(A) of each of `groups` matrices side by side. cuBLAS takes it
/// as it is.
template <class Scalar>
struct DeviceProduct {
  DeviceView<Scalar const> A;
  Op op;
  Index groups = 1;

  DeviceProduct group(Index g) const {
    Index const cols = A.cols() / groups;
    return {A.middle_cols(g * cols, cols), op, 1};
  }
};

/// Prepares op(A_g), where A = [A_1 ... A_groups]. It lives until the innermost frame of the lane (the
/// backend's own lane where `where` is a backend) closes, and A stays as it is until then.
template <class Where>
auto prepare_product(Where&, std::type_identity_t<DeviceView<typename Where::Scalar const>> A, Op op,
                     Index groups = 1) {
  return DeviceProduct<typename Where::Scalar>{A, op, groups};
}

/// f(v_ij, args_ij...) for every entry of V = op(A) B, as gemm_each, with a prepared factor of one group.
template <class Scalar, class F, class... Args>
void product_each(CudaLane<Scalar>& lane, DeviceProduct<Scalar> const& A,
                  std::type_identity_t<DeviceView<Scalar const>> B, F const& f, Args&&... args) {
  DETRAME_ASSERT(A.groups == 1);
  gemm_each(lane, A.A, A.op, B, f, args...);
}

}  // namespace detrame
