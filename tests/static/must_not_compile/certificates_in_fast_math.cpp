// expect: certificates need IEEE arithmetic: compile without -ffast-math
// flags: -ffast-math
// SPDX-License-Identifier: Apache-2.0
#include "detrame/operator/definite.hpp"

int main() {
  std::vector<double> H{1};
  return detrame::detail::shown_definite(H, 1, 0) ? 0 : 1;
}
