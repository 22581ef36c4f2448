// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/formula/activation.hpp"
#include "detrame/backend/formula/entries.hpp"
#include "detrame/backend/formula/moments.hpp"
#include "detrame/backend/formula/penalty.hpp"
#include "detrame/backend/formula/terms.hpp"

/// Scalar formulas, each once, for host and device: here those that several folders use, the others in the
/// header of what they belong to. A backend maps them over matrices (`each`), sums them (`row_sums`,
/// `column_sums`) or fuses them into a product (`product_each`).
///
/// Output arguments come first, by reference; then what is read. "Fused to v" means: v is an entry of the
/// product just formed, the first argument.
///
/// A formula marked `on_packets` uses nothing but + - * ?: comparisons and Scalar{}, so that Scalar may be a
/// vector of the compiler too: one call for several entries.
namespace detrame::inline DETRAME_ABI::formula {

template <class F>
#if defined(__CUDACC__)  // nvcc takes no vectors in what host and device share: entry by entry there
inline constexpr bool on_packets = false;
#else
inline constexpr bool on_packets = requires { requires F::on_packets; };
#endif

}  // namespace detrame::inline DETRAME_ABI::formula
