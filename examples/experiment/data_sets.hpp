// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "detrame/data/cifar.hpp"
#include "detrame/data/image_bytes.hpp"
#include "detrame/data/normalise.hpp"

namespace experiment {

using namespace detrame;

/// A data set by name, and how the paper trains on it.
struct DataSet {
  std::string_view name;
  Shape shape;
  int classes = 10, epochs = 60;
  double rate = .1, factor = .2;              ///< the first rate, and what it is multiplied by ...
  std::vector<double> shares = {.3, .6, .8};  ///< ... at these shares of all epochs
  bool normalised = true;  ///< by channel, with the statistics of the training images; else pixels in [0, 1]
  bool augmented = false;  ///< crops with padding 4, flips
  std::string_view files;  ///< what must stand in the folder
  /// The images, or at least the first `limit`, pixels in [0, 1].
  ImageBytes<float> (*read)(std::filesystem::path const& folder, Part part, Index limit);
};

std::span<DataSet const> data_sets();

/// DomainError with all names where there is none.
DataSet const& find_data_set(std::string_view name);

/// Pixels in [0, 1]. The first `limit` images; all where it is 0.
ImageBytes<float> read_images(DataSet const& set, std::filesystem::path const& folder, Part part,
                              Index limit);

/// A number for the images and labels: another one, but for chance, where any differ.
std::string fingerprint(ImageBytes<float> const& data);

}  // namespace experiment
