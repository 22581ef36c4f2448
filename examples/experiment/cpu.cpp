// SPDX-License-Identifier: Apache-2.0
#include "cpu.hpp"

#include "on_backend.hpp"

namespace experiment {

std::unique_ptr<HostNetwork> on_backend(AnyNetwork<Cpu<float>> net, Place const& place) {
  return std::make_unique<OnBackend<Cpu<float>>>(std::move(net), place.threads);
}

}  // namespace experiment
