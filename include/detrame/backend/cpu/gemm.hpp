// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/cpu/each.hpp"
#include "detrame/backend/formulas.hpp"

namespace detrame::inline DETRAME_ABI {

namespace detail {

/// Eigen's cache blocking for one thread, with the packing buffers in the lane's scratch: no allocation.
template <class Scalar>
class GemmBlocking : public Eigen::internal::level3_blocking<Scalar, Scalar> {
 public:
  GemmBlocking(Index rows, Index cols, Index depth, Arena& arena) {
    this->m_mc = rows;
    this->m_nc = cols;
    this->m_kc = depth;
    Eigen::internal::computeProductBlockingSizes<Scalar, Scalar, 1>(this->m_kc, this->m_mc, this->m_nc,
                                                                    Index{1});
    this->m_blockA = arena.template take<Scalar>(this->m_mc * this->m_kc);
    this->m_blockB = arena.template take<Scalar>(this->m_kc * this->m_nc);
  }
};

/// C <- C + alpha A B by Eigen's product kernel, called with no parallel session: `C += A * B` would start
/// threads of its own outside a parallel region, and block (hence round) by their number.
template <int order_A, int order_B, class Scalar>
void add_product(CpuLane<Scalar>& lane, Scalar alpha, MatrixView<Scalar const> A, MatrixView<Scalar const> B,
                 MatrixView<Scalar> C, Index depth) {
  auto const frame = lane.frame();
  GemmBlocking<Scalar> blocking(C.rows(), C.cols(), depth, lane.arena());
  Eigen::internal::general_matrix_matrix_product<Index, Scalar, order_A, false, Scalar, order_B, false,
                                                 Eigen::ColMajor, 1>::run(C.rows(), C.cols(), depth, A.data(),
                                                                          A.stride(), B.data(), B.stride(),
                                                                          C.data(), 1, C.stride(), alpha,
                                                                          blocking, nullptr);
}

}  // namespace detail

template <class Scalar>
void gemm(CpuLane<Scalar>& lane, std::type_identity_t<Scalar> alpha,
          std::type_identity_t<MatrixView<Scalar const>> A, Op op_A,
          std::type_identity_t<MatrixView<Scalar const>> B, Op op_B, std::type_identity_t<Scalar> beta,
          std::type_identity_t<MatrixView<Scalar>> C) {
  Index const depth = op_A == Op::none ? A.cols() : A.rows();
  DETRAME_ASSERT((op_A == Op::none ? A.rows() : A.cols()) == C.rows());
  DETRAME_ASSERT((op_B == Op::none ? B.cols() : B.rows()) == C.cols());
  DETRAME_ASSERT((op_B == Op::none ? B.rows() : B.cols()) == depth);
  if (beta == Scalar(0))
    each(lane, formula::Fill<Scalar>{Scalar(0)}, C);
  else if (beta != Scalar(1))
    each(lane, formula::Scale<Scalar>{beta}, C);
  if (C.rows() == 0 || C.cols() == 0 || depth == 0) return;

  constexpr int plain = Eigen::ColMajor, transposed = Eigen::RowMajor;
  if (op_A == Op::none && op_B == Op::none)
    detail::add_product<plain, plain>(lane, alpha, A, B, C, depth);
  else if (op_A == Op::none)
    detail::add_product<plain, transposed>(lane, alpha, A, B, C, depth);
  else if (op_B == Op::none)
    detail::add_product<transposed, plain>(lane, alpha, A, B, C, depth);
  else
    detail::add_product<transposed, transposed>(lane, alpha, A, B, C, depth);
}

}  // namespace detrame::inline DETRAME_ABI
