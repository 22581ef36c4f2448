// SPDX-License-Identifier: Apache-2.0
#include "cpu.hpp"

#include "on_backend.hpp"

namespace experiment {

std::unique_ptr<HostNetwork> on_backend(AnyNetwork<Cpu<float>> net, Place const& place,
                                        Manner const& manner) {
  return std::make_unique<OnBackend<Cpu<float>>>(std::move(net), manner, place.threads);
}

}  // namespace experiment
