// expect: Unroll: T counts updates, so T >= 0
// SPDX-License-Identifier: Apache-2.0
#include "detrame/prox/stopping.hpp"

detrame::Unroll<-1> steps;
