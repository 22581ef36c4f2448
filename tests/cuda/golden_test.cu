// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "detrame/backend/cuda/backend.hpp"
#include "golden/golden.hpp"

TEST_CASE("golden values, computed elsewhere, on a device") {
  detrame::Cuda<double> b;
  for (char const* const name :
       {"tied_small", "tied_overcomplete", "tied_medium", "free_dense", "free_conv"}) {
    std::ostringstream report;
    std::string const file = std::string("tests/golden/") + name + ".txt";
    bool const passed = golden::Golden(b, file, golden::read(file), report).check();
    CHECK_MESSAGE(passed, report.str());
  }
}
