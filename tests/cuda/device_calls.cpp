// SPDX-License-Identifier: Apache-2.0
#include "cuda/device_calls.hpp"

#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <cstddef>

namespace detrame::test {

DeviceCalls device_calls;

namespace {
/// The function of the runtime behind ours.
template <class F>
F* behind(F*, char const* name) {
  return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}
}  // namespace

}  // namespace detrame::test

using detrame::test::behind;
using detrame::test::device_calls;

extern "C" {

cudaError_t cudaMalloc(void** data, std::size_t bytes) {
  ++device_calls.allocations;
  return behind(&cudaMalloc, "cudaMalloc")(data, bytes);
}
cudaError_t cudaMallocAsync(void** data, std::size_t bytes, cudaStream_t stream) {
  ++device_calls.allocations;
  return behind(&cudaMallocAsync, "cudaMallocAsync")(data, bytes, stream);
}
cudaError_t cudaFree(void* data) {
  ++device_calls.waits;
  return behind(&cudaFree, "cudaFree")(data);
}
cudaError_t cudaMemcpy(void* to, void const* from, std::size_t bytes, cudaMemcpyKind kind) {
  ++device_calls.waits;
  return behind(&cudaMemcpy, "cudaMemcpy")(to, from, bytes, kind);
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  ++device_calls.waits;
  return behind(&cudaStreamSynchronize, "cudaStreamSynchronize")(stream);
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  ++device_calls.waits;
  return behind(&cudaEventSynchronize, "cudaEventSynchronize")(event);
}
cudaError_t cudaDeviceSynchronize() {
  ++device_calls.waits;
  return behind(&cudaDeviceSynchronize, "cudaDeviceSynchronize")();
}
}
