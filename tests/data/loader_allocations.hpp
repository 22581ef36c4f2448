// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "allocation_counter.hpp"
#include "support.hpp"

namespace detrame::test {

/// Three epochs of a loader, after its first batch, allocate nothing.
template <class Loader>
void check_allocates_nothing(Loader& loader) {
  REQUIRE(allocations([] { std::vector<int> v(10); }) > 0);
  loader.begin(0);
  loader.next();  // the thread has started, which is the runtime's to allocate for
  int sum = 0;
  CHECK(allocations([&] {
          for (std::uint64_t epoch = 1; epoch < 4; ++epoch) {
            loader.begin(epoch);
            while (auto const* batch = loader.next()) sum += batch->labels[0];
          }
        }) == 0);
  CHECK(sum > 0);
}

}  // namespace detrame::test
