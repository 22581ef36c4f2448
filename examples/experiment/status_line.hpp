// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <iostream>

#include "detrame/train/status_line.hpp"

namespace experiment {

/// That of this program's output.
inline detrame::StatusLine status_line() { return {std::cout, ::isatty(STDOUT_FILENO) == 1}; }

}  // namespace experiment
