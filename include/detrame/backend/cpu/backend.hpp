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

template <class M>
  requires std::derived_from<M, Eigen::EigenBase<M>>
struct HomeOf<M> {
  using Backend = Cpu<typename M::Scalar>;
};

static_assert(Backend<Cpu<float>> && Backend<Cpu<double>>);

}  // namespace detrame::inline DETRAME_ABI
