// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Counts the calls of the CUDA runtime by which a program takes device memory, and those by which the host
/// waits. device_calls.cpp stands before the shared runtime.
namespace detrame::test {

struct DeviceCalls {
  long allocations = 0, waits = 0;
  friend bool operator==(DeviceCalls const&, DeviceCalls const&) = default;
};

extern DeviceCalls device_calls;

/// The calls that f() makes.
template <class F>
DeviceCalls calls_of(F&& f) {
  DeviceCalls const before = device_calls;
  f();
  return {device_calls.allocations - before.allocations, device_calls.waits - before.waits};
}

}  // namespace detrame::test
