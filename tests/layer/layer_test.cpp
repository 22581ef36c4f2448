// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/dense.hpp"
#include "detrame/layer/dropout.hpp"
#include "detrame/layer/relu.hpp"
#include "detrame/layer/reshape.hpp"
#include "laws/archetype.hpp"
#include "laws/layer_laws.hpp"

namespace detrame {

template <Recipe R, Shape in>
void everywhere() {
  laws::layer<R, in, Cpu, archetype::Loops>();
}

TEST_CASE("(N2) Dense obeys the laws of a layer, at one site and at many: a 1 x 1 convolution") {
  everywhere<Dense<4>, Shape{5}>();
  everywhere<Dense<4>, Shape{5, 2, 3}>();
}

TEST_CASE("ReLU obeys the laws of a layer") {
  everywhere<ReLU, Shape{5}>();
  everywhere<ReLU, Shape{5, 2, 3}>();
}

TEST_CASE("Dropout obeys the laws of a layer") {
  everywhere<Dropout<Rate{.4}>, Shape{5}>();
  everywhere<Dropout<Rate{.4}>, Shape{5, 2, 3}>();
}

TEST_CASE("(N1) Reshape and Flatten obey the laws of a layer") {
  everywhere<Reshape<Shape{3, 5, 2}>, Shape{5, 2, 3}>();
  everywhere<Reshape<Shape{2, 3}>, Shape{6}>();
  everywhere<Flatten, Shape{5, 2, 3}>();
  everywhere<Flatten, Shape{5}>();
}

}  // namespace detrame
