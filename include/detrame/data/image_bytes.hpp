// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "detrame/core/host_matrix.hpp"
#include "detrame/core/shape.hpp"
#include "detrame/core/sizes.hpp"

namespace detrame::inline DETRAME_ABI {

/// Images with one label each whose pixels are bytes until they are in a batch, a quarter of what floats
/// take: a table says what number a byte of a channel is.
///
///   x(c, site) = values(c, pixels[c + channels * site])
///
/// Shapes    pixels: shape.size() a sample, laid out as the numbers of LabelledImages: channels of a site
///           together, sites row by row.  values: channels x 256
/// Tested    tests/data/image_bytes_test.cpp: the same bits as LabelledImages, in batches too
template <class Scalar>
struct ImageBytes {
  Shape shape;
  std::vector<std::uint8_t> pixels;
  std::vector<int> labels;  ///< one a sample, in {0, ..., classes - 1}
  int classes;
  HostMatrix<Scalar> values;  ///< byte_values(channels, maximum), until normalise changes them

  Index samples() const { return static_cast<Index>(labels.size()); }

  /// The numbers of a sample, shape.size() of them.
  void read(Index sample, Scalar* x) const {
    Index const channels = shape.channels;
    std::uint8_t const* byte = pixels.data() + shape.size() * sample;
    for (Index site = 0; site < shape.sites(); ++site)
      for (Index c = 0; c < channels; ++c) *x++ = values.data()[c + channels * *byte++];
  }
};

/// The table of pixels in [0, 1]: values(c, byte) = byte / maximum.
///
/// Requires  maximum >= 1, else DomainError.
template <class Scalar>
HostMatrix<Scalar> byte_values(Index channels, int maximum) {
  require_at_least("byte_values", "maximum", maximum, 1);
  return host_matrix<Scalar>(channels, 256, [&](Index, Index byte) {
    return static_cast<Scalar>(byte) / static_cast<Scalar>(maximum);
  });
}

namespace detail {

/// Refuses bytes that are not those of images of the shape, as many as labels, with a table of its channels.
template <class Scalar>
void require_images(char const* who, ImageBytes<Scalar> const& data) {
  Shape const& shape = data.shape;
  auto const bytes = product_of_sizes({shape.channels, shape.height, shape.width, data.samples()});
  if (!bytes || static_cast<Index>(data.pixels.size()) != *bytes)
    throw ShapeError(message(who, ": images are ", data.pixels.size(), " bytes, ", data.samples(),
                             " samples of shape ", shape, " are ",
                             bytes ? message(*bytes) : "more than can be counted"));
  if (data.values.rows() != shape.channels || data.values.cols() != 256)
    throw ShapeError(message(who, ": the values of bytes are ", data.values.rows(), " x ", data.values.cols(),
                             ", images of shape ", shape, " ask for ", shape.channels, " x 256"));
}

}  // namespace detail

/// The samples first, ..., first + count - 1.
template <class Scalar>
ImageBytes<Scalar> subset(ImageBytes<Scalar> const& data, Index first, Index count) {
  if (first < 0 || count < 0 || first > data.samples() - count)
    throw DomainError(message("subset: ", count, " samples from ", first, " on, of ", data.samples()));
  detail::require_images("subset", data);
  Index const size = data.shape.size();
  auto const pixels = data.pixels.begin() + size * first;
  auto const labels = data.labels.begin() + first;
  return {data.shape, {pixels, pixels + size * count}, {labels, labels + count}, data.classes, data.values};
}

}  // namespace detrame::inline DETRAME_ABI
