// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "detrame/core/host_matrix.hpp"
#include "detrame/core/shape.hpp"
#include "detrame/core/sizes.hpp"
#include "detrame/data/idx.hpp"
#include "detrame/data/image_bytes.hpp"

namespace detrame::inline DETRAME_ABI {

/// Images with one label each, in the layout of a batch.
///
/// Shapes    images: shape.channels x (shape.sites() * samples), neighbouring columns are the sites of a
///           sample
template <class Scalar>
struct LabelledImages {
  Shape shape;
  HostMatrix<Scalar> images;
  std::vector<int> labels;  ///< one a sample, in {0, ..., classes - 1}
  int classes;

  Index samples() const { return static_cast<Index>(labels.size()); }
};

/// What bytes and labels mean, which no idx file says.
struct ImageScale {
  int maximum;  ///< the byte that becomes 1
  int classes;
};

namespace detail {

/// Refuses images that are not of the shape, as many as labels.
template <class Scalar>
void require_images(char const* who, LabelledImages<Scalar> const& data) {
  Shape const& shape = data.shape;
  auto const cols = product_of_sizes({shape.height, shape.width, data.samples()});
  if (!cols || data.images.rows() != shape.channels || data.images.cols() != *cols)
    throw ShapeError(message(who, ": images are ", data.images.rows(), " x ", data.images.cols(), ", ",
                             data.samples(), " samples of shape ", shape, " are ", shape.channels, " x ",
                             cols ? message(*cols) : "more than can be counted"));
}

/// One sample of an array of samples x channels, samples x rows x columns,
/// or samples x rows x columns x channels.
inline Shape sample_shape(IdxArray const& a) {
  switch (a.dims.size()) {
    case 2: return {a.dims[1]};
    case 3: return {1, a.dims[1], a.dims[2]};
    case 4: return {a.dims[3], a.dims[1], a.dims[2]};
    default: break;
  }
  throw FormatError(message(a.name, ": expected 2, 3 or 4 dimensions of images, found ", a.dims.size()));
}

/// Refuses an array that has not the entries that its sizes ask for: one that read_idx did not make.
inline void require_entries(IdxArray const& a) {
  if (entry_count(a) != static_cast<Index>(a.bytes.size()))
    throw FormatError(
        message(a.name, ": expected ", product_text(a.dims), " entries, found ", a.bytes.size()));
}

}  // namespace detail

/// The same images with their pixels as numbers.
template <class Scalar>
LabelledImages<Scalar> unpacked(ImageBytes<Scalar> const& data) {
  detail::require_images("unpacked", data);
  Shape const& shape = data.shape;
  LabelledImages<Scalar> numbers{
      shape, {shape.channels, shape.sites() * data.samples()}, data.labels, data.classes};
  for (Index i = 0; i < data.samples(); ++i) data.read(i, numbers.images.data() + shape.size() * i);
  return numbers;
}

/// Images and labels from two idx arrays: a pixel is byte / maximum, in [0, 1].
///
/// Shapes    images: samples x channels, samples x rows x columns (one channel), or
///           samples x rows x columns x channels.  labels: samples
/// Requires  maximum >= 1 and classes >= 1, else DomainError.
/// Ensures   FormatError, with the file, the place, what was expected and what was found, if the counts
///           differ, an array has not the entries that its sizes say, a byte exceeds the maximum, or a label
///           is not below `classes`.
/// Tested    tests/data/idx_test.cpp
template <class Scalar>
ImageBytes<Scalar> image_bytes(IdxArray images, IdxArray const& labels, ImageScale scale) {
  require_at_least("image_bytes", "maximum", scale.maximum, 1);
  require_at_least("image_bytes", "classes", scale.classes, 1);
  detail::require_entries(images);
  detail::require_entries(labels);
  Shape const shape = detail::sample_shape(images);
  Index const samples = images.dims[0];
  if (labels.dims.size() != 1)
    throw FormatError(message(labels.name, ": expected 1 dimension of labels, found ", labels.dims.size()));
  if (labels.dims[0] != samples)
    throw FormatError(message(labels.name, ": expected ", samples, " labels, one for each image of ",
                              images.name, ", found ", labels.dims[0]));
  auto const larger = std::find_if(images.bytes.begin(), images.bytes.end(),
                                   [&](std::uint8_t byte) { return byte > scale.maximum; });
  if (larger != images.bytes.end())
    throw format_error(images.name, images.offset(larger - images.bytes.begin()),
                       "expected a pixel of at most ", scale.maximum, ", found ", int{*larger});
  for (Index i = 0; std::uint8_t const label : labels.bytes) {
    if (label >= scale.classes)
      throw format_error(labels.name, labels.offset(i), "expected a label in 0 ... ", scale.classes - 1,
                         ", found ", int{label});
    ++i;
  }
  return {shape,
          std::move(images.bytes),
          {labels.bytes.begin(), labels.bytes.end()},
          scale.classes,
          byte_values<Scalar>(shape.channels, scale.maximum)};
}

/// image_bytes, unpacked.
template <class Scalar>
LabelledImages<Scalar> labelled_images(IdxArray const& images, IdxArray const& labels, ImageScale scale) {
  return unpacked(image_bytes<Scalar>(images, labels, scale));
}

/// Reads two idx files: read_image_bytes<float>("…-images-idx3-ubyte", "…-labels-idx1-ubyte",
/// {.maximum = 255, .classes = 10}).
template <class Scalar>
ImageBytes<Scalar> read_image_bytes(std::filesystem::path const& images, std::filesystem::path const& labels,
                                    ImageScale scale) {
  return image_bytes<Scalar>(read_idx(images), read_idx(labels), scale);
}

/// read_image_bytes, unpacked.
template <class Scalar>
LabelledImages<Scalar> read_labelled_images(std::filesystem::path const& images,
                                            std::filesystem::path const& labels, ImageScale scale) {
  return unpacked(read_image_bytes<Scalar>(images, labels, scale));
}

/// The samples first, ..., first + count - 1.
template <class Scalar>
LabelledImages<Scalar> subset(LabelledImages<Scalar> const& data, Index first, Index count) {
  if (first < 0 || count < 0 || first > data.samples() - count)
    throw DomainError(message("subset: ", count, " samples from ", first, " on, of ", data.samples()));
  detail::require_images("subset", data);
  Index const sites = data.shape.sites(), channels = data.shape.channels;
  LabelledImages<Scalar> part{data.shape, {channels, sites * count}, {}, data.classes};
  std::copy_n(data.images.data() + channels * sites * first, channels * sites * count, part.images.data());
  part.labels.assign(data.labels.begin() + first, data.labels.begin() + first + count);
  return part;
}

/// The first n samples, and the others.
template <class Scalar>
std::pair<LabelledImages<Scalar>, LabelledImages<Scalar>> split(LabelledImages<Scalar> const& data, Index n) {
  if (n < 0 || n > data.samples())
    throw DomainError(
        message("split: n = ", n, ", must be in 0 ... ", data.samples(), ", the number of samples"));
  return {subset(data, 0, n), subset(data, n, data.samples() - n)};
}

/// The same numbers with one site a sample: channels * sites rows, a column a sample.
template <class Scalar>
LabelledImages<Scalar> flatten(LabelledImages<Scalar> data) {
  detail::require_images("flatten", data);
  HostMatrix<Scalar> columns(data.shape.size(), data.samples());
  std::copy_n(data.images.data(), data.shape.size() * data.samples(), columns.data());
  return {Shape{data.shape.size()}, std::move(columns), std::move(data.labels), data.classes};
}

}  // namespace detrame::inline DETRAME_ABI
