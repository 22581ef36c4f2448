// SPDX-License-Identifier: Apache-2.0
#pragma once

/// The inline namespace of everything of ours, named after the vectors that the unit is compiled for: inline
/// functions of units with other flags are never merged with those of this one.
#if defined(__AVX512F__)
#define DETRAME_ABI avx512
#elif defined(__AVX2__)
#define DETRAME_ABI avx2
#elif defined(__AVX__)
#define DETRAME_ABI avx
#else
#define DETRAME_ABI baseline
#endif
