// SPDX-License-Identifier: Apache-2.0
#define DOCTEST_CONFIG_IMPLEMENT
#include <cuda_runtime_api.h>
#include <doctest/doctest.h>

#include <iostream>

/// Runs the tests where there is a device, else says so, with the status that CTest takes for skipped.
int main(int argc, char** argv) {
  int devices = 0;
  cudaError_t const status = cudaGetDeviceCount(&devices);
  if (status == cudaSuccess && devices > 0) return doctest::Context(argc, argv).run();
  std::cout << "skipped: no CUDA device here (" << cudaGetErrorString(status) << ")\n";
  return 77;
}
