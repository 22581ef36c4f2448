// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/concept.hpp"
#include "detrame/backend/cuda/chunks.hpp"
#include "detrame/backend/cuda/convolution.hpp"
#include "detrame/backend/cuda/each.hpp"
#include "detrame/backend/cuda/factorisations.hpp"
#include "detrame/backend/cuda/gemm.hpp"
#include "detrame/backend/cuda/moments.hpp"
#include "detrame/backend/cuda/sums.hpp"
#include "detrame/backend/cuda/team.hpp"

namespace detrame::inline DETRAME_ABI {

template <class Scalar>
struct HomeOf<DeviceMatrix<Scalar>> {
  using Backend = Cuda<Scalar>;
};

static_assert(Backend<Cuda<float>> && Backend<Cuda<double>>);

}  // namespace detrame::inline DETRAME_ABI
