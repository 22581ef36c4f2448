// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include "detrame/core/errors.hpp"
#include "detrame/core/matrix_view.hpp"

namespace detrame::inline DETRAME_ABI {

/// How a data set is cut into batches.
///
/// Requires  size >= 1, else DomainError.
struct Batching {
  Index size;              ///< samples in a batch; all where there are less; the last one has what is left
  std::uint64_t seed = 0;  ///< of the order of the samples
  bool shuffled = true;    ///< a random order for each epoch, else that of the data set
  bool drop_last = false;  ///< batches of `size` samples alone: an epoch leaves out what is left of them

  /// How many batches an epoch of so many samples has.
  Index batches(Index samples) const {
    check();
    return samples / size + (!drop_last && samples % size > 0 ? 1 : 0);
  }
  /// How many samples they hold.
  Index samples_in(Index samples) const {
    check();
    return drop_last ? samples / size * size : samples;
  }
  /// How many samples the smallest of them has; 0 where there is none.
  Index least_batch(Index samples) const {
    Index const held = samples_in(samples), rest = held % size;
    return rest > 0 ? rest : std::min(held, size);
  }

  void check() const { require_at_least("Batching", "size", size, Index{1}); }
};

}  // namespace detrame::inline DETRAME_ABI
