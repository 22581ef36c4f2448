// expect: Stack: at least one layer
// SPDX-License-Identifier: Apache-2.0
#include "detrame/network/stack.hpp"

detrame::Stack<> stack;
