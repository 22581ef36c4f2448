// SPDX-License-Identifier: Apache-2.0
#include "detrame/core/abi.hpp"

int answer_of_b() { return 3; }
