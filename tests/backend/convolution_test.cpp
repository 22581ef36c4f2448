// SPDX-License-Identifier: Apache-2.0
#include "detrame/backend/cpu/convolution.hpp"

#include "detrame/backend/cpu/backend.hpp"
#include "laws/archetype.hpp"
#include "laws/convolution_laws.hpp"

namespace detrame {

TEST_CASE_TEMPLATE("Windows over images obey their laws", B, Cpu<float>, Cpu<double>, archetype::Loops<float>,
                   archetype::Loops<double>) {
  laws::convolution_laws<B>();
}

TEST_CASE("a window that fits nowhere is none") {
  CHECK(Window{3, 3, 3, 1, 0}.fits());
  CHECK(!Window{2, 3, 3, 1, 0}.fits());
  CHECK(!Window{3, 3, 3, 0, 0}.fits());
  CHECK(!Window{3, 3, 3, 1, 3}.fits());
  CHECK(!Window{0, 3, 1, 1, 0}.fits());
}

}  // namespace detrame
