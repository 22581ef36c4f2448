// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/backend.hpp"

#include "laws/backend_laws.hpp"

namespace detrame {

TEST_CASE("backend laws: Cpu<float>") { laws::backend_laws<Cpu<float>>(); }
TEST_CASE("backend laws: Cpu<double>") { laws::backend_laws<Cpu<double>>(); }
TEST_CASE_TEMPLATE("backend: what a column throws arrives, Cpu", Scalar, float, double) {
  Cpu<Scalar> b;
  laws::what_a_column_throws_arrives(b);
}

}  // namespace detrame
