// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>

#include "detrame/core/abi.hpp"

/// What std::numeric_limits says, as constants: its functions are the host's alone.
namespace detrame::inline DETRAME_ABI::limits {

template <class Scalar>
inline constexpr Scalar epsilon = std::numeric_limits<Scalar>::epsilon();
template <class Scalar>
inline constexpr Scalar largest = std::numeric_limits<Scalar>::max();
template <class Scalar>
inline constexpr Scalar smallest = std::numeric_limits<Scalar>::min();  ///< with all its digits
template <class Scalar>
inline constexpr Scalar least = std::numeric_limits<Scalar>::denorm_min();
template <class Scalar>
inline constexpr int exponent = std::numeric_limits<Scalar>::max_exponent;
template <class Scalar>
inline constexpr Scalar infinity = std::numeric_limits<Scalar>::infinity();
template <class Scalar>
inline constexpr Scalar nan = std::numeric_limits<Scalar>::quiet_NaN();

/// Whether the compiler keeps to the arithmetic that proofs of rounding are about: not under -ffast-math,
/// which reorders sums, forgets NaN and infinity, and flushes subnormal numbers.
template <class Scalar>
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
inline constexpr bool kept = false;
#else
inline constexpr bool kept = std::numeric_limits<Scalar>::is_iec559;
#endif

}  // namespace detrame::inline DETRAME_ABI::limits
