// SPDX-License-Identifier: Apache-2.0
#include "deep_dictionary.hpp"

#include <cmath>
#include <cstdio>

#include "model.hpp"

namespace experiment {

namespace {

constexpr std::string_view family = "deep-dictionary";

double relative_distance(HostMatrix<float> const& u, HostMatrix<float> const& exact) {
  double apart = 0, size = 0;
  for (Index i = 0; i < exact.rows() * exact.cols(); ++i) {
    double const e = exact.data()[i], difference = u.data()[i] - e;
    apart += difference * difference;
    size += e * e;
  }
  return apart == 0 ? 0 : std::sqrt(apart / size);
}

}  // namespace

bool has_dictionaries_for(Entry const& entry, TensorFile const& model) {
  auto const network = model.metadata.find("network");
  return entry.family == family && entry.steps > 0 && network != model.metadata.end() &&
         network->second == family;
}

std::vector<CodeDistance> start_from_dictionaries(HostNetwork& network, TensorFile const& model,
                                                  Place const& place, HostMatrix<float> const& images) {
  Model const dictionaries = model_of(model, place);
  network.start_from(*dictionaries.network);
  auto const exact = dictionaries.network->codes(images), own = network.codes(images);
  std::vector<CodeDistance> distances;
  for (std::size_t i = 0; i < exact.size(); ++i)
    distances.push_back({own.at(i).place, relative_distance(own[i].u, exact[i].u)});
  return distances;
}

std::string distance_text(std::vector<CodeDistance> const& distances) {
  std::string text = "codes are ";
  for (std::size_t i = 0; i < distances.size(); ++i) {
    char part[32];
    std::snprintf(part, sizeof part, "%.3g %%", 100 * distances[i].distance);
    text += (i == 0 ? "" : i + 1 == distances.size() ? " and " : ", ") + std::string(part);
  }
  return text + " from the exact ones, layer by layer";
}

}  // namespace experiment
