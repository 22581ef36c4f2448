// SPDX-License-Identifier: Apache-2.0
#include "cuda/dictionary_test.hpp"
#include "detrame/backend/cuda/backend.hpp"

namespace detrame::laws {

TEST_CASE("layer laws on a device: Dictionary, exact") {
  on_device<Coded, Shape{5}>({.conditioning = 15, .predict_allocates = true});
}
TEST_CASE("layer laws on a device: Dictionary, unrolled") {
  on_device<Unrolled2, Shape{5, 2, 3}>({.conditioning = 15, .predict_allocates = true});
}
TEST_CASE("(K4) ConvolutionalDictionary, exact, on a device agrees with the CPU") {
  agrees_on_device<CodedImage, Shape{2, 3, 4}>({.conditioning = 60});
}

}  // namespace detrame::laws
