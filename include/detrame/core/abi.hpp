// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <version>

#if !defined(__cpp_exceptions)
#error "detrame needs exceptions, which say what is wrong with a call: compile without -fno-exceptions"
#include <detrame needs exceptions: nothing more is said>  // which is where a compiler stops
#endif

/// What the units of a program must have in common: the instructions that they are compiled for, Eigen's
/// alignment, and threads (docs/decisions/0013-one-abi.md). It follows from flags and predefined macros, the
/// same before and after an include of Eigen, and for a device as for its host.
///
/// All of ours stands in an inline namespace DETRAME_ABI that is named after it, so that inline functions of
/// units with other flags are never merged with those of this one. Eigen's are: such units do not link.

/// Threads, where the compiler and its library have them. DETRAME_NO_THREADS: leave them alone.
#if !defined(DETRAME_NO_THREADS) && __has_include(<thread>) && \
    (!defined(__GLIBCXX__) || defined(_GLIBCXX_HAS_GTHREADS))
#define DETRAME_HAS_THREADS 1
#define DETRAME_ABI_THREADS , 0
#else
#define DETRAME_HAS_THREADS 0
#define DETRAME_ABI_THREADS _without_threads, 1
#endif

/// The steps that processors have taken, of which compilers make use anywhere, each with a number.
#if defined(__AVX512VL__) && defined(__AVX512BW__) && defined(__AVX512DQ__)
#define DETRAME_ABI_STEP avx512, 9
#elif defined(__AVX512F__)
#define DETRAME_ABI_STEP avx512f, 8
#elif defined(__AVX2__)
#define DETRAME_ABI_STEP avx2, 7
#elif defined(__AVX__)
#define DETRAME_ABI_STEP avx, 6
#elif defined(__SSE4_2__)
#define DETRAME_ABI_STEP sse4_2, 5
#elif defined(__SSE4_1__)
#define DETRAME_ABI_STEP sse4_1, 4
#elif defined(__SSE3__)
#define DETRAME_ABI_STEP sse3, 3
#elif defined(__ARM_FEATURE_SVE)
#define DETRAME_ABI_STEP sve, 2
#elif defined(__ARM_FEATURE_ATOMICS)
#define DETRAME_ABI_STEP lse, 1
#else
#define DETRAME_ABI_STEP baseline, 0
#endif
#if defined(__FMA4__)
#define DETRAME_ABI_FMA _fma4, 2
#elif defined(__FMA__) && !defined(__AVX512F__)
#define DETRAME_ABI_FMA _fma, 1
#else
#define DETRAME_ABI_FMA , 0
#endif

/// How Eigen aligns, on the heap and objects: as it was told, else as it decides by itself. The name has it
/// where the instructions do not say it.
#if defined(__AVX512F__)
#define DETRAME_ABI_VECTOR 64
#elif defined(__AVX__)
#define DETRAME_ABI_VECTOR 32
#else
#define DETRAME_ABI_VECTOR 16
#endif
#if defined(EIGEN_DONT_ALIGN) || (defined(EIGEN_DONT_VECTORIZE) && !defined(EIGEN_MAX_ALIGN_BYTES))
#define DETRAME_ABI_HEAP 0
#elif defined(EIGEN_MAX_ALIGN_BYTES)
#define DETRAME_ABI_HEAP EIGEN_MAX_ALIGN_BYTES
#else
#define DETRAME_ABI_HEAP DETRAME_ABI_VECTOR
#endif
#if defined(EIGEN_DONT_ALIGN_STATICALLY) ||                                                     \
    (!defined(EIGEN_MAX_STATIC_ALIGN_BYTES) &&                                                  \
     (defined(EIGEN_DONT_VECTORIZE) ||                                                          \
      !(defined(__i386__) || defined(__x86_64__) || defined(__arm__) || defined(__aarch64__) || \
        defined(__powerpc__) || defined(__ia64__) || defined(__mips__))))
#define DETRAME_ABI_OBJECTS 0
#elif defined(EIGEN_MAX_STATIC_ALIGN_BYTES) && EIGEN_MAX_STATIC_ALIGN_BYTES <= DETRAME_ABI_HEAP
#define DETRAME_ABI_OBJECTS EIGEN_MAX_STATIC_ALIGN_BYTES
#elif DETRAME_ABI_VECTOR <= DETRAME_ABI_HEAP && !defined(EIGEN_MAX_STATIC_ALIGN_BYTES)
#define DETRAME_ABI_OBJECTS DETRAME_ABI_VECTOR
#else
#define DETRAME_ABI_OBJECTS DETRAME_ABI_HEAP
#endif
#if DETRAME_ABI_HEAP == DETRAME_ABI_VECTOR && DETRAME_ABI_OBJECTS == DETRAME_ABI_VECTOR
#define DETRAME_ABI_ALIGNED(heap, objects) , 0
#else
#define DETRAME_ABI_ALIGNED(heap, objects) _aligned_##heap##_##objects, 1 + heap + 0x100 * objects
#endif

#define DETRAME_ABI_OF(what, ...) what(__VA_ARGS__)
#define DETRAME_ABI_AS(what)                                                   \
  DETRAME_ABI_OF(what, DETRAME_ABI_STEP, DETRAME_ABI_FMA, DETRAME_ABI_THREADS, \
                 DETRAME_ABI_OF(DETRAME_ABI_ALIGNED, DETRAME_ABI_HEAP, DETRAME_ABI_OBJECTS))
#define DETRAME_ABI_NAME(step, s, fma, f, threads, t, aligned, a) step##fma##threads##aligned
#define DETRAME_ABI_VALUE(step, s, fma, f, threads, t, aligned, a) "0x" #s #f #t "0000 + " #a
#define DETRAME_ABI DETRAME_ABI_AS(DETRAME_ABI_NAME)

/// An absolute symbol of this value in each unit: linkers take any number of equal ones, and no two others.
/// Within a function, so that link-time optimisation takes it to the assembler, which is told the same.
#if defined(__ELF__) && !defined(__CUDA_ARCH__)
#define DETRAME_ABI_SYMBOL(name, value)                         \
  ".ifdef " name "\n.if " name " - (" value ")\n.error \"" name \
  "\""                                                          \
  "\n.endif\n.else\n.globl " name "\n.hidden " name "\n.set " name ", " value "\n.endif"
namespace detrame::inline DETRAME_ABI::detail {
[[gnu::used]] static void declare_abi() {
  asm(DETRAME_ABI_SYMBOL(
      "detrame__all_units_of_a_program_must_be_compiled_with_the_same_vector_and_thread_flags",
      DETRAME_ABI_AS(DETRAME_ABI_VALUE)));
}
}  // namespace detrame::inline DETRAME_ABI::detail
#undef DETRAME_ABI_SYMBOL
#endif
