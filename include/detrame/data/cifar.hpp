// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "detrame/core/file_bytes.hpp"
#include "detrame/core/sizes.hpp"
#include "detrame/data/labelled.hpp"

namespace detrame::inline DETRAME_ABI {

/// Which part of a data set.
enum class Part { train, test };

/// A binary file of CIFAR: `records` records of `labels` bytes, the last of which is the class, and three
/// planes (red, green, blue) of 32 x 32 bytes, row by row.
struct CifarFormat {
  static constexpr Index sites = 32 * 32, pixels = 3 * sites;

  Index records;
  Index labels;
  int classes;

  Index record() const { return labels + pixels; }
  Index size() const { return records * record(); }

  /// Refuses a format whose sizes are none, or whose product cannot be counted.
  void check() const {
    require_at_least("CifarFormat", "records", records, Index{0});
    require_at_least("CifarFormat", "labels", labels, Index{1});
    require_at_least("CifarFormat", "classes", classes, 1);
    if (labels > std::numeric_limits<Index>::max() - pixels || !product_of_sizes({records, record()}))
      throw DomainError(message("CifarFormat: ", records, " records of ", labels,
                                " labels have more bytes than can be counted"));
  }
};

namespace detail {

inline std::ifstream open_cifar(std::filesystem::path const& file, CifarFormat const& format) {
  std::string const name = file.string();
  std::ifstream in = open_file(file, "a binary file of CIFAR");
  if (Index const size = size_and_rewind(in, name); size != format.size())
    throw format_error(name, std::min(size, format.size()), "expected ", format.records, " records of ",
                       format.record(), " bytes, together ", format.size(), ", found a file of ", size,
                       " bytes");
  return in;
}

/// The records [0, count) of a file, as the samples [first, first + count) of data.
template <class Scalar>
void read_cifar_records(std::filesystem::path const& file, CifarFormat const& format, Index first,
                        Index count, ImageBytes<Scalar>& data) {
  std::string const name = file.string();
  std::ifstream in = open_cifar(file, format);
  std::vector<std::uint8_t> record(static_cast<std::size_t>(format.record()));
  for (Index i = 0; i < count; ++i) {
    Index const start = i * format.record();
    if (Index const found = read_bytes(in, record.data(), format.record()); found < format.record())
      throw format_error(name, start + found, "expected ", format.record() - found,
                         " bytes more, but reading failed");
    int const label = record[static_cast<std::size_t>(format.labels - 1)];
    if (label >= format.classes)
      throw format_error(name, start + format.labels - 1, "expected a label in 0 ... ", format.classes - 1,
                         ", found ", label);
    data.labels.push_back(label);
    std::uint8_t const* const planes = record.data() + format.labels;
    std::uint8_t* pixel = data.pixels.data() + (first + i) * CifarFormat::pixels;
    for (Index site = 0; site < CifarFormat::sites; ++site)
      for (Index channel = 0; channel < 3; ++channel) *pixel++ = planes[channel * CifarFormat::sites + site];
  }
}

}  // namespace detail

/// The first `limit` images of some binary files of CIFAR, one after the other: a pixel is byte / 255, in
/// [0, 1].
///
/// Requires  limit >= 0, a format of sizes >= 0 (labels, classes >= 1) that can be counted, else DomainError.
///           Files beyond the limit are not opened.
/// Ensures   FormatError, with the file, the offset, what was expected and what was found, if a file has
///           another size than the format says, or a label is not below the number of classes. Images are
///           allocated only after all files were found to have their sizes.
/// Tested    tests/data/cifar_test.cpp
template <class Scalar>
ImageBytes<Scalar> read_cifar_bytes(std::vector<std::filesystem::path> const& files,
                                    CifarFormat const& format,
                                    Index limit = std::numeric_limits<Index>::max()) {
  require_at_least("read_cifar", "limit", limit, Index{0});
  format.check();
  Index samples = 0;
  for (auto const& file : files) {
    if (samples == limit) break;
    detail::open_cifar(file, format);
    samples += std::min(format.records, limit - samples);
  }
  ImageBytes<Scalar> data{{3, 32, 32},
                          std::vector<std::uint8_t>(static_cast<std::size_t>(CifarFormat::pixels * samples)),
                          {},
                          format.classes,
                          byte_values<Scalar>(3, 255)};
  data.labels.reserve(static_cast<std::size_t>(samples));
  for (Index first = 0; auto const& file : files) {
    if (first == samples) break;
    Index const count = std::min(format.records, samples - first);
    detail::read_cifar_records(file, format, first, count, data);
    first += count;
  }
  return data;
}

/// read_cifar_bytes, unpacked.
template <class Scalar>
LabelledImages<Scalar> read_cifar(std::vector<std::filesystem::path> const& files, CifarFormat const& format,
                                  Index limit = std::numeric_limits<Index>::max()) {
  return unpacked(read_cifar_bytes<Scalar>(files, format, limit));
}

/// CIFAR-10 from its binary version, the folder `cifar-10-batches-bin`: 50,000 images to train,
/// 10,000 to test.
template <class Scalar>
ImageBytes<Scalar> read_cifar10_bytes(std::filesystem::path const& folder, Part part,
                                      Index limit = std::numeric_limits<Index>::max()) {
  std::vector<std::filesystem::path> files{folder / "test_batch.bin"};
  if (part == Part::train) {
    files.clear();
    for (int batch = 1; batch <= 5; ++batch) files.push_back(folder / message("data_batch_", batch, ".bin"));
  }
  return read_cifar_bytes<Scalar>(files, {.records = 10000, .labels = 1, .classes = 10}, limit);
}

/// read_cifar10_bytes, unpacked.
template <class Scalar>
LabelledImages<Scalar> read_cifar10(std::filesystem::path const& folder, Part part,
                                    Index limit = std::numeric_limits<Index>::max()) {
  return unpacked(read_cifar10_bytes<Scalar>(folder, part, limit));
}

/// CIFAR-100 with its fine labels, from the folder `cifar-100-binary`: 50,000 images to train,
/// 10,000 to test.
template <class Scalar>
ImageBytes<Scalar> read_cifar100_bytes(std::filesystem::path const& folder, Part part,
                                       Index limit = std::numeric_limits<Index>::max()) {
  bool const train = part == Part::train;
  return read_cifar_bytes<Scalar>({folder / (train ? "train.bin" : "test.bin")},
                                  {.records = train ? 50000 : 10000, .labels = 2, .classes = 100}, limit);
}

/// read_cifar100_bytes, unpacked.
template <class Scalar>
LabelledImages<Scalar> read_cifar100(std::filesystem::path const& folder, Part part,
                                     Index limit = std::numeric_limits<Index>::max()) {
  return unpacked(read_cifar100_bytes<Scalar>(folder, part, limit));
}

}  // namespace detrame::inline DETRAME_ABI
