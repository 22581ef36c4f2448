// SPDX-License-Identifier: Apache-2.0
#include "victim.hpp"

namespace experiment {

namespace {

ChannelStatistics scale_of(Model const& model) {
  if (!model.scale.mean.empty()) return model.scale;
  auto const channels = static_cast<std::size_t>(model.entry->shape.channels);
  return {std::vector<double>(channels, 0.), std::vector<double>(channels, 1.)};
}

}  // namespace

Victim::Victim(Inspected const& asked)
    : file(read_model(model_in(asked.checkpoint), "")),
      model(model_of(file.content, asked.place)),
      scale(scale_of(model)),
      network(*model.network, *model.entry, asked.place.threads),
      pixels(network, scale.mean, scale.deviation) {
  require_finite_tensors(file.content);
}

HostMatrix<float> batch_of(ImageBytes<float> const& images, Index first, Index count) {
  return unpacked(subset(images, first, count)).images;
}

}  // namespace experiment
