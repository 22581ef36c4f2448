// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__)
#define DETRAME_TEST_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DETRAME_TEST_ASAN
#endif
#endif

#if defined(DETRAME_TEST_ASAN)
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(void const volatile*, std::size_t),
                                                         void (*on_free)(void const volatile*));
#elif !defined(__GLIBC__)
#error "tests/allocation_counter.hpp: counts allocations through glibc's malloc or the address sanitizer"
#endif

/// Counts what a piece of code allocates, in all threads, be it by operator new (which asks malloc) or by
/// malloc, as Eigen does. With the address sanitizer through its hooks, else by standing before glibc's
/// malloc; a program of .cu units needs a .cpp unit for that, since nvcc takes malloc for the device's.
namespace detrame::test {

inline std::atomic<long> allocation_count = 0;

#if defined(DETRAME_TEST_ASAN)
inline int const allocation_hooks = __sanitizer_install_malloc_and_free_hooks(
    [](void const volatile*, std::size_t) { ++allocation_count; }, [](void const volatile*) {});
#endif

/// How often f() allocates.
template <class F>
long allocations(F&& f) {
  long const before = allocation_count;
  f();
  return allocation_count - before;
}

}  // namespace detrame::test

#if !defined(DETRAME_TEST_ASAN) && !defined(__CUDACC__)
// Weak, so that several units of a program may include this header;
// the program's own symbols still come first.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

__attribute__((weak)) void* malloc(std::size_t size) noexcept {
  ++detrame::test::allocation_count;
  return __libc_malloc(size);
}
__attribute__((weak)) void* calloc(std::size_t count, std::size_t size) noexcept {
  ++detrame::test::allocation_count;
  return __libc_calloc(count, size);
}
__attribute__((weak)) void* realloc(void* memory, std::size_t size) noexcept {
  ++detrame::test::allocation_count;
  return __libc_realloc(memory, size);
}
__attribute__((weak)) void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  ++detrame::test::allocation_count;
  return __libc_memalign(alignment, size);
}
}
#endif
