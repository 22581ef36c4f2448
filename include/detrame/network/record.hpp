// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <utility>

#include "detrame/core/abi.hpp"

namespace detrame::inline DETRAME_ABI {

/// Element I of a Record.
template <std::size_t I, class X>
struct Leaf {
  X value{};
};

/// A flat list of values of different types: indexed bases, whose compile time is linear in their number
/// (std::tuple's is quadratic).
template <class Indices, class... X>
struct IndexedRecord;
template <std::size_t... I, class... X>
struct IndexedRecord<std::index_sequence<I...>, X...> : Leaf<I, X>... {};

template <class... X>
using Record = IndexedRecord<std::index_sequence_for<X...>, X...>;

/// Element I, found by the one base class that fits.
template <std::size_t I, class X>
constexpr X& leaf(Leaf<I, X>& l) {
  return l.value;
}
template <std::size_t I, class X>
constexpr X const& leaf(Leaf<I, X> const& l) {
  return l.value;
}

}  // namespace detrame::inline DETRAME_ABI
