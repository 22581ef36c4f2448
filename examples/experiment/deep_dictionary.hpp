// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "network.hpp"

namespace experiment {

/// How far the codes of a network are from those of the deep dictionary that it starts from, layer by layer:
/// |u - u*| / |u*| over all images, each network on its own codes of the layer before; 0
/// where both are all 0.
struct CodeDistance {
  std::string place;
  double distance;
};

/// Whether a model's file has a deep dictionary from which a network of this entry starts, in place of
/// parameters of the same names.
bool has_dictionaries_for(Entry const& entry, TensorFile const& model);

/// The network's parameters become what the dictionaries of a model make of them (start_from_dictionary), and
/// its codes of some images, scaled as it reads them, are compared with the exact ones.
///
/// Requires  has_dictionaries_for its entry; the place is the network's. ShapeError where the networks are
///           not of the same widths, FormatError where the file is no model.
std::vector<CodeDistance> start_from_dictionaries(HostNetwork& network, TensorFile const& model,
                                                  Place const& place, HostMatrix<float> const& images);

/// "codes are 1.2 % and 3.4 % from the exact ones": for the run's output.
std::string distance_text(std::vector<CodeDistance> const& distances);

}  // namespace experiment
