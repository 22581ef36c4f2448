// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Everything, for the CPU and for NVIDIA GPUs: what a .cu file includes. It is compiled as C++20 and linked
/// with cuBLAS.
///
/// Eigen stays on the host: with its own CUDA switched on, it would compile its kernels for the device too.
#if defined(EIGEN_WORLD_VERSION) && !defined(EIGEN_NO_CUDA)
#error "detrame/cuda.hpp: include it before Eigen, or define EIGEN_NO_CUDA for the whole unit"
#endif
#if !defined(EIGEN_NO_CUDA)
#define EIGEN_NO_CUDA
#endif

#include "detrame/backend/cuda/backend.hpp"
// nvcc's front end does not know the pragmas by which g++ unrolls loops of the CPU.
#pragma nv_diagnostic push
#pragma nv_diag_suppress 1675
#include "detrame/detrame.hpp"
#pragma nv_diagnostic pop
