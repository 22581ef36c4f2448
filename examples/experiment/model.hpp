// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <optional>

#include "data_sets.hpp"
#include "network.hpp"

namespace experiment {

/// A network with what its file says besides its parameters.
struct Model {
  Entry const* entry;
  std::unique_ptr<HostNetwork> network;
  std::string dataset;
  ChannelStatistics scale;  ///< how pixels in [0, 1] become what the network reads; empty: they are that
};

/// Writes into the metadata which network it is, and how images are scaled.
void describe(TensorFile& file, Entry const& entry, DataSet const& set, ChannelStatistics const& scale);

/// The network that a model's file describes, with its parameters; with `steps` updates where these are
/// given, for which the parameters are the same. FormatError where the file is no such file, DomainError
/// where the network is not compiled in.
Model model_of(TensorFile const& file, Place const& place, std::optional<int> steps = {});

/// normalise, where the model asks for it.
template <class Images>
void scale_images(Images& data, ChannelStatistics const& scale) {
  if (!scale.mean.empty()) normalise(data, scale);
}

/// Mean loss and correct samples of a data set, in batches; nothing where `stop` says so between two.
std::optional<Measured> measure_all(
    HostNetwork& network, ImageBytes<float> const& data,
    std::function<bool()> const& stop = [] { return false; });

}  // namespace experiment
