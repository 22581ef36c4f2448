// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cublas_v2.h>
#include <cuda_runtime.h>

#include "detrame/core/errors.hpp"

/// Checks a call of CUDA or cuBLAS: a failure throws DeviceError with the call's text and
/// the status in words.
#define DETRAME_CUDA(call) ::detrame::device::check((call), #call)

namespace detrame::inline DETRAME_ABI {

/// A call of CUDA or cuBLAS failed: the text gives the call and the status. Some statuses (an illegal
/// address) stay: then every later call of the process fails too.
struct DeviceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The device has not as much memory as was asked for. Nothing is lost: the backend goes on working.
struct DeviceMemoryError : DeviceError {
  DeviceMemoryError(std::string const& text, std::size_t asked) : DeviceError(text), bytes(asked) {}
  std::size_t bytes;  ///< that were asked for
};

namespace device {

inline void check(cudaError_t status, char const* call) {
  if (status != cudaSuccess)
    throw DeviceError(message(call, " gives ", cudaGetErrorName(status), ": ", cudaGetErrorString(status)));
}
inline void check(cublasStatus_t status, char const* call) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw DeviceError(
        message(call, " gives ", cublasGetStatusName(status), ": ", cublasGetStatusString(status)));
}

/// Whether the last launch was accepted; `kernel` is its name in the text.
inline void check_launch(char const* kernel) { check(cudaGetLastError(), kernel); }

}  // namespace device
}  // namespace detrame::inline DETRAME_ABI
