// SPDX-License-Identifier: Apache-2.0
#include "detrame/core/checksum.hpp"

#include <string_view>
#include <vector>

#include "support.hpp"

namespace detrame {

using namespace test;

namespace {

std::uint64_t checksum(std::vector<std::uint8_t> const& bytes) {
  Checksum sum;
  sum.add(bytes.data(), bytes.size());
  return sum.value();
}

std::vector<std::uint8_t> bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

/// The remainder by long division, a bit at a time, in the order of ECMA-182: nothing is reflected, no table.
std::uint64_t by_division(std::vector<std::uint8_t> const& bytes) {
  auto const reversed = [](std::uint64_t word, int bits) {
    std::uint64_t r = 0;
    for (int i = 0; i < bits; ++i) r |= (word >> i & 1) << (bits - 1 - i);
    return r;
  };
  std::uint64_t r = ~std::uint64_t{0};
  for (std::uint8_t const byte : bytes) {
    r ^= reversed(byte, 8) << 56;
    for (int bit = 0; bit < 8; ++bit) r = (r << 1) ^ (r >> 63 != 0 ? 0x42f0e1eba9ea3693u : 0);
  }
  return reversed(~r, 64);
}

}  // namespace

TEST_CASE("checksum: the published check value of CRC-64/XZ, and long division") {
  CHECK(checksum(bytes_of("123456789")) == 0x995dc9bbdf1939fau);
  CHECK(checksum({}) == 0);
  Random const random(seed(1), 0);
  for (std::uint64_t trial = 0; trial < 50; ++trial) {
    std::vector<std::uint8_t> bytes(trial);
    for (std::size_t i = 0; i < bytes.size(); ++i)
      bytes[i] = static_cast<std::uint8_t>(random.below(256, 64 * trial + i));
    CHECK(checksum(bytes) == by_division(bytes));
    Checksum pieces;
    pieces.add(bytes.data(), bytes.size() / 3);
    pieces.add(bytes.data() + bytes.size() / 3, bytes.size() - bytes.size() / 3);
    CHECK(pieces.value() == checksum(bytes));
  }
}

TEST_CASE("checksum: every flipped bit, and every pair of them, gives another") {
  std::vector<std::uint8_t> bytes(24, 0x5a);
  std::uint64_t const whole = checksum(bytes);
  std::size_t const bits = 8 * bytes.size();
  int same = 0;
  auto const flip = [&](std::size_t bit) { bytes[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8); };
  for (std::size_t i = 0; i < bits; ++i) {
    flip(i);
    same += checksum(bytes) == whole;
    for (std::size_t j = 0; j < i; ++j) {
      flip(j);
      same += checksum(bytes) == whole;
      flip(j);
    }
    flip(i);
  }
  CHECK(same == 0);
}

}  // namespace detrame
