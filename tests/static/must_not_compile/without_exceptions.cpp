// expect: detrame needs exceptions, which say what is wrong with a call: compile without -fno-exceptions
// flags: -fno-exceptions
// SPDX-License-Identifier: Apache-2.0
#include "detrame/detrame.hpp"
