// SPDX-License-Identifier: Apache-2.0
#include "cuda.hpp"
#include "on_backend.hpp"

namespace experiment {

std::unique_ptr<HostNetwork> on_backend(AnyNetwork<Cuda<float>> net, Place const&, Manner const& manner) {
  if (!Cuda<float>::available()) throw DomainError("--device cuda: there is no CUDA device here");
  return std::make_unique<OnBackend<Cuda<float>>>(std::move(net), manner);
}

}  // namespace experiment
