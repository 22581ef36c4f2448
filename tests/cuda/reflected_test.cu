// SPDX-License-Identifier: Apache-2.0
#include "cuda/reflected_test.hpp"
#include "detrame/backend/cuda/backend.hpp"

namespace detrame::laws {

TEST_CASE("layer laws on a device: reflected dictionaries of one update") {
  on_device<ByRows, Shape{3, 4, 4}>({.predict_allocates = true});
  on_device<ByNorm, Shape{3, 4, 4}>({.predict_allocates = true});
}
TEST_CASE("layer laws on a device: a reflected dictionary, exact") {
  on_device<Exactly, Shape{5}>({.conditioning = 60, .predict_allocates = true});
}
TEST_CASE("layer laws on a device: pairs of atoms") {
  on_device<InPairs, Shape{5}>({.conditioning = 60, .predict_allocates = true});
}
TEST_CASE("layer laws on a device: a head of unit rows") {
  on_device<UnitRows, Shape{7}>({.predict_allocates = true});
}

}  // namespace detrame::laws
