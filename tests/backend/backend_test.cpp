// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"

#include "laws/backend_laws.hpp"

namespace detrame {

TEST_CASE("backend laws: Cpu<float>") { laws::backend_laws<Cpu<float>>(); }
TEST_CASE("backend laws: Cpu<double>") { laws::backend_laws<Cpu<double>>(); }

}  // namespace detrame
