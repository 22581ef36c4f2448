// expect: Dictionary: the recursion is Jacobi or Gershgorin
// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"
#include "detrame/layer/dictionary_unrolled.hpp"

using namespace detrame;

Bind<Dictionary<4, Unrolled<GaussSeidel, Unroll<2>>>, Shape{5}, Cpu<float>> layer;
