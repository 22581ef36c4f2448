// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <utility>

#include "detrame/core/host_device.hpp"
#include "detrame/core/matrix_view.hpp"

namespace detrame::inline DETRAME_ABI {

/// Random numbers as a function of (seed, stream, position): no state, so the numbers depend neither on the
/// order in which they are asked for nor on the number of threads. `bits`, `uniform` and `below` are the same
/// on host and device, bit for bit; `normal` is so up to the rounding of log and cos.
///
/// Philox4x32-10, Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
class Random {
 public:
  DETRAME_HOST_DEVICE constexpr Random(std::uint64_t seed, std::uint64_t stream)
      : seed_(seed), stream_(stream) {}

  /// 32 uniform bits at a position.
  DETRAME_HOST_DEVICE constexpr std::uint32_t bits(std::uint64_t position) const {
    Block const b = block(position / 4);
    // Selected, not indexed: so a loop over positions is vectorised.
    std::uint32_t const low = position & 1 ? b.word[1] : b.word[0],
                        high = position & 1 ? b.word[3] : b.word[2];
    return position & 2 ? high : low;
  }

  /// Uniform in [0, 1), a multiple of 2^-24 for float and 2^-32 for double.
  template <class Scalar>
  DETRAME_HOST_DEVICE constexpr Scalar uniform(std::uint64_t position) const {
    if constexpr (sizeof(Scalar) == 4)
      return static_cast<Scalar>(bits(position) >> 8) * Scalar(1.0 / 16777216.0);
    else
      return static_cast<Scalar>(bits(position)) * Scalar(1.0 / 4294967296.0);
  }

  /// Standard normal (Box and Muller), computed in double and rounded.
  template <class Scalar>
  DETRAME_HOST_DEVICE Scalar normal(std::uint64_t position) const {
    Block const b = block(position);
    double const u = (static_cast<double>(b.word[0]) + 0.5) * (1.0 / 4294967296.0);
    double const v = static_cast<double>(b.word[1]) * (1.0 / 4294967296.0);
    return static_cast<Scalar>(std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586477 * v));
  }

  /// Uniform in {0, ..., n - 1}, up to n / 2^32. Requires 1 <= n <= 2^32.
  DETRAME_HOST_DEVICE constexpr Index below(Index n, std::uint64_t position) const {
    return static_cast<Index>((static_cast<std::uint64_t>(bits(position)) * static_cast<std::uint64_t>(n)) >>
                              32);
  }

 private:
  struct Block {
    std::uint32_t word[4];
  };

  DETRAME_HOST_DEVICE constexpr Block block(std::uint64_t counter) const {
    std::uint32_t x0 = static_cast<std::uint32_t>(counter), x1 = static_cast<std::uint32_t>(counter >> 32);
    std::uint32_t x2 = static_cast<std::uint32_t>(stream_), x3 = static_cast<std::uint32_t>(stream_ >> 32);
    std::uint32_t k0 = static_cast<std::uint32_t>(seed_), k1 = static_cast<std::uint32_t>(seed_ >> 32);
    for (int round = 0; round < 10; ++round) {
      std::uint64_t const p0 = std::uint64_t{0xD2511F53} * x0;
      std::uint64_t const p1 = std::uint64_t{0xCD9E8D57} * x2;
      x0 = static_cast<std::uint32_t>(p1 >> 32) ^ x1 ^ k0;
      x1 = static_cast<std::uint32_t>(p1);
      x2 = static_cast<std::uint32_t>(p0 >> 32) ^ x3 ^ k1;
      x3 = static_cast<std::uint32_t>(p0);
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    return {{x0, x1, x2, x3}};
  }

  std::uint64_t seed_;
  std::uint64_t stream_;
};

/// One random order of 0, ..., n - 1 for a (seed, stream): Fisher and Yates. `order` is overwritten.
template <class Indices>
void shuffle(Random const& random, Indices& order) {
  Index const n = static_cast<Index>(order.size());
  for (Index i = 0; i < n; ++i) order[static_cast<std::size_t>(i)] = i;
  for (Index i = n - 1; i > 0; --i)
    std::swap(order[static_cast<std::size_t>(i)],
              order[static_cast<std::size_t>(random.below(i + 1, static_cast<std::uint64_t>(i)))]);
}

/// What the random parts of a training step depend on: nothing else, so masks are the same for any cutting.
/// A Stack derives the draw of each layer with `at`.
struct Draw {
  std::uint64_t seed = 0;
  std::uint64_t step = 0;
  Index first_sample = 0;
  std::uint64_t path = 0;  ///< which layer: hashed from the positions on the way to it
  bool dropping = true;    ///< false: no layer drops anything, for gradients that are compared with others
  bool inference = false;  ///< true: forward is the inference map, and pullback the gradient of that

  constexpr Draw at(Index position) const {
    Draw d = *this;
    d.path = (path ^ static_cast<std::uint64_t>(position + 1)) * 0x100000001B3ull;
    return d;
  }
  constexpr Random random() const { return {seed, step ^ (path * 0x9E3779B97F4A7C15ull)}; }
};

}  // namespace detrame::inline DETRAME_ABI
