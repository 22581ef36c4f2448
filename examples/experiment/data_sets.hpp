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

/// A data set by name, and how it is trained on: the numbers of protocol.hpp.
struct DataSet {
  std::string_view name;
  Shape shape;
  int classes, epochs;
  double rate, factor;         ///< the first rate, and what it is multiplied by ...
  std::vector<double> shares;  ///< ... at these shares of all epochs
  bool normalised, augmented;
  int train_images, test_images;  ///< that its files hold
  std::string_view files;         ///< what must stand in the folder
  /// The images, or at least the first `limit`, pixels in [0, 1].
  ImageBytes<float> (*read)(std::filesystem::path const& folder, Part part, Index limit);
};

std::span<DataSet const> data_sets();

/// The folder with a data set's files where --data does not say; "" where there is none. `packages`: where
/// Debian's packages of data sets put theirs.
std::filesystem::path default_folder(DataSet const& set,
                                     std::filesystem::path const& packages = "/usr/share/datasets");

/// The folder that was named or, where none was, the default one. WrongOption where there is neither.
std::filesystem::path data_folder(DataSet const& set, std::filesystem::path const& named);

/// DomainError with all names where there is none.
DataSet const& find_data_set(std::string_view name);

/// Pixels in [0, 1]. The first `limit` images; all where it is 0.
ImageBytes<float> read_images(DataSet const& set, std::filesystem::path const& folder, Part part,
                              Index limit);

/// A number for the images and labels: another one, but for chance, where any differ.
std::string fingerprint(ImageBytes<float> const& data);

}  // namespace experiment
