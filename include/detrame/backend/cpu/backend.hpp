// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/concept.hpp"
#include "detrame/backend/cpu/chunks.hpp"
#include "detrame/backend/cpu/convolution.hpp"
#include "detrame/backend/cpu/each.hpp"
#include "detrame/backend/cpu/factorisations.hpp"
#include "detrame/backend/cpu/gemm.hpp"
#include "detrame/backend/cpu/moments.hpp"
#include "detrame/backend/cpu/product.hpp"
#include "detrame/backend/cpu/sums.hpp"
#include "detrame/backend/cpu/team.hpp"

namespace detrame::inline DETRAME_ABI {

static_assert(Backend<Cpu<float>> && Backend<Cpu<double>>);

}  // namespace detrame::inline DETRAME_ABI
