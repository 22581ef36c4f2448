// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "detrame/layer/concept.hpp"
#include "detrame/loss/concept.hpp"

namespace detrame::inline DETRAME_ABI {

/// Labelled samples in a backend's memory: x is channels x (sites samples), targets one-hot,
/// classes x samples.
template <Backend B>
struct Dataset {
  Shape shape{1};
  Matrix<B> x, targets;
  std::vector<int> labels;
  int classes = 0;

  Index samples() const { return static_cast<Index>(labels.size()); }
};

/// Puts samples into a backend's memory. ShapeError where x is not samples of the shape, as many as labels;
/// DomainError for a label outside 0, ..., classes - 1.
template <Backend B>
Dataset<B> dataset(B& backend, Shape shape, HostMatrix<typename B::Scalar> const& x, std::vector<int> labels,
                   int classes) {
  if (x.rows() != shape.channels || x.cols() != shape.sites() * static_cast<Index>(labels.size()))
    throw ShapeError(message("dataset: x is ", x.rows(), " x ", x.cols(), ", ", labels.size(),
                             " samples of shape ", shape, " are ", shape.channels, " x ",
                             shape.sites() * static_cast<Index>(labels.size())));
  Dataset<B> data{shape, to_device(backend, x), one_hot(backend, labels, classes), {}, classes};
  data.labels = std::move(labels);
  return data;
}

/// Refuses data whose samples the network does not read, or whose classes it does not write.
template <LayerMaps Net, Backend B>
void require_data(char const* who, Net const& net, Dataset<B> const& data) {
  Shape const in = net.input, out = net.output;
  if (data.shape != in || Shape{data.classes} != out)
    throw ShapeError(message(who, ": the data are ", data.shape, " in ", data.classes,
                             " classes, the network maps ", in, " to ", out));
}

/// x and targets of some samples; `sites` is memory for the columns they stand in.
template <Backend B>
void gather_samples(B& backend, Dataset<B> const& data, std::span<Index const> samples,
                    std::vector<Index>& sites, Matrix<B>& x, Matrix<B>& targets) {
  Index const per_sample = data.shape.sites(), n = static_cast<Index>(samples.size());
  sites.resize(static_cast<std::size_t>(n * per_sample));
  for (Index j = 0; j < n; ++j)
    for (Index s = 0; s < per_sample; ++s)
      sites[static_cast<std::size_t>(j * per_sample + s)] =
          samples[static_cast<std::size_t>(j)] * per_sample + s;
  resize(backend, x, data.x.rows(), n * per_sample);
  resize(backend, targets, data.targets.rows(), n);
  gather_columns(backend.lane(), data.x, std::span<Index const>(sites), x);
  gather_columns(backend.lane(), data.targets, samples, targets);
}

}  // namespace detrame::inline DETRAME_ABI
