// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/cpu/each.hpp"
#include "detrame/backend/cpu/packet.hpp"
#include "detrame/backend/formulas.hpp"

/// What follows a product while its entries are in registers, for every kernel of products.
namespace detrame::inline DETRAME_ABI::detail {

/// A packet's worth of what a reader's column gives: read first, written back last.
template <class Scalar>
struct Beside {
  Scalar* memory;
  Packet<std::remove_const_t<Scalar>> value;

  [[gnu::always_inline]] Beside(Scalar* column, Index i)
      : memory(column + i), value(load<std::remove_const_t<Scalar>>(memory)) {}
  [[gnu::always_inline]] void write_back() const {
    if constexpr (!std::is_const_v<Scalar>) store(memory, value);
  }
};
template <class Constant>
  requires requires(Constant c) { c.value; }
struct Beside<Constant> {
  Packet<decltype(Constant::value)> value;

  [[gnu::always_inline]] Beside(Constant column, Index) : value(broadcast(column.value)) {}
  void write_back() const {}
};
template <class Scalar>
Beside(Scalar*, Index) -> Beside<Scalar>;
template <class Constant>
Beside(Constant, Index) -> Beside<Constant>;

/// emit(v, i, j, n): f(v_l, args_{i + l, j}...) for the first n scalars of v, a packet, or where v points to.
/// args as in `each`.
template <class Scalar, class F, class... Args>
auto epilogue(F const& f, Args&... args) {
  return [&f, ... read = argument<Scalar>(args)](auto v, Index i, Index j,
                                                 Index n) __attribute__((always_inline)) {
    constexpr Index L = lanes<Scalar>;
    [&](auto... column) __attribute__((always_inline)) {
      auto const whole_packet = [&](Packet<Scalar> values, auto&&... beside) __attribute__((always_inline)) {
        f(values, beside.value...);
        (beside.write_back(), ...);
      };
      auto const one_by_one = [&](Scalar const* values, Index l) __attribute__((always_inline)) {
        for (; l < n; ++l) f(values[l], column[i + l]...);
      };
      if constexpr (std::is_pointer_v<decltype(v)>) {
        Index l = 0;
        if constexpr (formula::on_packets<F>)
          for (; l + L <= n; l += L) whole_packet(load<Scalar>(v + l), Beside(column, i + l)...);
        one_by_one(v, l);
      } else {
        if constexpr (formula::on_packets<F>)
          if (n == L) return whole_packet(v, Beside(column, i)...);
        alignas(64) Scalar values[L];
        store(values, v);
        one_by_one(values, 0);
      }
    }(read.column(j)...);
  };
}

}  // namespace detrame::inline DETRAME_ABI::detail
