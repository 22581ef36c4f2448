// SPDX-License-Identifier: Apache-2.0
#include "cuda/network_test.hpp"
#include "detrame/backend/cuda/backend.hpp"

namespace detrame::laws {

TEST_CASE("layer laws on a device: BatchNorm") {
  on_device<BatchNorm, Shape{3, 2, 3}>({.of_the_batch = true});
}
TEST_CASE("layer laws on a device: GlobalAveragePool") { on_device<GlobalAveragePool, Shape{5, 2, 3}>(); }
TEST_CASE("layer laws on a device: Residual with PadChannels and BatchNorm") {
  on_device<Shortened, Shape{3, 3, 4}>({.of_the_batch = true});
}

}  // namespace detrame::laws
