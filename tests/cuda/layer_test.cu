// SPDX-License-Identifier: Apache-2.0
#include "cuda/layer_test.hpp"
#include "detrame/backend/cuda/backend.hpp"

namespace detrame::laws {

TEST_CASE("layer laws on a device: Dense") { on_device<Affine, Shape{5, 2, 3}>(); }
TEST_CASE("layer laws on a device: Convolution") { on_device<Strided, Shape{2, 5, 4}>(); }
TEST_CASE("layer laws on a device: Patches") { on_device<Patched, Shape{2, 5, 4}>(); }
TEST_CASE("layer laws on a device: ReLU") { on_device<ReLU, Shape{5, 2, 3}>(); }
TEST_CASE("layer laws on a device: Dropout") { on_device<Dropped, Shape{5, 2, 3}>(); }
TEST_CASE("layer laws on a device: QMetricReLU by blocks") { on_device<Blockwise, Shape{6, 2, 3}>(); }
TEST_CASE("layer laws on a device: QMetricReLU with windows") { on_device<Sliding, Shape{4, 3, 5}>(); }

}  // namespace detrame::laws
