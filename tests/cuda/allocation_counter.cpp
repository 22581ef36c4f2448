// SPDX-License-Identifier: Apache-2.0
// Stands before malloc for the .cu units of this program.
#include "allocation_counter.hpp"
