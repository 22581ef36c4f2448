// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "detrame/backend/cuda/backend.hpp"
#include "detrame/network/any.hpp"
#include "network.hpp"

namespace experiment {

/// The network with a backend of its own. DomainError where there is no device.
std::unique_ptr<HostNetwork> on_backend(AnyNetwork<Cuda<float>> net, Place const& place,
                                        Manner const& manner);

}  // namespace experiment
