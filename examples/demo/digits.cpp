// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <fstream>

#include "demo.hpp"
#include "detrame/core/random.hpp"

namespace demo {

using namespace detrame;

Digits read_digits(std::filesystem::path const& folder) {
  auto const all = flatten(read_labelled_images<float>(folder / "digits-images-idx3-ubyte",
                                                       folder / "digits-labels-idx1-ubyte",
                                                       {.maximum = 16, .classes = 10}));
  auto const [first, test] = split(all, 1437);
  auto const [train, validation] = split(first, 1237);
  return {train, validation, test};
}

namespace {

/// Columns as doubles of norm 1.
HostMatrix<double> normalised(HostMatrix<float> const& images, std::vector<Index> const& which) {
  HostMatrix<double> columns(images.rows(), static_cast<Index>(which.size()));
  for (Index j = 0; j < columns.cols(); ++j) {
    double norm = 0;
    for (Index i = 0; i < images.rows(); ++i) {
      columns(i, j) = static_cast<double>(images(i, which[static_cast<std::size_t>(j)]));
      norm += columns(i, j) * columns(i, j);
    }
    for (Index i = 0; i < images.rows(); ++i) columns(i, j) /= std::sqrt(norm);
  }
  return columns;
}

}  // namespace

DigitDictionary digit_dictionary(Digits const& digits, Index k) {
  std::vector<Index> atoms(static_cast<std::size_t>(digits.train.samples()));
  shuffle(Random(2020, 0), atoms);
  atoms.resize(static_cast<std::size_t>(k));
  std::vector<Index> samples(static_cast<std::size_t>(digits.test.samples()));
  for (std::size_t j = 0; j < samples.size(); ++j) samples[j] = static_cast<Index>(j);
  return {normalised(digits.train.images, atoms), normalised(digits.test.images, samples)};
}

void write_file(std::filesystem::path const& file, std::string const& text) {
  auto const beside = std::filesystem::path(file).concat(".part");
  std::ofstream stream(beside);
  stream << text << std::flush;
  if (!stream) throw FormatError(message(beside.string(), ": cannot be written"));
  stream.close();
  std::filesystem::rename(beside, file);
}

}  // namespace demo
