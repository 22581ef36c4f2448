// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "inspect.hpp"

namespace experiment {

/// What `noise` is told.
struct NoiseAsked {
  Inspected at;
  std::vector<double> rho{.01, .03, .1, .3, 1};
  std::uint64_t seed = 1;
  std::vector<std::uint64_t> seeds{};  ///< in place of it, where there are any
  std::filesystem::path out;           ///< where results go; empty: nowhere
};

/// Accuracy and labels of the test images under Gaussian noise of a share rho of each image's energy, its
/// pixels' and that of their differences from the channels' means, with and without clipping to [0, 1].
void add_noise(NoiseAsked const& asked);

}  // namespace experiment
