// expect: Smooth: delta must be > 0, finite and normal in the scalar of the backend
// SPDX-License-Identifier: Apache-2.0
#include "detrame/detrame.hpp"

using namespace detrame;

auto rule() { return Smooth<Delta{1e-50}>::at<float>(); }
