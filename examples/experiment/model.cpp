// SPDX-License-Identifier: Apache-2.0
#include "model.hpp"

#include <cmath>
#include <cstring>
#include <numeric>

#include "detrame/io/checkpoint.hpp"
#include "detrame/io/conventions.hpp"
#include "text.hpp"

namespace experiment {

namespace {

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
  m["mean"] = joined(scale.mean, " ");
  m["deviation"] = joined(scale.deviation, " ");
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

void load_other(Model& model, TensorFile const& file) {
  Entry const& own = *model.entry;
  if (auto const net = file.metadata.find("network");
      own.steps > 0 && net != file.metadata.end() && net->second == own.family)
    throw FormatError(message(file.name, ": ", net->second, " has no W_tilde, h and b from which ", own.net(),
                              " could start"));
  model.network->load(file);
}

std::filesystem::path model_in(std::filesystem::path const& file_or_folder) {
  if (std::error_code none; !std::filesystem::is_directory(file_or_folder, none)) return file_or_folder;
  if (auto const step = latest_step(file_or_folder))
    return file_or_folder / (detail::step_name(*step) + ".model.safetensors");
  return file_or_folder / "model.safetensors";
}

ModelFile read_model(std::filesystem::path const& file, std::string const& expected) {
  std::ifstream in = open_file(file, "a safetensors file");
  Checksum sum;
  TensorFile model = read_safetensors(in, file.string(), &sum);
  std::string const found = hexadecimal_text(sum.value());
  if (!expected.empty() && expected != found)
    throw FormatError(message(model.name, ": expected the checksum ", expected.substr(0, 40),
                              " of --from-checksum, found ", found));
  return {std::move(model), found};
}

void require_finite_scores(HostMatrix<float> const& scores, Index first) {
  for (Index j = 0; j < scores.cols(); ++j)
    for (Index i = 0; i < scores.rows(); ++i)
      if (!std::isfinite(scores(i, j)))
        throw NotFinite(message("image ", first + j, ": its scores are not finite, that of class ", i, " is ",
                                scores(i, j)));
}

void require_finite_tensors(TensorFile const& file) {
  for (auto const& [name, t] : file.tensors) {
    if (t.dtype != DType::f32) continue;
    float value;
    for (std::size_t i = 0; i + sizeof value <= t.bytes.size(); i += sizeof value)
      if (std::memcpy(&value, &t.bytes[i], sizeof value); !std::isfinite(value))
        throw NotFinite(
            message(file.name, file.name.empty() ? "" : ": ", "an entry of ", name, " is ", value));
  }
}

Tally::Tally(int classes)
    : images_of(static_cast<std::size_t>(classes)), correct_of(images_of), positive_of(images_of) {}

void Tally::add(double loss, HostMatrix<float> const& scores, std::span<int const> labels) {
  require_finite_scores(scores, samples_);
  if (!std::isfinite(loss))
    throw NotFinite(
        message("images ", samples_, " ... ", samples_ + scores.cols() - 1, ": their mean loss is ", loss));
  for (Index j = 0; j < scores.cols(); ++j) {
    int const label = labels[static_cast<std::size_t>(j)];
    bool alone = true;
    for (int i = 0; i < scores.rows(); ++i) {
      alone = alone && (i == label || scores(i, j) < scores(label, j));
      positive_of[static_cast<std::size_t>(i)] += scores(i, j) > 0;
    }
    ++images_of[static_cast<std::size_t>(label)];
    correct_of[static_cast<std::size_t>(label)] += alone;
  }
  samples_ += scores.cols();
  loss_ += loss * static_cast<double>(scores.cols());
  seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
}

Index Tally::correct() const { return std::accumulate(correct_of.begin(), correct_of.end(), Index{0}); }

std::optional<Tally> test(HostNetwork& network, ImageBytes<float> const& images,
                          std::function<bool()> const& stop) {
  if (images.samples() == 0) throw DomainError("there are no test images");
  Tally tally(images.classes);
  for (Index first = 0; first < images.samples(); first += test_batch) {
    if (stop()) return std::nullopt;
    auto const part = unpacked(subset(images, first, std::min(test_batch, images.samples() - first)));
    Answers const a = network.answers(part.images, part.labels);
    tally.add(a.loss, a.scores, part.labels);
  }
  return tally;
}

HostMatrix<float> scores_of(HostNetwork& network, HostMatrix<float> const& images, Index sites, int classes) {
  Index const n = images.cols() / sites;
  HostMatrix<float> all(n, classes);
  for (Index first = 0; first < n; first += test_batch) {
    Index const count = std::min(test_batch, n - first);
    auto const y = network.scores(host_matrix<float>(
        images.rows(), sites * count, [&](Index i, Index j) { return images(i, first * sites + j); }));
    require_finite_scores(y, first);
    for (Index j = 0; j < count; ++j)
      for (Index i = 0; i < y.rows(); ++i) all(first + j, i) = y(i, j);
  }
  return all;
}

}  // namespace experiment
