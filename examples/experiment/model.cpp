// SPDX-License-Identifier: Apache-2.0
#include "model.hpp"

#include <cmath>

#include "detrame/io/conventions.hpp"

namespace experiment {

namespace {

std::string list_text(std::vector<double> const& numbers) {
  std::string text;
  for (double const number : numbers) text += (text.empty() ? "" : " ") + number_text(number);
  return text;
}

/// The numbers of a list, as many as there are channels or none at all.
std::vector<double> list_of(TensorFile const& file, std::string const& key, Index channels) {
  std::istringstream in(text_of(file, key));
  std::vector<double> numbers;
  TensorFile part{file.name, {}, {}};
  while (in >> part.metadata[key]) numbers.push_back(number_of<double>(part, key));
  if (!numbers.empty() && static_cast<Index>(numbers.size()) != channels)
    throw FormatError(message(file.name, ": __metadata__: ", key, ": expected ", channels,
                              " numbers, one a channel, found ", numbers.size()));
  return numbers;
}

}  // namespace

void describe(TensorFile& file, Entry const& entry, DataSet const& set, ChannelStatistics const& scale) {
  auto& m = file.metadata;
  m["written by"] = version_text();
  m["network"] = entry.net();
  m["depth"] = number_text(entry.depth);
  m["widen"] = number_text(entry.widen);
  m["T"] = number_text(entry.steps);
  m["channels"] = number_text(entry.shape.channels);
  m["height"] = number_text(entry.shape.height);
  m["width"] = number_text(entry.shape.width);
  m["classes"] = number_text(entry.classes);
  m["data"] = set.name;
  m["mean"] = list_text(scale.mean);
  m["deviation"] = list_text(scale.deviation);
}

Model model_of(TensorFile const& file, Place const& place, std::optional<int> steps) {
  Wanted const wanted{
      text_of(file, "network"),
      number_of<int>(file, "depth"),
      number_of<int>(file, "widen"),
      steps.value_or(number_of<int>(file, "T")),
      {number_of<Index>(file, "channels"), number_of<Index>(file, "height"), number_of<Index>(file, "width")},
      number_of<int>(file, "classes")};
  Entry const& entry = find_network(wanted);
  Model model{
      &entry,
      entry.make(place),
      text_of(file, "data"),
      {list_of(file, "mean", wanted.shape.channels), list_of(file, "deviation", wanted.shape.channels)}};
  auto const& [mean, deviation] = model.scale;
  if (mean.size() != deviation.size())
    throw FormatError(message(file.name, ": __metadata__: expected as many means as deviations, found ",
                              mean.size(), " and ", deviation.size()));
  for (std::size_t c = 0; c < mean.size(); ++c)
    if (!std::isfinite(mean[c]) || !(deviation[c] > 0) || !std::isfinite(deviation[c]))
      throw FormatError(message(file.name, ": __metadata__: expected finite means and deviations > 0, found ",
                                mean[c], " and ", deviation[c]));
  model.network->load(file);
  return model;
}

std::optional<Measured> measure_all(HostNetwork& network, ImageBytes<float> const& data,
                                    std::function<bool()> const& stop) {
  constexpr Index batch = 200;
  Measured sum{0, 0};
  for (Index first = 0; first < data.samples(); first += batch) {
    if (stop()) return std::nullopt;
    auto const part = unpacked(subset(data, first, std::min(batch, data.samples() - first)));
    Measured const m = network.measure(part.images, part.labels);
    sum.loss += m.loss * static_cast<double>(part.samples());
    sum.correct += m.correct;
  }
  sum.loss /= static_cast<double>(std::max<Index>(data.samples(), 1));
  return sum;
}

}  // namespace experiment
