// expect: visit: all values must be of one parameter type
// SPDX-License-Identifier: Apache-2.0
#include "detrame/core/parameters.hpp"

struct Other : detrame::NoParameters {};

void walk() {
  detrame::visit([] {}, detrame::NoParameters(), Other());
}
