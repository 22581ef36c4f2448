// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cuda/backend.hpp"
#include "laws/backend_laws.hpp"
#include "laws/convolution_laws.hpp"

namespace detrame {

TEST_CASE("backend laws: Cuda<float>") { laws::backend_laws<Cuda<float>>(); }
TEST_CASE("backend laws: Cuda<double>") { laws::backend_laws<Cuda<double>>(); }
TEST_CASE("convolution laws: Cuda<float>") { laws::convolution_laws<Cuda<float>>(); }
TEST_CASE("convolution laws: Cuda<double>") { laws::convolution_laws<Cuda<double>>(); }

}  // namespace detrame
