// SPDX-License-Identifier: Apache-2.0
#include <detrame/data/idx.hpp>
#include <detrame/detrame.hpp>

int version_in_b() { return DETRAME_VERSION; }
