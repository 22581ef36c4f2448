// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "detrame/core/abi.hpp"

namespace detrame::inline DETRAME_ABI {

/// The CRC-64 of bytes that come piece by piece: the remainder modulo the polynomial of ECMA-182, bits
/// reflected, register and result inverted, as in xz. Two contents of one length that differ in one bit, or
/// within 64 neighbouring bits alone, never have the same.
///
/// Cost      a table of 2 KiB; a look-up a byte
/// Source    ECMA-182, annex B; the catalogue of parametrised CRC algorithms, CRC-64/XZ: "123456789" gives
///           995dc9bbdf1939fa.
/// Tested    tests/core/checksum_test.cpp
class Checksum {
 public:
  constexpr void add(std::uint8_t const* bytes, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) state_ = table[(state_ ^ bytes[i]) & 255] ^ (state_ >> 8);
  }
  constexpr std::uint64_t value() const { return ~state_; }

 private:
  static constexpr std::array<std::uint64_t, 256> table = [] {
    std::array<std::uint64_t, 256> remainders{};
    for (std::uint64_t byte = 0; byte < 256; ++byte) {
      std::uint64_t r = byte;
      for (int bit = 0; bit < 8; ++bit) r = (r >> 1) ^ ((r & 1) != 0 ? 0xc96c5795d7870f42u : 0);
      remainders[byte] = r;
    }
    return remainders;
  }();

  std::uint64_t state_ = ~std::uint64_t{0};
};

}  // namespace detrame::inline DETRAME_ABI
