// SPDX-License-Identifier: Apache-2.0
//
// golden FILE...: recomputes files of golden values with the library, and exits with 0 if all of them agree.
#include "golden/golden.hpp"

#include <iostream>

#include "detrame/backend/cpu/backend.hpp"

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: golden FILE...\n";
    return 2;
  }
  detrame::Cpu<double> backend(1);
  bool passed = true;
  for (int i = 1; i < argc; ++i) try {
      passed =
          golden::Golden<detrame::Cpu<double>>(backend, argv[i], golden::read(argv[i]), std::cout).check() &&
          passed;
    } catch (std::exception const& error) {
      std::cout << error.what() << ": FAILED\n";
      passed = false;
    }
  return passed ? 0 : 1;
}
