// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <limits>
#include <optional>

#include "detrame/core/matrix_view.hpp"

namespace detrame::inline DETRAME_ABI {

/// The product of some sizes, product_of_sizes({rows, cols}): nothing where one is negative, or where the
/// product of those other than 0 does not fit an Index, so that no product of some of them overflows either.
///
/// Tested    tests/core/sizes_test.cpp
template <class Sizes = std::initializer_list<Index>>
constexpr std::optional<Index> product_of_sizes(Sizes const& sizes) {
  Index product = 1;
  bool empty = false;
  for (Index const size : sizes) {
    if (size < 0 || (size > 0 && product > std::numeric_limits<Index>::max() / size)) return std::nullopt;
    empty = empty || size == 0;
    if (size > 0) product *= size;
  }
  return empty ? 0 : product;
}

}  // namespace detrame::inline DETRAME_ABI
