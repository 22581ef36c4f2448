// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "detrame/layer/start.hpp"

namespace detrame::inline DETRAME_ABI {

/// W of a linear layer, or of a convolution whose kernel has `window` entries. It starts normal of deviation
/// 1 / sqrt(3 inputs), as PyTorch's linear layers do.
struct LinearWeight : Role {
  constexpr explicit LinearWeight(Index window_ = 1)
      : Role{.name = "weight", .stream = 0, .window = window_, .weight = true} {}

  template <class Scalar, class Policy>
  void start(HostMatrix<Scalar>& p, Random const& random, Policy const&) const {
    fill_normal(p, random, std::sqrt(1. / (3 * static_cast<double>(p.cols()))));
  }
};

/// c of a linear layer.
inline constexpr Role linear_bias{.name = "bias", .stream = 1};

}  // namespace detrame::inline DETRAME_ABI
