// expect: Reshape: both shapes must have the same number of entries
// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/reshape.hpp"

using namespace detrame;

Bind<Reshape<Shape{3, 5}>, Shape{4, 2, 2}, Cpu<float>> layer;
