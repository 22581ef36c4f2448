// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <stdexcept>

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

/// The parameters of a file become the network's, by name and shape. FormatError where they are not, in a
/// sentence of its own where the file's network has no Q-metric ReLUs and this one has.
void load_other(Model& model, TensorFile const& file);

/// The file of a model or, in the folder of a run, that of its latest checkpoint, else model.safetensors.
std::filesystem::path model_in(std::filesystem::path const& file_or_folder);

/// A model's file, and its checksum. FormatError where that is not the one that is expected, unless none is.
struct ModelFile {
  TensorFile content;
  std::string checksum;
};
ModelFile read_model(std::filesystem::path const& file, std::string const& expected);

/// normalise, where the model asks for it.
template <class Images>
void scale_images(Images& data, ChannelStatistics const& scale) {
  if (!scale.mean.empty()) normalise(data, scale);
}

/// Numbers that are not finite, where accuracies or files were to come of them.
struct NotFinite : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// What a network says of the test images, class by class. NotFinite, which names the image, where scores are
/// not finite, or the images, where their mean loss is not.
class Tally {
 public:
  explicit Tally(int classes);

  void add(double loss, HostMatrix<float> const& scores, std::span<int const> labels);

  Index samples() const { return samples_; }
  Index correct() const;
  double loss() const { return loss_ / static_cast<double>(samples_); }  ///< the mean
  double accuracy() const { return static_cast<double>(correct()) / static_cast<double>(samples_); }
  double seconds() const { return seconds_; }  ///< from the constructor to the last image

  std::vector<Index> images_of, correct_of;  ///< of a class: images, and those on which it scores most, alone
  std::vector<Index> positive_of;            ///< images, of all, on which a class has a score > 0

 private:
  Index samples_ = 0;
  double loss_ = 0, seconds_ = 0;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

inline constexpr Index test_batch = 200;

/// Tests a network on images, in batches; nothing where `stop` says so between two. DomainError where there
/// are none.
std::optional<Tally> test(
    HostNetwork& network, ImageBytes<float> const& images,
    std::function<bool()> const& stop = [] { return false; });

/// The scores of images, images x classes. NotFinite, which names the image, where one is not finite.
HostMatrix<float> scores_of(HostNetwork& network, HostMatrix<float> const& images, Index sites, int classes);

/// NotFinite with the first image, numbered from `first`, whose scores, a column, are not finite.
void require_finite_scores(HostMatrix<float> const& scores, Index first = 0);

/// NotFinite with the names of the file, where it has one, and of a tensor of F32 that has an entry which is
/// not finite.
void require_finite_tensors(TensorFile const& file);

}  // namespace experiment
