// SPDX-License-Identifier: Apache-2.0
#pragma once

/// What most tests include: compiled once for each level of optimisation. Each test includes what it uses all
/// the same.
#include "detrame/backend/cpu/backend.hpp"
#include "laws/archetype.hpp"
#include "laws/layer_laws.hpp"
#include "support.hpp"
